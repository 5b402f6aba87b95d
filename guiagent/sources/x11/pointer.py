"""A program in the guest sees the pointer where it is over its window on the desktop, and sees it leave.

Which of several windows is under the pointer is the desktop's to say, and programs stack theirs as they like. So the
window that the desktop names comes to the top here before anything happens in it, except while a button is held: then
input is that window's anyway, and what a program drags must be able to find what is below it.
"""

from typing import Any, Final

from Xlib import X

from guiagent.sources.x11 import requests
from guiagent.sources.x11.requests import FakeInput
from shm.xconn import XConnection

_PRESS: Final = 4
_RELEASE: Final = 5
_BUTTONS: Final = range(1, 256)
_FAR: Final = 32767


class Pointer:
    """The guest's pointer, moved by XTEST. Coordinates are the root window's."""

    def __init__(self, connection: XConnection, fake: FakeInput) -> None:
        self._connection = connection
        self._fake = fake
        screen: Any = connection.display.screen()
        self._root = int(screen.root.id)
        self._screen: tuple[int, int] = (int(screen.width_in_pixels), int(screen.height_in_pixels))
        self._position: tuple[int, int] | None = None
        self._down: set[int] = set()
        self._top = 0
        """The window that was brought to the top, as long as no other is known to have come above it."""
        self._hidden = False
        stub = screen.root.create_window(
            0, 0, 1, 1, 0, X.CopyFromParent, X.InputOnly, X.CopyFromParent, override_redirect=True
        )
        self._stub = int(stub.id)

    def resize(self, width: int, height: int) -> None:
        """The guest's screen has another size."""
        self._screen = width, height

    def restacked(self, window: int) -> None:
        """Somebody may have put this window on top."""
        if window != self._top:
            self._top = 0

    def move(self, window: int, x: int, y: int) -> None:
        """The pointer is there now, over this window or dragging from it."""
        if self._top != window and not self._down:
            self._raise(window)
        self._send(x, y)
        if self._hidden:
            self._hidden = False
            self._connection.send_raw(requests.unmap_window(self._stub), 1)

    def enter(self, window: int, x: int, y: int) -> None:
        """The pointer is over this window now, which is therefore the topmost of those there."""
        self._raise(window)
        self.move(window, x, y)

    def button(self, kind: int, button: int, window: int, x: int, y: int) -> None:
        """A button goes down or up there. Numbers that X does not know are ignored, and so are ups without a down."""
        if button not in _BUTTONS:
            return
        if kind == _PRESS:
            if not self._down:
                self._raise(window)  # whatever is known: a click must not go astray for a word that is under way
            self._down.add(button)
        elif kind == _RELEASE and button in self._down:
            self._down.discard(button)
        else:
            return
        if self._hidden or self._position != (x, y):
            self.move(window, x, y)
        self._connection.send_raw(self._fake.event(kind, button), 1)

    def release_buttons(self) -> None:
        """Let go of everything that is held."""
        for button in sorted(self._down):
            self._connection.send_raw(self._fake.event(_RELEASE, button), 1)
        self._down.clear()

    def leave(self, x: int, y: int) -> None:
        """The pointer is over none of our windows; it was last seen there.

        The guest cannot do without a pointer, so it gets a window of one pixel to be over, at that very place.
        """
        width, height = self._screen
        x, y = max(0, min(x, width - 1)), max(0, min(y, height - 1))
        self._connection.send_raw(requests.configure_window(self._stub, x=x, y=y, stack_mode=X.Above), 1)
        self._connection.send_raw(requests.map_window(self._stub), 1)
        self._hidden = True
        self._send(x, y)

    def _raise(self, window: int) -> None:
        """The stub stays above it until the pointer has moved, or the pointer would enter the window where it left."""
        self._top = window
        if self._hidden:
            self._connection.send_raw(requests.configure_window(self._stub, stack_mode=X.Above), 1)
            below = requests.configure_window(window, sibling=self._stub, stack_mode=X.Below)
            self._connection.send_raw(below, 1)
        else:
            self._connection.send_raw(requests.configure_window(window, stack_mode=X.Above), 1)

    def _send(self, x: int, y: int) -> None:
        self._position = x, y
        x, y = max(-_FAR, min(x, _FAR)), max(-_FAR, min(y, _FAR))
        self._connection.send_raw(self._fake.motion(self._root, x, y), 1)
