"""A question on a desktop that no VM can answer, cover, or have answered by accident: a window of the GUI domain's own.

It is no window of a VM's worker and has no VM's border. It is above all others; whenever something comes above it, it
comes back to the top, and clicks count again only when it has been there for a moment.
"""

import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import Xlib.error
from Xlib import X, Xutil

from guid.control import LineSocket
from guid.core.trusted import Label
from guiproto.errors import MachineCannot
from shm.xconn import XConnection

WIDTH: Final = 460
HEIGHT: Final = 170
SETTLE_SECONDS: Final = 0.6
"""How long it must have been on top before a click counts: what the user was about to click on is no answer."""
_PAPER, _INK, _EDGE, _FACE = 0xF4F4F4, 0x202020, 0x202020, 0xD8D8D8
_SWATCH: Final = 14


@dataclass(frozen=True, slots=True)
class Button:
    """A rectangle of the window that answers."""

    text: str
    x: int
    y: int = HEIGHT - 46
    width: int = 130
    height: int = 32

    def hit(self, x: int, y: int) -> bool:
        """Whether that is inside."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


YES: Final = Button("Paste", 60)
NO: Final = Button("Do not", WIDTH - 60 - 130)


class Question:
    """May what was copied from one VM be pasted into another? On the display of that name."""

    def __init__(
        self,
        display: str | None,
        source: tuple[str, Label],
        target: tuple[str, Label],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises MachineCannot if there is no such display, or it has no font."""
        self._source, self._target = source, target
        self._clock = clock
        self._connection = XConnection(display)
        self._display: Any = self._connection.display
        self._root: Any = self._display.screen().root
        try:
            self._font = self._open_font()
            self._show()
        except (Xlib.error.XError, MachineCannot):
            self._connection.close()
            raise MachineCannot("the question cannot be shown on this display", "write allow or deny") from None
        self._on_top_since = clock()

    def answer(self, line: LineSocket) -> bool | None:
        """Wait for it; None if `line` is closed before. Raises MachineCannot when the display is gone."""
        while not line.closed:
            for event in self._connection.events():
                answer = self._heard(event)
                if answer is not None:
                    return answer
            self._connection.flush()
            readable, _, _ = select.select([self._connection.fileno(), line.fileno()], [], [])
            if line.fileno() in readable:
                line.receive()
        return None

    def close(self) -> None:
        """Take it away."""
        self._connection.close()

    def _open_font(self) -> Any:
        for name in ("9x15", "fixed", "*"):
            if self._display.list_fonts(name, 1):
                return self._display.open_font(name)
        raise MachineCannot("this display has no font")

    def _show(self) -> None:
        screen: Any = self._display.screen()
        x, y = (screen.width_in_pixels - WIDTH) // 2, (screen.height_in_pixels - HEIGHT) // 3
        self._root.change_attributes(event_mask=X.SubstructureNotifyMask)
        self._window = self._root.create_window(
            x, y, WIDTH, HEIGHT, 2, screen.root_depth, override_redirect=True, background_pixel=_PAPER,
            border_pixel=_EDGE, event_mask=X.ExposureMask | X.ButtonPressMask | X.ButtonReleaseMask,
        )  # fmt: skip
        self._window.set_wm_name("guid: paste?")
        self._window.set_wm_hints(flags=Xutil.InputHint, input=0)
        self._gc = self._window.create_gc(foreground=_INK, background=_PAPER, font=self._font)
        self._window.map()
        self._connection.sync()

    def _heard(self, event: Any) -> bool | None:
        if event.type == X.Expose:
            if event.count == 0:
                self._draw()
        elif event.type in (X.ConfigureNotify, X.MapNotify, X.ReparentNotify):
            if event.window.id != self._window.id:
                self._stay_on_top()
        elif event.type == X.ButtonRelease and event.detail == 1 and not event.send_event:
            self._stay_on_top()
            if self._clock() - self._on_top_since >= SETTLE_SECONDS:
                if YES.hit(event.event_x, event.event_y):
                    return True
                if NO.hit(event.event_x, event.event_y):
                    return False
        return None

    def _stay_on_top(self) -> None:
        windows = self._root.query_tree().children
        above = windows[[window.id for window in windows].index(self._window.id) + 1 :]
        if any(self._is_seen(window) for window in above):
            self._window.configure(stack_mode=X.Above)
            self._on_top_since = self._clock()

    @staticmethod
    def _is_seen(window: Any) -> bool:
        try:
            return bool(window.get_attributes().map_state == X.IsViewable)
        except Xlib.error.XError:
            return False  # it was gone before we looked

    def _draw(self) -> None:
        self._text(24, 36, "May what you copied in")
        self._vm(24, 60, *self._source)
        self._text(24, 84, "be pasted into")
        self._vm(150, 84, *self._target)
        for button in (YES, NO):
            self._gc.change(foreground=_FACE)
            self._window.fill_rectangle(self._gc, button.x, button.y, button.width, button.height)
            self._gc.change(foreground=_INK)
            self._window.rectangle(self._gc, button.x, button.y, button.width, button.height)
            self._text(button.x + 36, button.y + 21, button.text)

    def _vm(self, x: int, y: int, name: str, label: Label) -> None:
        self._gc.change(foreground=label.color)
        self._window.fill_rectangle(self._gc, x, y - 12, _SWATCH, _SWATCH)
        self._gc.change(foreground=_INK)
        self._text(x + _SWATCH + 8, y, name)

    def _text(self, x: int, y: int, text: str) -> None:
        self._window.draw_text(self._gc, x, y, text.encode("ascii", "replace"))
