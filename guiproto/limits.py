"""Every number the protocol fixes. protocol.md prints the same table and a test compares the two."""

from typing import Final

VERSION_MAJOR: Final = 1
VERSION_MINOR: Final = 8
VERSION: Final = VERSION_MAJOR << 16 | VERSION_MINOR

GUI_PORT: Final = 6000
RING_BYTES: Final = 4096

PAGE_SIZE: Final = 4096
BYTES_PER_PIXEL: Final = 4

MAX_WINDOW_WIDTH: Final = 16384
MAX_WINDOW_HEIGHT: Final = 6144
MAX_WINDOW_MEM: Final = MAX_WINDOW_WIDTH * MAX_WINDOW_HEIGHT * BYTES_PER_PIXEL
MAX_REFS: Final = MAX_WINDOW_MEM // PAGE_SIZE
DUMP_HEADER_BYTES: Final = 16
MFNDUMP_HEADER_BYTES: Final = 28
MAX_DUMP_BYTES: Final = MFNDUMP_HEADER_BYTES + 4 * MAX_REFS

TITLE_BYTES: Final = 128
CLASS_BYTES: Final = 64
KEYMAP_BYTES: Final = 32

CLIPBOARD_MAX_1_7: Final = 65000
CLIPBOARD_MAX: Final = 256000
CLIPBOARD_OVERSIZE: Final = CLIPBOARD_MAX + 1
"""A body of exactly this length says "the selection was over the limit"; anything longer is malformed."""
CLIPBOARD_DEFAULT: Final = 64000
CLIPBOARD_MIN: Final = 256

CURSOR_DEFAULT: Final = 0
CURSOR_X11: Final = 0x100
CURSOR_X11_MAX: Final = 0x199

SINCE_CLASS: Final = 1
SINCE_DUMP: Final = 2
SINCE_CLIPBOARD_LENGTH: Final = 2
SINCE_CURSOR: Final = 3
SINCE_NEGOTIATION: Final = 4
SINCE_DESTROY_ACK: Final = 5
SINCE_STRICT_LENGTH: Final = 6
SINCE_DUMP_ACK: Final = 7
SINCE_LARGE_CLIPBOARD: Final = 8
