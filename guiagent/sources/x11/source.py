"""The windows of an X server, as a `Source`: this module wires the parts together and follows the window tree.

Redirection is Manual by default: every window has its own pixels off screen and the X server draws them nowhere else.
Nobody looks at the screen of an AppVM, and Automatic would make the server copy everything that is drawn a second time,
onto that screen. The price is that screenshots of the VM's whole screen, made inside the VM, show an empty desktop;
`keep_screen` chooses Automatic for VMs that share their screen in video calls.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

import Xlib.error
from Xlib import X
from Xlib.protocol import request as core_request

from backends.base import PageSharer
from guiagent.core import operations, source_events
from guiagent.core.source_events import SourceEvent
from guiagent.sources.base import Source
from guiagent.sources.x11 import extensions, requests
from guiagent.sources.x11.atoms import Atoms
from guiagent.sources.x11.capture import Capture
from guiagent.sources.x11.cursors import CursorNames
from guiagent.sources.x11.fences import NO_EXPOSURE, Fences
from guiagent.sources.x11.keyboard import Keyboard
from guiagent.sources.x11.pointer import Pointer
from guiagent.sources.x11.properties import Hints, Properties
from guiagent.sources.x11.window_manager import WindowManager
from guiproto.errors import MachineCannot
from guiproto.limits import KEYMAP_BYTES
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
from shm.xconn import RawEvents, XConnection

_CURSOR_ATOM: Final = Struct("=I")
_CURSOR_ATOM_OFFSET: Final = 16
_CURSOR_NOTIFY: Final = 1
_FOCUS_IN: Final = 9
_ENTER: Final = 7
_NOTIFY_GRAB: Final = 1
_NOTIFY_INFERIOR: Final = 2
_NO_FLAGS: Final = WindowFlag(0)


@dataclass(slots=True)
class _Top:
    """A top-level window as the X server described it last."""

    id: int
    x: int
    y: int
    width: int
    height: int
    override_redirect: bool
    mapped: bool = False
    urgent: bool = False


class X11Source(Source):
    """Every child of the root window that can show pixels is one of ours."""

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
        self._display: Any = connection.display
        self._root: Any = self._display.screen().root
        self._out: list[SourceEvent] = []
        self._tops: dict[int, _Top] = {}
        self._held = True
        found = extensions.require(connection)
        atoms = Atoms(self._display)
        fake = requests.FakeInput(found.xtest.major)
        self._fences = Fences(connection)
        self._capture = Capture(connection, self._fences, requests.Damage(found.damage.major), sharer, self._emit)
        self._keyboard = Keyboard(connection, found.xkb, fake)
        self._pointer = Pointer(connection, fake)
        self._cursor_names = CursorNames(self._display)
        self._cursor: int | None = None
        self._under_pointer = 0
        self._manager = WindowManager(connection, atoms)
        self._properties = Properties(connection, atoms.__getitem__, self._hinted, self._states_set)
        self._raw: dict[int, Callable[[bytes], None]] = {
            found.damage.first_event: self._capture.damaged,
            NO_EXPOSURE: self._fences.passed,
            found.xkb.first_event: self._keyboard.notified,
            found.xfixes.first_event + _CURSOR_NOTIFY: self._cursor_changed,
        }
        connection.raw_events = frozenset(self._raw)
        self._handlers: dict[int, Callable[[Any], None]] = {
            X.CreateNotify: self._created,
            X.DestroyNotify: self._destroyed,
            X.MapNotify: self._mapped,
            X.UnmapNotify: self._unmapped,
            X.ReparentNotify: self._reparented,
            X.ConfigureNotify: self._configured,
            X.GravityNotify: self._gravitated,
            X.PropertyNotify: self._property_changed,
            X.ClientMessage: self._messaged,
        }
        self._redirect(keep_screen)
        # A program that grabs the server stops all others, but must not stop the desktop's view of them.
        self._display.xtest_grab_control(True)
        # Nobody looks at this screen: blanking it would only put a window of the server's over everything.
        self._display.set_screen_saver(0, 0, X.DefaultBlanking, X.DefaultExposures)
        connection.send_raw(requests.select_cursor_input(found.xfixes.major, self._root.id), 1)
        self._root.change_attributes(event_mask=X.SubstructureNotifyMask | X.StructureNotifyMask)
        for window in self._root.query_tree().children:
            self._adopt(window.id, fresh=False)
        self._out.extend(self._properties.refresh())

    def _redirect(self, keep_screen: bool) -> None:
        """Raises MachineCannot when a compositor runs already: windows can be redirected Manual only once."""
        self._connection.sync()
        before = self._connection.errors
        self._root.composite_redirect_subwindows(int(not keep_screen))
        self._connection.sync()
        if self._connection.errors != before:
            raise MachineCannot(
                "another program has redirected this X server's windows",
                "stop the other guiagent or compositing manager on this display",
            )

    # --- reports ---

    def fileno(self) -> int:
        return self._connection.fileno()

    def events(self) -> Sequence[SourceEvent]:
        for event in self._connection.events():
            if type(event) is RawEvents:
                self._raw[event.code](event.data)
                continue
            handler = self._handlers.get(event.type)
            # Only the server itself speaks the truth about windows; programs may send messages.
            if handler is not None and (not event.send_event or event.type == X.ClientMessage):
                handler(event)
        if self._properties.stale:
            self._out.extend(self._properties.refresh())
        out, self._out = self._out, []
        return out

    def flush(self) -> None:
        if not self._held:
            self._capture.capture()
        self._connection.flush()

    def hold(self, held: bool) -> None:
        self._held = held

    def stacking(self) -> Sequence[int]:
        return [window.id for window in self._root.query_tree().children if window.id in self._tops]

    def close(self) -> None:
        self._capture.close()
        self._connection.close()

    def _emit(self, event: SourceEvent) -> None:
        self._out.append(event)

    # --- the window tree ---

    def _adopt(self, window: int, *, fresh: bool) -> None:
        """Follow a child of the root window. A `fresh` one's MapNotify is still to come."""
        if window in self._tops or self._is_ours(window):
            return
        self._connection.send_raw(requests.select_events(window, X.PropertyChangeMask), 1)
        wire = self._display.display
        attributes: Any = core_request.GetWindowAttributes(display=wire, defer=True, window=window)
        geometry: Any = core_request.GetGeometry(display=wire, defer=True, drawable=window)
        try:
            attributes.reply()
            geometry.reply()
        except Xlib.error.XError:
            return  # it was gone before we looked
        if attributes.win_class == X.InputOnly:
            return
        if geometry.border_width:
            self._drop_border(window)
        top = _Top(window, geometry.x, geometry.y, geometry.width, geometry.height, bool(attributes.override_redirect))
        self._tops[window] = top
        self._capture.watch(window, geometry.depth)
        self._emit(source_events.Created(window, top.x, top.y, top.width, top.height, top.override_redirect))
        self._properties.all_changed(window)
        if attributes.map_state != X.IsUnmapped and not fresh:
            self._show(top)

    def _lose(self, window: int, *, destroyed: bool) -> None:
        if self._tops.pop(window, None) is None:
            return
        self._capture.unwatch(window, destroyed=destroyed)
        if self._under_pointer == window:
            self._under_pointer = 0
        self._emit(source_events.Destroyed(window))

    def _is_ours(self, window: int) -> bool:
        info: Any = self._display.display.info
        return bool(window & ~info.resource_id_mask == info.resource_id_base)

    def _drop_border(self, window: int) -> None:
        # The desktop draws borders; a window's own would lie outside of the pixels that we can share.
        self._connection.send_raw(requests.configure_window(window, border_width=0), 1)

    def _show(self, top: _Top) -> None:
        # A title, a dialog's owner or a wish for the full screen count now: the desktop's window manager looks once.
        self._out.extend(self._properties.refresh())
        top.mapped = True
        if not top.override_redirect:
            self._manager.mapped(top.id)
        self._emit(source_events.Mapped(top.id, top.override_redirect))

    def _created(self, event: Any) -> None:
        if event.parent.id == self._root.id:
            self._adopt(event.window.id, fresh=True)

    def _destroyed(self, event: Any) -> None:
        self._lose(event.window.id, destroyed=True)

    def _mapped(self, event: Any) -> None:
        top = self._tops.get(event.window.id)
        if top is not None and not top.mapped:
            top.override_redirect = bool(event.override)
            self._show(top)

    def _unmapped(self, event: Any) -> None:
        top = self._tops.get(event.window.id)
        if top is not None and top.mapped:
            top.mapped = False
            self._capture.stop(top.id)
            self._emit(source_events.Unmapped(top.id))

    def _reparented(self, event: Any) -> None:
        if event.parent.id == self._root.id:
            self._adopt(event.window.id, fresh=True)
        else:
            self._lose(event.window.id, destroyed=False)

    def _configured(self, event: Any) -> None:
        if event.window.id == self._root.id:
            self._pointer.screen = event.width, event.height
            return
        top = self._tops.get(event.window.id)
        if top is None:
            return
        if event.border_width:
            self._drop_border(top.id)
        top.x, top.y, top.width, top.height = event.x, event.y, event.width, event.height
        top.override_redirect = bool(event.override)
        self._report(top)

    def _gravitated(self, event: Any) -> None:
        top = self._tops.get(event.window.id)
        if top is not None:
            top.x, top.y = event.x, event.y
            self._report(top)

    def _report(self, top: _Top) -> None:
        self._emit(source_events.Configured(top.id, top.x, top.y, top.width, top.height, top.override_redirect))

    # --- what programs say ---

    def _property_changed(self, event: Any) -> None:
        if event.window.id in self._tops:
            self._properties.changed(event.window.id, event.atom)

    def _messaged(self, event: Any) -> None:
        wish = self._manager.asked(event, self._properties)
        if wish is not None and wish.window in self._tops and (wish.set or wish.unset):
            self._emit(wish)

    def _hinted(self, window: int, hints: Hints) -> SourceEvent | None:
        top = self._tops.get(window)
        if top is None or top.urgent == hints.urgent:
            return None
        top.urgent = hints.urgent
        attention = WindowFlag.DEMANDS_ATTENTION
        return source_events.StateWished(
            window, attention if top.urgent else _NO_FLAGS, _NO_FLAGS if top.urgent else attention
        )

    def _states_set(self, window: int, atoms: Sequence[int]) -> SourceEvent | None:
        """Programs write _NET_WM_STATE themselves only before they map the window: EWMH."""
        top = self._tops.get(window)
        flags = self._manager.flags(atoms)
        return source_events.StateWished(window, flags, _NO_FLAGS) if top and not top.mapped and flags else None

    def _cursor_changed(self, events: bytes) -> None:
        (atom,) = _CURSOR_ATOM.unpack_from(events, len(events) - 32 + _CURSOR_ATOM_OFFSET)
        self._cursor = self._cursor_names.index(atom)
        self._report_cursor(self._under_pointer)

    def _report_cursor(self, window: int) -> None:
        if window and window == self._under_pointer:
            self._emit(source_events.CursorShown(window, self._cursor))

    # --- operations ---

    def capture(self, operation: operations.Capture) -> None:
        top = self._tops.get(operation.window)
        if top is not None and top.mapped:
            self._capture.start(top.id, top.width, top.height)

    def forget(self, operation: operations.Forget) -> None:
        self._capture.forget(operation.buffer)

    def configure(self, operation: Configure) -> None:
        top = self._tops.get(operation.window)
        if top is None:
            return
        self._connection.send_raw(
            requests.configure_window(
                top.id, x=operation.x, y=operation.y, width=operation.width, height=operation.height
            ),
            1,
        )
        # Input that follows is meant for the new place; the size is believed when the server confirms it.
        top.x, top.y = operation.x, operation.y
        self._fences.mark(lambda: self._answer(operation.window))

    def _answer(self, window: int) -> None:
        top = self._tops.get(window)
        if top is not None:
            self._report(top)

    def map(self, operation: Map) -> None:
        top = self._tops.get(operation.window)
        if top is not None:
            self._manager.set_states(top.id, 0, WindowFlag.MINIMIZE, self._properties)
            if not top.mapped:
                self._connection.send_raw(requests.map_window(top.id), 1)

    def close_window(self, operation: Close) -> None:
        if operation.window in self._tops:
            self._manager.close(operation.window, self._properties)

    def set_state(self, operation: WindowFlags) -> None:
        if operation.window in self._tops:
            self._manager.set_states(operation.window, operation.set, operation.unset, self._properties)

    def focus(self, operation: Focus) -> None:
        if operation.window not in self._tops:
            return
        if operation.kind == _FOCUS_IN:
            self._manager.focus(operation.window, self._properties)
        else:
            self._manager.unfocus(operation.window)

    def key(self, operation: KeyPress) -> None:
        self._keyboard.key(operation.kind, operation.keycode, operation.state)

    def button(self, operation: Button) -> None:
        top = self._tops.get(operation.window)
        if top is not None:
            if operation.kind == X.ButtonPress:
                self._keyboard.match(operation.state)
            self._over(top.id)
            self._pointer.button(operation.kind, operation.button, top.x + operation.x, top.y + operation.y)

    def motion(self, operation: Motion) -> None:
        top = self._tops.get(operation.window)
        if top is not None:
            self._over(top.id)
            self._pointer.move(top.x + operation.x, top.y + operation.y)

    def crossing(self, operation: Crossing) -> None:
        top = self._tops.get(operation.window)
        if top is None or operation.detail == _NOTIFY_INFERIOR:
            return
        x, y = top.x + operation.x, top.y + operation.y
        if operation.kind == _ENTER:
            # What is on top on the desktop must be on top here, or the click goes to another window.
            self._connection.send_raw(requests.configure_window(top.id, stack_mode=X.Above), 1)
            self._over(top.id)
            self._pointer.move(x, y)
        elif operation.mode != _NOTIFY_GRAB:  # a grab on the desktop does not move the pointer away
            self._pointer.leave(x, y)
            self._under_pointer = 0

    def _over(self, window: int) -> None:
        if self._under_pointer != window:
            self._under_pointer = window
            # The server reports cursors when they change, which they need not on the way from one window to another.
            self._fences.mark(lambda: self._report_cursor(window))

    def release_keys(self, operation: KeymapNotify) -> None:
        self._keyboard.release_except(operation.keys)

    def release_all(self) -> None:
        self._keyboard.release_except(bytes(KEYMAP_BYTES))
        self._pointer.release_buttons()
