"""The windows of an X server, as a `Source`: this module wires the parts together.

Redirection is Manual by default: every window has its own pixels off screen and the X server draws them nowhere else.
Nobody looks at the screen of an AppVM, and Automatic would make the server copy everything that is drawn a second time,
onto that screen. The price is that screenshots of the VM's whole screen, made inside the VM, show an empty desktop;
`keep_screen` chooses Automatic for VMs that share their screen in video calls.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import Xlib.error
from Xlib import X

from backends.base import PageSharer
from guiagent.core import operations
from guiagent.core.source_events import SourceEvent
from guiagent.sources.base import Clipboard, Icons, LayoutChanger, Source
from guiagent.sources.x11 import extensions, requests
from guiagent.sources.x11.atoms import Atoms
from guiagent.sources.x11.audiences import Audiences
from guiagent.sources.x11.capture import Capture
from guiagent.sources.x11.clipboard import X11Clipboard
from guiagent.sources.x11.following import Following
from guiagent.sources.x11.icons import X11Icons
from guiagent.sources.x11.layout import LayoutSetter
from guiagent.sources.x11.monitors import Screen
from guiagent.sources.x11.seat import Seat
from guiagent.sources.x11.tray import Tray
from guiagent.sources.x11.tree import Top, Tree
from guiagent.sources.x11.window_manager import WindowManager
from guiproto.errors import MachineCannot
from guiproto.messages import (
    Button,
    Close,
    Configure,
    Crossing,
    Focus,
    KeymapNotify,
    KeyPress,
    Map,
    Motion,
    WindowFlag,
    WindowFlags,
)
from qubesdb.keys import Monitor
from shm.fences import NO_EXPOSURE, Fences
from shm.xconn import RawEvents, XConnection

_CURSOR_NOTIFY: Final = 1
_FOCUS_IN: Final = 9
_SENT_BY_A_PROGRAM: Final = 0x80


class X11Source(Source):
    """All windows of one X server, which has no other agent and no compositing manager."""

    def __init__(self, display: str | None, sharer: PageSharer, *, keep_screen: bool = False) -> None:
        """`display`: ":N", or $DISPLAY if None. Raises MachineCannot with what the X server lacks."""
        super().__init__()
        self._connection = XConnection(display)
        try:
            self._set_up(sharer, keep_screen)
        except (MachineCannot, Xlib.error.XError):
            self._connection.close()
            raise

    def _set_up(self, sharer: PageSharer, keep_screen: bool) -> None:
        connection = self._connection
        self._out: list[SourceEvent] = []
        self._found = found = extensions.require(connection)
        atoms = Atoms(connection.display)
        self._fences = Fences(connection)
        self._damage = requests.Damage(found.damage.major)
        self._capture = Audiences(self._make_capture, sharer)
        self._tops: dict[int, Top] = {}
        self._seat = Seat(connection, self._tops, found, self._fences, self._emit)
        self._screen = Screen(connection)
        self._manager = WindowManager(connection, atoms)
        self._tree = Tree(
            connection, found, self._tops, atoms, self._capture, self._manager, Tray(connection, atoms), self._emit,
            self._seat.pointer.resize, self._seat.pointer.restacked,
        )  # fmt: skip
        self._raw: dict[int, Callable[[bytes], None]] = {
            found.damage.first_event: self._capture.damaged,
            found.shape.first_event: self._capture.reshaped,
            NO_EXPOSURE: self._fences.passed,
            found.xkb.first_event: self._seat.keyboard.notified,
            found.xfixes.first_event + _CURSOR_NOTIFY: self._seat.cursor_changed,
        }
        connection.raw_events = frozenset(self._raw)
        display: Any = connection.display
        # A program that grabs the server stops all others, but must not stop the desktop's view of them.
        display.xtest_grab_control(True)
        # Nobody looks at this screen: blanking it would only put a window of the server's over everything.
        display.set_screen_saver(0, 0, X.DefaultBlanking, X.DefaultExposures)
        self._take_over(keep_screen=keep_screen)

    # --- what other ways to get at the pixels of an X server do differently ---

    def _make_capture(self, sharer: PageSharer, audience: int) -> Following[Any]:
        return Capture(self._connection, self._fences, self._damage, sharer, self._emit, audience)

    def _take_over(self, *, keep_screen: bool) -> None:
        """Have windows drawn off screen, and follow them from now on.

        Raises MachineCannot when a compositor runs already: windows can be redirected Manual only once.
        """
        display: Any = self._connection.display
        self._connection.sync()
        before = self._connection.errors
        display.screen().root.composite_redirect_subwindows(int(not keep_screen))
        self._connection.sync()
        if self._connection.errors != before:
            raise MachineCannot(
                "another program has redirected this X server's windows",
                "stop the other guiagent or compositing manager on this display",
            )
        self._tree.follow()

    def _handle(self, event: Any) -> None:
        """An event that is not read raw."""
        self._tree.handle(event)

    # --- reports ---

    def fileno(self) -> int:
        return self._connection.fileno()

    def events(self) -> Sequence[SourceEvent]:
        connection = self._connection
        events = connection.events()
        while events:
            for event in events:
                if type(event) is RawEvents:
                    code, data = event
                    if not data[0] & _SENT_BY_A_PROGRAM:
                        self._raw[code](data)
                else:
                    self._handle(event)
            # Handlers may ask the server and wait: what came before the answer is of the same moment.
            events = connection.events() if connection.unseen else []
        self._tree.refresh()
        self._capture.report()
        out, self._out = self._out, []
        return out

    def flush(self) -> None:
        self._capture.capture()
        self._connection.flush()

    def hold(self, held: bool, audience: int = 0) -> None:
        self._capture.hold(audience, held=held)

    def admit(self, audience: int, sharer: PageSharer) -> None:
        self._capture.admit(audience, sharer)

    def dismiss(self, audience: int) -> None:
        self._capture.dismiss(audience)

    def stacking(self) -> Sequence[int]:
        return self._tree.stacking()

    def arrange(self, monitors: Sequence[Monitor]) -> None:
        self._screen.arrange(monitors)

    def layout_changer(self) -> LayoutChanger:
        return LayoutSetter(self._connection.display)

    def clipboard(self) -> Clipboard:
        return X11Clipboard(self._connection.display.get_display_name())

    def icons(self) -> Icons:
        return X11Icons(self._connection.display.get_display_name())

    def close(self) -> None:
        with contextlib.suppress(MachineCannot):  # the server is gone, and everything that it had
            self._capture.close()
        self._connection.close()

    def _emit(self, event: SourceEvent) -> None:
        self._out.append(event)

    # --- pixels ---

    def capture(self, operation: operations.Capture) -> None:
        top = self._tops.get(operation.window)
        if top is not None and top.mapped:
            self._capture.start(operation.audience, top.id, top.width, top.height)

    def forget(self, operation: operations.Forget) -> None:
        self._capture.forget(operation.buffer)

    # --- windows ---

    def configure(self, operation: Configure) -> None:
        window, x, y, width, height, _ = operation
        top = self._tops.get(window)
        if top is not None:
            self._connection.send_raw(requests.configure_window(window, x=x, y=y, width=width, height=height), 1)
            # Input that follows is meant for the new place; the size is believed when the server confirms it.
            top.x, top.y = x, y
            self._fences.mark(lambda: self._tree.report(window))

    def map(self, operation: Map) -> None:
        top = self._tops.get(operation.window)
        if top is not None:
            self._manager.set_states(top.id, 0, WindowFlag.MINIMIZE, self._tree.properties)
            if not top.mapped:
                self._connection.send_raw(requests.map_window(top.id), 1)

    def close_window(self, operation: Close) -> None:
        if operation.window in self._tops:
            self._manager.close(operation.window, self._tree.properties)

    def set_state(self, operation: WindowFlags) -> None:
        if operation.window in self._tops:
            self._manager.set_states(operation.window, operation.set, operation.unset, self._tree.properties)

    # --- input ---

    def focus(self, operation: Focus) -> None:
        if operation.window not in self._tops:
            return
        if operation.kind == _FOCUS_IN:
            self._manager.focus(operation.window, self._tree.properties)
        else:
            self._manager.unfocus(operation.window)

    def key(self, operation: KeyPress) -> None:
        self._seat.keyboard.key(operation.kind, operation.keycode, operation.state)

    def button(self, operation: Button) -> None:
        top = self._tops.get(operation.window)
        if top is not None:
            self._seat.button(top, operation)

    def motion(self, operation: Motion) -> None:
        top = self._tops.get(operation.window)
        if top is not None:
            self._seat.motion(top, operation.x, operation.y)

    def crossing(self, operation: Crossing) -> None:
        top = self._tops.get(operation.window)
        if top is not None:
            self._seat.crossing(top, operation)

    def release_keys(self, operation: KeymapNotify) -> None:
        self._seat.keyboard.release_except(operation.keys)

    def release_all(self) -> None:
        self._seat.release_all()
