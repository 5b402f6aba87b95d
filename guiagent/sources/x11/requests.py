"""X requests as bytes, for everything that is sent often: a struct pack costs a tenth of what python-xlib needs.

Layouts are those of the X protocol and of the extensions' encodings; the values must be in range, no check is made.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final

from guiagent.core.source_events import Rect

_WORD: Final = Struct("=I")
_HEADER_ONE: Final = Struct("=BBHI")
_CONFIGURE: Final = Struct("=BxHIHxx")
_CHANGE_ATTRIBUTES: Final = Struct("=BxHIII")
_SET_FOCUS: Final = Struct("=BBHII")
_COPY_AREA: Final = Struct("=BxHIIIhhhhHH")
_FAKE_INPUT: Final = Struct("=BBHBBxxII8xhh8x")
_DAMAGE_CREATE: Final = Struct("=BBHIIB3x")
_DAMAGE_SUBTRACT: Final = Struct("=BBHIII")
_CURSOR_INPUT: Final = Struct("=BBHII")
_FILL: Final = Struct("=BxHIIhhHH")
_SHAPE_INPUT: Final = Struct("=BBHIB3x")
_CLIENT_MESSAGE: Final = Struct("=BBHIIBBHII5I")

_CHANGE_WINDOW_ATTRIBUTES: Final = 2
_MAP_WINDOW: Final = 8
_UNMAP_WINDOW: Final = 10
_CONFIGURE_WINDOW: Final = 12
_SEND_EVENT: Final = 25
_SET_INPUT_FOCUS: Final = 42
_FREE_PIXMAP: Final = 54
_FREE_GC: Final = 60
_COPY: Final = 62
_POLY_FILL_RECTANGLE: Final = 70
_KILL_CLIENT: Final = 113

_CW_EVENT_MASK: Final = 1 << 11
_SIBLING: Final = 32
_CONFIG: Final = {"x": 1, "y": 2, "width": 4, "height": 8, "border_width": 16, "sibling": 32, "stack_mode": 64}

RAW_RECTANGLES: Final = 0
DELTA_RECTANGLES: Final = 1

_MOTION: Final = 6


def word_request(major: int, minor: int, word: int) -> bytes:
    """A request of an extension with one argument."""
    return _HEADER_ONE.pack(major, minor, 2, word)


def map_window(window: int) -> bytes:
    """MapWindow."""
    return _HEADER_ONE.pack(_MAP_WINDOW, 0, 2, window)


def unmap_window(window: int) -> bytes:
    """UnmapWindow."""
    return _HEADER_ONE.pack(_UNMAP_WINDOW, 0, 2, window)


def free_pixmap(pixmap: int) -> bytes:
    """FreePixmap."""
    return _HEADER_ONE.pack(_FREE_PIXMAP, 0, 2, pixmap)


def kill_client(resource: int) -> bytes:
    """KillClient: ends the program that made `resource`."""
    return _HEADER_ONE.pack(_KILL_CLIENT, 0, 2, resource)


def select_events(window: int, mask: int) -> bytes:
    """ChangeWindowAttributes of this client's event mask."""
    return _CHANGE_ATTRIBUTES.pack(_CHANGE_WINDOW_ATTRIBUTES, 4, window, _CW_EVENT_MASK, mask)


def configure_window(window: int, **values: int) -> bytes:
    """ConfigureWindow of any of x, y, width, height, border_width, sibling, stack_mode."""
    present = [(bit, values[name]) for name, bit in _CONFIG.items() if name in values]
    mask = sum(bit for bit, _ in present)
    words = b"".join([_WORD.pack(value & (0xFFFFFFFF if bit == _SIBLING else 0xFFFF)) for bit, value in present])
    return _CONFIGURE.pack(_CONFIGURE_WINDOW, 3 + len(present), window, mask) + words


def set_input_focus(window: int, revert_to: int = 0) -> bytes:
    """SetInputFocus now; `window` 0 is None and 1 PointerRoot."""
    return _SET_FOCUS.pack(_SET_INPUT_FOCUS, revert_to, 3, window, 0)


def copy_areas(source: int, target: int, gc: int, rects: Sequence[Rect]) -> bytes:
    """One CopyArea per rectangle, each to its own place."""
    pack = _COPY_AREA.pack
    if len(rects) == 1:
        ((x, y, w, h),) = rects
        return pack(_COPY, 7, source, target, gc, x, y, x, y, w, h)
    return b"".join([pack(_COPY, 7, source, target, gc, x, y, x, y, w, h) for x, y, w, h in rects])


def free_gc(gc: int) -> bytes:
    """FreeGC."""
    return _HEADER_ONE.pack(_FREE_GC, 0, 2, gc)


def fill_rectangle(target: int, gc: int, width: int, height: int) -> bytes:
    """PolyFillRectangle from the origin, with the GC's foreground."""
    return _FILL.pack(_POLY_FILL_RECTANGLE, 5, target, gc, 0, 0, width, height)


def select_shape_input(major: int, window: int) -> bytes:
    """ShapeSelectInput: an event whenever the window's shape changes."""
    return _SHAPE_INPUT.pack(major, 6, 3, window, True)


def client_message(window: int, type_: int, *data: int, mask: int = 0) -> bytes:
    """SendEvent of a ClientMessage of 32-bit words (five at most) to the program that made `window`.

    `mask`: to those instead who listen for these events of the window.
    """
    words = (*data, 0, 0, 0, 0, 0)[:5]
    return _CLIENT_MESSAGE.pack(_SEND_EVENT, 0, 11, window, mask, 33, 32, 0, window, type_, *words)


class Damage:
    """Requests of the DAMAGE extension."""

    def __init__(self, major: int) -> None:
        self._major = major

    def create(self, damage: int, drawable: int, level: int = DELTA_RECTANGLES) -> bytes:
        """Report what is drawn: each place once until it is subtracted, or with RAW_RECTANGLES every time.

        The first report is of the whole window.
        """
        return _DAMAGE_CREATE.pack(self._major, 1, 4, damage, drawable, level)

    def subtract(self, damage: int) -> bytes:
        """All of it has been seen: report places again."""
        return _DAMAGE_SUBTRACT.pack(self._major, 3, 4, damage, 0, 0)

    def destroy(self, damage: int) -> bytes:
        """Report no more."""
        return _HEADER_ONE.pack(self._major, 2, 2, damage)


class FakeInput:
    """Requests of the XTEST extension."""

    def __init__(self, major: int) -> None:
        self._major = major

    def event(self, kind: int, detail: int) -> bytes:
        """A key or button event: `kind` is X's event code."""
        return _FAKE_INPUT.pack(self._major, 2, 9, kind, detail, 0, 0, 0, 0)

    def motion(self, root: int, x: int, y: int) -> bytes:
        """The pointer moves to root coordinates."""
        return _FAKE_INPUT.pack(self._major, 2, 9, _MOTION, 0, 0, root, x, y)


def select_cursor_input(major: int, window: int) -> bytes:
    """XFixesSelectCursorInput: an event whenever the displayed cursor changes."""
    return _CURSOR_INPUT.pack(major, 3, 3, window, 1)
