"""Input events keep their order; of a burst of motion over one window only the last position is reported.

Keys come from the outer window, which has the focus; the pointer is watched on the inner one, so that the border is
nobody's. Coordinates are the content's.
"""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

import numpy as np

from guid.core.host_events import ButtonEvent, CrossingEvent, FocusEvent, HostEvent, KeyEvent, MotionEvent
from guid.core.trusted import WindowId
from guid.hosts.x11.window import HostWindow, WindowTable

KEY_PRESS: Final = 2
_KEY_RELEASE: Final = 3
BUTTON_PRESS: Final = 4
_BUTTON_RELEASE: Final = 5
_MOTION: Final = 6
ENTER: Final = 7
_LEAVE: Final = 8
FOCUS_IN: Final = 9
_FOCUS_OUT: Final = 10
_KEYMAP: Final = 11

_EVENT: Final = Struct("=BBHIIIIhhhhHBB")
"""code, detail, sequence, time, root, window, child, root x, y, x, y, state; the last two bytes are a crossing's
mode and flags."""
_FOCUS: Final = Struct("=BBHIB23x")
_KEYMAP_BYTES: Final = Struct("=x31s")
_FOCUS_FLAG: Final = 1
_WINDOW_WORD: Final = 3

_NORMAL: Final = 0
_WHILE_GRABBED: Final = 3
_NO_KEYS: Final = bytes(32)


class Input:
    """Turns runs of raw input events into host events."""

    def __init__(self, windows: WindowTable, pressed: Callable[[int, HostWindow], None]) -> None:
        """`pressed(time, window)` hears when a key or button went down."""
        self._windows = windows
        self._pressed = pressed
        self._focus: FocusEvent | None = None
        """Waits for the KeymapNotify that the server sends right behind a FocusIn."""
        self.inside: WindowId | None = None
        """The window in whose content the pointer is, seen by the user: what covers it would have the pointer."""
        self.handlers: dict[int, Callable[[bytes, list[HostEvent]], None]] = {
            KEY_PRESS: self._key,
            _KEY_RELEASE: self._key,
            BUTTON_PRESS: self._button,
            _BUTTON_RELEASE: self._button,
            _MOTION: self._motion,
            ENTER: self._crossing,
            _LEAVE: self._crossing,
            FOCUS_IN: self._focus_change,
            _FOCUS_OUT: self._focus_change,
            _KEYMAP: self._keymap,
        }

    def settle(self, code: int, out: list[HostEvent]) -> None:
        """An event of another kind follows a FocusIn: the server keeps the keys to itself."""
        if self._focus is not None and code != _KEYMAP:
            out.append(self._focus)
            self._focus = None

    def gone(self, window: WindowId) -> None:
        """It was hidden or destroyed: the X server does not tell whom the pointer has left then."""
        if self.inside == window:
            self.inside = None

    def _key(self, data: bytes, out: list[HostEvent]) -> None:
        for code, detail, _, time, _, xid, _, _, _, x, y, state, _, _ in _EVENT.iter_unpack(data):
            window = self._windows.find(xid)
            if window is not None:
                if code & 0x7F == KEY_PRESS:
                    self._pressed(time, window)
                border = window.frame.border
                out.append(KeyEvent(window.id, code & 0x7F == KEY_PRESS, detail, x - border, y - border, state))

    def _button(self, data: bytes, out: list[HostEvent]) -> None:
        for code, detail, _, time, _, xid, _, _, _, x, y, state, _, _ in _EVENT.iter_unpack(data):
            window = self._windows.find(xid)
            if window is not None:
                if code & 0x7F == BUTTON_PRESS:
                    self._pressed(time, window)
                out.append(ButtonEvent(window.id, code & 0x7F == BUTTON_PRESS, detail, x, y, state))

    def _motion(self, data: bytes, out: list[HostEvent]) -> None:
        for at in _last_of_bursts(data):
            _, _, _, _, _, xid, _, _, _, x, y, state, _, _ = _EVENT.unpack_from(data, at)
            window = self._windows.find(xid)
            if window is None:
                continue
            event = MotionEvent(window.id, x, y, state)
            previous = out[-1] if out else None
            if isinstance(previous, MotionEvent) and previous.window == window.id:
                out[-1] = event
            else:
                out.append(event)

    def _crossing(self, data: bytes, out: list[HostEvent]) -> None:
        for code, detail, _, _, _, xid, _, _, _, x, y, state, mode, flags in _EVENT.iter_unpack(data):
            window = self._windows.find(xid)
            if window is not None:
                entered, focus = code & 0x7F == ENTER, bool(flags & _FOCUS_FLAG)
                self.inside = window.id if entered else None
                out.append(CrossingEvent(window.id, entered, x, y, state, mode, detail, focus))

    def _focus_change(self, data: bytes, out: list[HostEvent]) -> None:
        for code, detail, _, xid, mode in _FOCUS.iter_unpack(data):
            window = self._windows.find(xid)
            if window is None or mode not in (_NORMAL, _WHILE_GRABBED):
                continue
            focused = code & 0x7F == FOCUS_IN
            event = FocusEvent(window.id, focused, detail, _NO_KEYS)
            if focused:
                self._focus = event
            else:
                out.append(event)

    def _keymap(self, data: bytes, out: list[HostEvent]) -> None:
        if self._focus is not None:
            # Keycodes begin at 8: the byte for 0 to 7 has made room for the event's code.
            keys = b"\0" + _KEYMAP_BYTES.unpack_from(data)[0]
            out.append(FocusEvent(self._focus.window, True, self._focus.detail, keys))
            self._focus = None


def _last_of_bursts(data: bytes) -> Iterator[int]:
    """Offsets of those motion events that are not followed by one of the same window."""
    if len(data) == _EVENT.size:
        yield 0
        return
    windows = np.frombuffer(data, np.uint32).reshape(-1, _EVENT.size // 4)[:, _WINDOW_WORD]
    for index in np.flatnonzero(windows[1:] != windows[:-1]).tolist():
        yield index * _EVENT.size
    yield len(data) - _EVENT.size
