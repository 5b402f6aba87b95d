"""Keyboard, pointer and cursor: what the user of the desktop has in hand, played to the windows of the guest."""

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final

from Xlib import X

from guiagent.core.source_events import CursorShown
from guiagent.sources.x11 import requests
from guiagent.sources.x11.cursors import CursorNames
from guiagent.sources.x11.extensions import Extensions
from guiagent.sources.x11.keyboard import Keyboard
from guiagent.sources.x11.pointer import Pointer
from guiagent.sources.x11.tree import Top
from guiproto.limits import KEYMAP_BYTES
from guiproto.messages import Button, Crossing
from shm.fences import Fences
from shm.xconn import XConnection

_CURSOR_ATOM: Final = Struct("=16xI12x")
_ENTER: Final = 7
_NOTIFY_GRAB: Final = 1
_NOTIFY_INFERIOR: Final = 2


class Seat:
    """Input into one X server. Positions in messages are relative to their window."""

    def __init__(
        self,
        connection: XConnection,
        tops: Mapping[int, Top],
        found: Extensions,
        fences: Fences,
        emit: Callable[[CursorShown], None],
    ) -> None:
        fake = requests.FakeInput(found.xtest.major)
        self.keyboard = Keyboard(connection, found.xkb, fake)
        self.pointer = Pointer(connection, fake)
        self._tops = tops
        self._fences = fences
        self._emit = emit
        self._names = CursorNames(connection.display)
        self._cursor: int | None = None
        self._under = 0
        root = connection.display.screen().root.id
        connection.send_raw(requests.select_cursor_input(found.xfixes.major, root), 1)

    def button(self, top: Top, message: Button) -> None:
        """A button, with the modifiers that were held for it."""
        if message.kind == X.ButtonPress:
            self.keyboard.match(message.state)
        self._over(top.id)
        self.pointer.button(message.kind, message.button, top.id, top.x + message.x, top.y + message.y)

    def motion(self, top: Top, x: int, y: int) -> None:
        """The pointer moved."""
        self._over(top.id)
        self.pointer.move(top.id, top.x + x, top.y + y)

    def crossing(self, top: Top, message: Crossing) -> None:
        """The pointer entered or left the window; what is inside of the window or due to a grab is neither."""
        if message.detail == _NOTIFY_INFERIOR:
            return
        if message.kind == _ENTER:
            self._over(top.id)
            self.pointer.enter(top.id, top.x + message.x, top.y + message.y)
        elif message.mode != _NOTIFY_GRAB:
            self.pointer.leave(top.x + message.x, top.y + message.y)
            self._under = 0

    def release_all(self) -> None:
        """Nothing is held any more."""
        self.keyboard.release_except(bytes(KEYMAP_BYTES))
        self.pointer.release_buttons()

    def cursor_changed(self, events: bytes) -> None:
        """XFixes CursorNotify events arrived; only the latest counts."""
        (atom,) = _CURSOR_ATOM.unpack_from(events, len(events) - _CURSOR_ATOM.size)
        self._cursor = self._names.index(atom)
        self._report_cursor(self._under)

    def _over(self, window: int) -> None:
        if self._under != window:
            self._under = window
            # The server reports cursors when they change, which they need not on the way from one window to another.
            self._fences.mark(lambda: self._report_cursor(window))

    def _report_cursor(self, window: int) -> None:
        if window == self._under and window in self._tops:
            self._emit(CursorShown(window, self._cursor))
