"""One immutable tuple per wire message, and the table that fixes its number, layout, direction and version.

A message holds what the wire held: nothing is checked here beyond its layout. What an AppVM sent is *untrusted* until
`guid.core.validate` has made a trusted type of it.
"""

from enum import Flag, IntEnum, IntFlag, auto
from struct import Struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from guiproto import limits


class MessageType(IntEnum):
    """Numbers of protocol.md, "Messages"."""

    KEYPRESS = 124
    BUTTON = 125
    MOTION = 126
    CROSSING = 127
    FOCUS = 128
    RESIZE = 129
    CREATE = 130
    DESTROY = 131
    MAP = 132
    UNMAP = 133
    CONFIGURE = 134
    MFNDUMP = 135
    SHMIMAGE = 136
    CLOSE = 137
    EXECUTE = 138
    CLIPBOARD_REQ = 139
    CLIPBOARD_DATA = 140
    WMNAME = 141
    KEYMAP_NOTIFY = 142
    DOCK = 143
    WINDOW_HINTS = 144
    WINDOW_FLAGS = 145
    WMCLASS = 146
    WINDOW_DUMP = 147
    CURSOR = 148
    WINDOW_DUMP_ACK = 149


class Direction(Flag):
    """Who may send a message."""

    TO_DAEMON = auto()
    TO_AGENT = auto()
    BOTH = TO_DAEMON | TO_AGENT


class WindowFlag(IntFlag):
    """Bits of WINDOW_FLAGS."""

    FULLSCREEN = 1
    DEMANDS_ATTENTION = 2
    MINIMIZE = 4


class Hint(IntFlag):
    """Bits of WINDOW_HINTS.flags: ICCCM 4.1.2.3 WM_SIZE_HINTS."""

    US_POSITION = 1
    P_POSITION = 4
    P_MIN_SIZE = 16
    P_MAX_SIZE = 32
    P_RESIZE_INC = 64
    P_BASE_SIZE = 256


class KeyPress(NamedTuple):
    """A key went down (`kind` 2) or up (`kind` 3) over `window`; `state` is X's modifier mask before it."""

    window: int
    kind: int
    x: int
    y: int
    state: int
    keycode: int


class Button(NamedTuple):
    """A pointer button went down (`kind` 4) or up (`kind` 5)."""

    window: int
    kind: int
    x: int
    y: int
    state: int
    button: int


class Motion(NamedTuple):
    """The pointer moved to (x, y) inside `window`."""

    window: int
    x: int
    y: int
    state: int
    is_hint: int


class Crossing(NamedTuple):
    """The pointer entered (`kind` 7) or left (`kind` 8) `window`."""

    window: int
    kind: int
    x: int
    y: int
    state: int
    mode: int
    detail: int
    focus: int


class Focus(NamedTuple):
    """`window` got (`kind` 9) or lost (`kind` 10) the keyboard focus."""

    window: int
    kind: int
    mode: int
    detail: int


class Create(NamedTuple):
    """A new top-level window at root coordinates (x, y). `parent` has no meaning since subwindows went away."""

    window: int
    x: int
    y: int
    width: int
    height: int
    parent: int
    override_redirect: int


class Destroy(NamedTuple):
    """The window is gone; from 1.5 on the daemon echoes it, after which the id may be used again."""

    window: int


class Map(NamedTuple):
    """Show the window. Sent by the daemon it says that the window manager did so; ignore its `transient_for`."""

    window: int
    transient_for: int
    override_redirect: int


class Unmap(NamedTuple):
    """Hide the window; its buffer is dropped."""

    window: int


class Configure(NamedTuple):
    """Move and resize the content of the window; also the answer to such a request."""

    window: int
    x: int
    y: int
    width: int
    height: int
    override_redirect: int


class MfnDump(NamedTuple):
    """Deprecated: the window's buffer as machine frame numbers. `domid` is what the peer says: never use it."""

    window: int
    shmid: int
    width: int
    height: int
    bpp: int
    off: int
    num_mfn: int
    domid: int
    refs: NDArray[np.uint32]


class ShmImage(NamedTuple):
    """The pixels of this rectangle of the window's buffer changed."""

    window: int
    x: int
    y: int
    width: int
    height: int


class Close(NamedTuple):
    """The user asked the window to close."""

    window: int


class ClipboardReq(NamedTuple):
    """The user asked to copy from this VM."""

    window: int


class ClipboardData(NamedTuple):
    """Clipboard contents, bytes of text."""

    window: int
    data: bytes


class WmName(NamedTuple):
    """The title: 128 bytes, NUL-padded, possibly not terminated."""

    window: int
    data: bytes


class KeymapNotify(NamedTuple):
    """Which keys are down (a bitmap as of XQueryKeymap): the agent releases all others."""

    window: int
    keys: bytes


class Dock(NamedTuple):
    """Put the window into the desktop's notification area."""

    window: int


class WindowHints(NamedTuple):
    """ICCCM size hints; `flags` says which fields count."""

    window: int
    flags: int
    min_width: int
    min_height: int
    max_width: int
    max_height: int
    width_inc: int
    height_inc: int
    base_width: int
    base_height: int


class WindowFlags(NamedTuple):
    """State bits to set and to clear, see `WindowFlag`."""

    window: int
    set: int
    unset: int


class WmClass(NamedTuple):
    """WM_CLASS: 64 bytes each, class first."""

    window: int
    res_class: bytes
    res_name: bytes


class WindowDump(NamedTuple):
    """The window's buffer as page references: ceil(width * height * 4 / 4096) of them or more, row stride 4 * width."""

    window: int
    kind: int
    width: int
    height: int
    bpp: int
    refs: NDArray[np.uint32]


class Cursor(NamedTuple):
    """The cursor to show over the window: 0 default, 0x100 + X cursor font index."""

    window: int
    cursor: int


class WindowDumpAck(NamedTuple):
    """One buffer announced for this window (the oldest not yet acknowledged) has been mapped or given up."""

    window: int


FixedMessage = (
    KeyPress | Button | Motion | Crossing | Focus | Create | Destroy | Map | Unmap | Configure | ShmImage | Close
    | ClipboardReq | WmName | KeymapNotify | Dock | WindowHints | WindowFlags | WmClass | Cursor | WindowDumpAck
)  # fmt: skip
Message = FixedMessage | MfnDump | WindowDump | ClipboardData


class DamageBatch(NamedTuple):
    """A run of consecutive SHMIMAGE messages: `windows` u32 [n], `rects` i32 [n, 4] as x, y, width, height.

    The same as n `ShmImage` in that order; both arrays are the caller's own.
    """

    windows: NDArray[np.uint32]
    rects: NDArray[np.int32]

    def messages(self) -> list[ShmImage]:
        """The run spelled out, for code that wants one message at a time."""
        sizes = self.rects[:, 2:].view(np.uint32)
        return [
            ShmImage(window, x, y, width, height)
            for window, (x, y), (width, height) in zip(
                self.windows.tolist(), self.rects[:, :2].tolist(), sizes.tolist(), strict=True
            )
        ]


HEADER: Final = Struct("<III")
"""u32 type, u32 window, u32 length of the body in bytes."""


class Spec(NamedTuple):
    """How one message lies on the wire. `body` is None for messages of variable length, bounded by `longest`.

    `head` holds the fields of fixed size: all of them, or those before the array or text that ends the body.
    """

    message: type[Message]
    direction: Direction
    since: int
    body: Struct | None
    shortest: int
    longest: int
    head: Struct


def _fixed(message: type[FixedMessage], direction: Direction, layout: str, since: int = 0) -> Spec:
    body = Struct("<" + layout)
    return Spec(message, direction, since, body, body.size, body.size, body)


def _variable(message: type[Message], direction: Direction, layout: str, longest: int, since: int = 0) -> Spec:
    head = Struct("<" + layout)
    return Spec(message, direction, since, None, head.size, longest, head)


_A, _D, _AD = Direction.TO_DAEMON, Direction.TO_AGENT, Direction.BOTH
T = MessageType

SPECS: Final[dict[MessageType, Spec]] = {
    T.KEYPRESS: _fixed(KeyPress, _D, "IiiII"),
    T.BUTTON: _fixed(Button, _D, "IiiII"),
    T.MOTION: _fixed(Motion, _D, "iiII"),
    T.CROSSING: _fixed(Crossing, _D, "IiiIIII"),
    T.FOCUS: _fixed(Focus, _D, "III"),
    T.CREATE: _fixed(Create, _A, "iiIIII"),
    T.DESTROY: _fixed(Destroy, _AD, ""),
    T.MAP: _fixed(Map, _AD, "II"),
    T.UNMAP: _fixed(Unmap, _A, ""),
    T.CONFIGURE: _fixed(Configure, _AD, "iiIII"),
    T.MFNDUMP: _variable(MfnDump, _A, "7I", limits.MAX_DUMP_BYTES),
    T.SHMIMAGE: _fixed(ShmImage, _A, "iiII"),
    T.CLOSE: _fixed(Close, _D, ""),
    T.CLIPBOARD_REQ: _fixed(ClipboardReq, _D, ""),
    T.CLIPBOARD_DATA: _variable(ClipboardData, _AD, "", limits.CLIPBOARD_OVERSIZE),
    T.WMNAME: _fixed(WmName, _A, f"{limits.TITLE_BYTES}s"),
    T.KEYMAP_NOTIFY: _fixed(KeymapNotify, _D, f"{limits.KEYMAP_BYTES}s"),
    T.DOCK: _fixed(Dock, _A, ""),
    T.WINDOW_HINTS: _fixed(WindowHints, _A, "9I"),
    T.WINDOW_FLAGS: _fixed(WindowFlags, _AD, "II"),
    T.WMCLASS: _fixed(WmClass, _A, f"{limits.CLASS_BYTES}s{limits.CLASS_BYTES}s", limits.SINCE_CLASS),
    T.WINDOW_DUMP: _variable(WindowDump, _A, "4I", limits.DUMP_HEADER_BYTES + 4 * limits.MAX_REFS, limits.SINCE_DUMP),
    T.CURSOR: _fixed(Cursor, _A, "I", limits.SINCE_CURSOR),
    T.WINDOW_DUMP_ACK: _fixed(WindowDumpAck, _D, "", limits.SINCE_DUMP_ACK),
}
"""Every message in use. RESIZE and EXECUTE are numbers only: nobody sends them any more."""

TYPE_OF: Final[dict[type[Message], MessageType]] = {spec.message: number for number, spec in SPECS.items()}


class Xconf(NamedTuple):
    """The GUI domain's screen: size in pixels, depth in bits, and video memory in KiB."""

    width: int
    height: int
    depth: int
    mem: int


XCONF: Final = Struct("<IIII")


def xconf_for(width: int, height: int, depth: int = 24) -> Xconf:
    """The xconf of a screen of that size: width rounded up to a multiple of 8, memory for it plus 1 KiB."""
    width = (width + 7) // 8 * 8
    return Xconf(width, height, depth, width * height * limits.BYTES_PER_PIXEL // 1024 + 1)
