"""X core requests as bytes, so that what a window needs goes out as one piece. Layouts are those of the X protocol.

Nothing here can raise on a number in range; numbers out of X's range are the caller's to clamp.
"""

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Final

from shm.xconn import XConnection

# Bits of the value mask of CreateWindow and ChangeWindowAttributes, in the order in which their values follow.
BACK_PIXEL: Final = 1 << 1
BIT_GRAVITY: Final = 1 << 4
WIN_GRAVITY: Final = 1 << 5
OVERRIDE_REDIRECT: Final = 1 << 9
EVENT_MASK: Final = 1 << 11
CURSOR: Final = 1 << 14

NORTH_WEST: Final = 1
NORTH_EAST: Final = 3
SOUTH_WEST: Final = 7

# Bits of the value mask of ConfigureWindow.
X: Final = 1
Y: Final = 2
WIDTH: Final = 4
HEIGHT: Final = 8
SIBLING: Final = 32
STACK_MODE: Final = 64

REPLY: Final = 1
"""The first byte of an answer; an error has another."""

_CREATE: Final = Struct("=BBHIIhhHHHHII")
_ALONE: Final = Struct("=BxH")
_WINDOW_ONLY: Final = Struct("=BxHI")
_CHANGE: Final = Struct("=BxHII")
_CONFIGURE: Final = Struct("=BxHIHxx")
_CHANGE_PROPERTY: Final = Struct("=BBHIIIB3xI")
_DELETE_PROPERTY: Final = Struct("=BxHII")
_SEND_EVENT: Final = Struct("=BBHII")
_CLIENT_MESSAGE: Final = Struct("=BBHII5I")
_UNMAP_EVENT: Final = Struct("=BxHIIB19x")
_GEOMETRY_REPLY: Final = Struct("=8xI4xHH12x")
_SET_FOCUS: Final = Struct("=BBHII")
_CREATE_GC: Final = Struct("=BxHIIII")
_OPEN_FONT: Final = Struct("=BxHIHxx")
_GLYPH_CURSOR: Final = Struct("=BxHIIIHH6H")

_CLIENT_MESSAGE_EVENT: Final = 33
_UNMAP_NOTIFY_EVENT: Final = 18
_GRAPHICS_EXPOSURES: Final = 1 << 16


def send(connection: XConnection, requests: Iterable[bytes]) -> None:
    """Queue them all."""
    pieces = list(requests)
    connection.send_raw(b"".join(pieces), len(pieces))


def create_window(
    window: int, parent: int, x: int, y: int, width: int, height: int, attributes: Mapping[int, int]
) -> bytes:
    """An InputOutput window without an X border, of its parent's depth and visual. `attributes` in mask order."""
    mask, values = _values(attributes)
    return _CREATE.pack(1, 0, 8 + len(attributes), window, parent, x, y, width, height, 0, 1, 0, mask) + values


def change_attributes(window: int, attributes: Mapping[int, int]) -> bytes:
    """ChangeWindowAttributes; `attributes` in mask order."""
    mask, values = _values(attributes)
    return _CHANGE.pack(2, 3 + len(attributes), window, mask) + values


def destroy_window(window: int) -> bytes:
    return _WINDOW_ONLY.pack(4, 2, window)


def map_window(window: int) -> bytes:
    return _WINDOW_ONLY.pack(8, 2, window)


def map_subwindows(window: int) -> bytes:
    return _WINDOW_ONLY.pack(9, 2, window)


def unmap_window(window: int) -> bytes:
    return _WINDOW_ONLY.pack(10, 2, window)


def configure_window(window: int, values: Mapping[int, int]) -> bytes:
    """ConfigureWindow; `values` in mask order."""
    mask, packed = _values(values)
    return _CONFIGURE.pack(12, 3 + len(values), window, mask) + packed


def raise_window(window: int) -> bytes:
    return configure_window(window, {STACK_MODE: 0})


def stack_below(window: int, sibling: int) -> bytes:
    return configure_window(window, {SIBLING: sibling, STACK_MODE: 1})


def change_property(window: int, name: int, kind: int, bits: int, data: bytes) -> bytes:
    """Replace a property; `bits` per item is 8, 16 or 32."""
    padding = -len(data) % 4
    length = 6 + (len(data) + padding) // 4
    return _CHANGE_PROPERTY.pack(18, 0, length, window, name, kind, bits, len(data) * 8 // bits) + data + bytes(padding)


def delete_property(window: int, name: int) -> bytes:
    return _DELETE_PROPERTY.pack(19, 3, window, name)


def send_event(destination: int, event_mask: int, event: bytes) -> bytes:
    """`event` is 32 bytes. With an empty mask it goes to the client that made `destination`."""
    return _SEND_EVENT.pack(25, 0, 11, destination, event_mask) + event


def client_message(window: int, kind: int, values: tuple[int, int, int, int, int]) -> bytes:
    """A ClientMessage event of five 32-bit values, for `send_event`."""
    return _CLIENT_MESSAGE.pack(_CLIENT_MESSAGE_EVENT, 32, 0, window, kind, *values)


def unmap_notify(root: int, window: int) -> bytes:
    """The UnmapNotify event with which a client withdraws a window (ICCCM 4.1.4), for `send_event`."""
    return _UNMAP_EVENT.pack(_UNMAP_NOTIFY_EVENT, 0, root, window, 0)


def grab_server() -> bytes:
    """Nobody else is served until `ungrab_server`."""
    return _ALONE.pack(36, 1)


def ungrab_server() -> bytes:
    """The end of `grab_server`."""
    return _ALONE.pack(37, 1)


def get_geometry(window: int) -> bytes:
    """Ask for what `size` reads."""
    return _WINDOW_ONLY.pack(14, 2, window)


def size(reply: bytes) -> tuple[int, int]:
    """Width and height in the answer to `get_geometry`."""
    _, width, height = _GEOMETRY_REPLY.unpack(reply[:32])
    return width, height


def set_input_focus(window: int, time: int) -> bytes:
    """If the window goes, its parent is to have the keyboard."""
    return _SET_FOCUS.pack(42, 2, 3, window, time)


def create_gc(gc: int, drawable: int) -> bytes:
    """A graphics context whose copies queue no NoExposure events."""
    return _CREATE_GC.pack(55, 5, gc, drawable, _GRAPHICS_EXPOSURES, 0)


def open_font(font: int, name: bytes) -> bytes:
    padding = -len(name) % 4
    return _OPEN_FONT.pack(45, 3 + (len(name) + padding) // 4, font, len(name)) + name + bytes(padding)


def create_glyph_cursor(cursor: int, font: int, glyph: int, mask: int) -> bytes:
    """Black on white, as the cursors of X's own font are."""
    white = 0xFFFF
    return _GLYPH_CURSOR.pack(94, 8, cursor, font, font, glyph, mask, 0, 0, 0, white, white, white)


def _values(values: Mapping[int, int]) -> tuple[int, bytes]:
    mask = 0
    packed = b""
    for bit, value in values.items():
        mask |= bit
        packed += (value & 0xFFFFFFFF).to_bytes(4, "little" if _LITTLE else "big")
    return mask, packed


_LITTLE: Final = Struct("=H").pack(1) == b"\1\0"
