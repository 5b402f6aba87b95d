"""Fullscreen, maximised, minimised and urgent: wishes go to the window manager (EWMH), and what it makes of them comes
back. Where there is no window manager, windows are maximised without one; the rest then is nobody's business.
"""

from typing import Any, Final

import numpy as np
from Xlib import Xatom
from Xlib.protocol import request

from guid.core.host_events import ConfiguredEvent, HostEvent, MaximizedEvent, StateEvent
from guid.core.trusted import Geometry, StateFlags
from guid.hosts.x11.atoms import Atoms
from guid.hosts.x11.placement import Placement
from guid.hosts.x11.properties import Properties
from guid.hosts.x11.replies import Replies
from guid.hosts.x11.requests import client_message, send, send_event
from guid.hosts.x11.screen import Screen
from guid.hosts.x11.window import HostWindow, WindowTable
from shm.xconn import XConnection

_REMOVE: Final = 0
_ADD: Final = 1
_APPLICATION: Final = 1
_ICONIC_STATE: Final = 3
_TO_WINDOW_MANAGER: Final = 0x180000
"""SubstructureNotify and SubstructureRedirect: how EWMH wants messages sent to the root window."""
_MAX_ATOMS: Final = 64


class States:
    """Keeps _NET_WM_STATE, WM_HINTS and the core's idea of them in step."""

    def __init__(
        self, connection: XConnection, replies: Replies, windows: WindowTable, atoms: Atoms, properties: Properties,
        screen: Screen, placement: Placement,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._replies = replies
        self._windows = windows
        self._properties = properties
        self._screen = screen
        self._placement = placement
        self._answers: list[HostEvent] = []
        self.property = atoms["_NET_WM_STATE"]
        self._change_state = atoms["WM_CHANGE_STATE"]
        self._attention = atoms["_NET_WM_STATE_DEMANDS_ATTENTION"]
        self._fullscreen = atoms["_NET_WM_STATE_FULLSCREEN"]
        self._hidden = atoms["_NET_WM_STATE_HIDDEN"]
        self._maximized = (atoms["_NET_WM_STATE_MAXIMIZED_VERT"], atoms["_NET_WM_STATE_MAXIMIZED_HORZ"])
        self._manager = atoms["_NET_SUPPORTING_WM_CHECK"]

    def change(self, window: HostWindow, set_: StateFlags, unset: StateFlags) -> None:
        """What the core wants."""
        if StateFlags.MINIMIZE in set_:
            set_ &= ~StateFlags.FULLSCREEN
        if StateFlags.FULLSCREEN in set_:
            self._change(window, _ADD, self._fullscreen)
        elif StateFlags.FULLSCREEN in unset:
            self._change(window, _REMOVE, self._fullscreen)
        if StateFlags.DEMANDS_ATTENTION in set_ | unset:
            window.urgent = StateFlags.DEMANDS_ATTENTION in set_
            self._change(window, _ADD if window.urgent else _REMOVE, self._attention)
        if StateFlags.MINIMIZE in set_ and not window.override_redirect:
            if window.mapped:
                self._tell_manager(window, self._change_state, (_ICONIC_STATE, 0, 0, 0, 0))
            else:
                window.wants_minimized = True
        elif StateFlags.MINIMIZE in unset:
            window.wants_minimized = False
        self._write_hints(window)

    def maximize(self, window: HostWindow, maximized: bool) -> None:
        """The same for being maximised."""
        self._change(window, _ADD if maximized else _REMOVE, *self._maximized)

        def answer(reply: Any) -> None:
            if reply.value is None and self._windows.get(window.id) is window:
                self._maximize_alone(window, maximized)

        self._replies.ask(
            request.GetProperty, answer,
            delete=0, window=self._screen.root, property=self._manager, type=Xatom.WINDOW, long_offset=0, long_length=1,
        )  # fmt: skip

    def before_map(self, window: HostWindow) -> None:
        """Leave word of the states for the window manager that is about to see the window."""
        send(self._connection, self._properties.states(window.frame, window.states))
        self._write_hints(window)

    def after_unmap(self, window: HostWindow) -> None:
        """A withdrawn window has forgotten that it was to start minimised."""
        window.wants_minimized = False

    def changed(self, xid: int) -> None:
        """The property changed: find out how."""
        window = self._windows.find(xid)
        if window is None:
            return
        if window.asking_states:
            window.states_changed = True
            return

        def answer(reply: Any) -> None:
            window.asking_states = False
            if window.states_changed:  # after the answer, perhaps
                window.states_changed = False
                self.changed(xid)
            if self._windows.get(window.id) is window and window.mapped:
                kind, value = reply.value or (0, ())
                self._are(window, set(np.asarray(value, np.uint32).tolist()) if kind == 32 else set())

        window.asking_states = True
        self._replies.ask(
            request.GetProperty, answer,
            delete=0, window=xid, property=self.property, type=Xatom.ATOM, long_offset=0, long_length=_MAX_ATOMS,
        )  # fmt: skip

    def take_answers(self, out: list[HostEvent]) -> None:
        """Events that answers of the X server have become since the last call."""
        out += self._answers
        self._answers.clear()

    def _are(self, window: HostWindow, states: set[int]) -> None:
        window.states = states - {self._hidden}
        flags = StateFlags(0)
        if self._fullscreen in states:
            flags |= StateFlags.FULLSCREEN
        if self._attention in states:
            flags |= StateFlags.DEMANDS_ATTENTION
        if self._hidden in states:
            flags |= StateFlags.MINIMIZE
        if flags != window.flags:
            self._answers.append(StateEvent(window.id, flags & ~window.flags, window.flags & ~flags))
            window.flags = flags
        self._is_maximized(window, states.issuperset(self._maximized))

    def _is_maximized(self, window: HostWindow, maximized: bool) -> None:
        if maximized is not window.maximized:
            window.maximized = maximized
            self._answers.append(MaximizedEvent(window.id, maximized))

    def _maximize_alone(self, window: HostWindow, maximized: bool) -> None:
        if maximized is (window.restore is not None):
            return
        area, border = self._screen.info.work_area, window.frame.border
        width, height = window.frame.content_size(area.width, area.height)
        place = window.restore or Geometry(area.x + border, area.y + border, width, height)
        window.restore = window.geometry if maximized else None
        self._placement.ask(window, place)
        self._answers.append(ConfiguredEvent(window.id, place))
        self._is_maximized(window, maximized)

    def _change(self, window: HostWindow, action: int, first: int, second: int = 0) -> None:
        atoms = {first, second} - {0}
        window.states = window.states | atoms if action == _ADD else window.states - atoms
        if window.mapped and not window.override_redirect:
            self._tell_manager(window, self.property, (action, first, second, _APPLICATION, 0))

    def _tell_manager(self, window: HostWindow, kind: int, values: tuple[int, int, int, int, int]) -> None:
        message = client_message(window.frame.outer, kind, values)
        send(self._connection, [send_event(self._screen.root, _TO_WINDOW_MANAGER, message)])

    def _write_hints(self, window: HostWindow) -> None:
        hints = self._properties.wm_hints(window.frame, urgent=window.urgent, iconic=window.wants_minimized)
        send(self._connection, hints)
