"""Programs find the window manager that they expect, and what they ask of it becomes a wish that the desktop decides.

The real window manager is the desktop's. Here is only as much of one as toolkits look for: the supporting window, the
list of what is supported, states as properties, the active window. Map and configure requests are *not* intercepted
(SubstructureRedirect): the X server carries them out at once and we report what came of it. Interception would put a
round trip through this process into every popup, and hang every program of the VM whenever this process is stopped; it
would gain nothing, as the desktop's answer arrives later either way and moves the window then.
"""

import logging
import os
from collections.abc import Sequence
from typing import Any, Final

import Xlib.error
from Xlib import X, Xatom

from guiagent.core.source_events import StateWished
from guiagent.sources.x11 import requests
from guiagent.sources.x11.atoms import Atoms
from guiagent.sources.x11.properties import Properties, parse_hints
from guiproto.messages import WindowFlag
from shm.xconn import XConnection

_log = logging.getLogger(__name__)

_NAME: Final = "Odyssey GUI agent"
_SUPPORTED: Final = (
    "_NET_SUPPORTED",
    "_NET_SUPPORTING_WM_CHECK",
    "_NET_ACTIVE_WINDOW",
    "_NET_WM_NAME",
    "_NET_WM_STATE",
    "_NET_WM_STATE_FULLSCREEN",
    "_NET_WM_STATE_DEMANDS_ATTENTION",
    "_NET_WM_STATE_HIDDEN",
)
"""Not _GTK_FRAME_EXTENTS, nor is there a compositing manager's selection: pixels that cross have no transparency, and
toolkits that draw their own frames leave out shadows and round corners then."""
_STATES: Final = {
    "_NET_WM_STATE_FULLSCREEN": WindowFlag.FULLSCREEN,
    "_NET_WM_STATE_DEMANDS_ATTENTION": WindowFlag.DEMANDS_ATTENTION,
    "_NET_WM_STATE_HIDDEN": WindowFlag.MINIMIZE,
}
_REMOVE, _ADD, _TOGGLE = 0, 1, 2
_NORMAL_STATE: Final = 1
_ICONIC_STATE: Final = 3
_NONE: Final = WindowFlag(0)


class WindowManager:
    """The pseudo window manager of one X server."""

    def __init__(self, connection: XConnection, atoms: Atoms) -> None:
        self._connection = connection
        self._display: Any = connection.display
        self._atoms = atoms
        self._root: Any = self._display.screen().root
        self._flag_of = {atoms[name]: flag for name, flag in _STATES.items()}
        self._active = 0
        self.managing = not self._another()
        if self.managing:
            self._announce()
        else:
            _log.warning("another window manager runs in this VM: its frames are shown as windows")

    # --- what programs ask ---

    def asked(self, event: Any, properties: Properties) -> StateWished | None:
        """A ClientMessage that was sent to the root window."""
        window = int(event.window.id)
        kind, words = event.data
        if kind != 32:
            return None
        if event.client_type == self._atoms["_NET_WM_STATE"]:
            flags = self.flags(words[1:3])
            action = words[0]
            if action == _TOGGLE:
                (value,) = properties.read(window, self._atoms["_NET_WM_STATE"])
                now = self.flags(value.words if value is not None else ())
                return StateWished(window, flags & ~now, flags & now)
            return StateWished(window, flags if action == _ADD else _NONE, flags if action == _REMOVE else _NONE)
        if event.client_type == self._atoms["WM_CHANGE_STATE"] and words[0] == _ICONIC_STATE:
            return StateWished(window, WindowFlag.MINIMIZE, _NONE)
        if event.client_type == self._atoms["_NET_ACTIVE_WINDOW"]:
            # Taking the focus is the desktop's to decide; the program may say that it would like to have it.
            return StateWished(window, WindowFlag.DEMANDS_ATTENTION, _NONE)
        return None

    def flags(self, atoms: Sequence[int]) -> WindowFlag:
        """The states that we know among `atoms`."""
        found = _NONE
        for atom in atoms:
            found |= self._flag_of.get(atom, _NONE)
        return found

    # --- what happened ---

    def mapped(self, window: int) -> None:
        """A managed window appeared: ICCCM 4.1.3.1."""
        if self.managing:
            self._write(window, "WM_STATE", self._atoms["WM_STATE"], [_NORMAL_STATE, X.NONE])

    def set_states(self, window: int, set_: int, unset: int, properties: Properties) -> None:
        """The desktop changed states of a window: tell the program, keeping states that are none of ours."""
        if not self.managing:
            return
        (value,) = properties.read(window, self._atoms["_NET_WM_STATE"])
        words = value.words if value is not None else ()
        flags = WindowFlag((self.flags(words) | set_) & ~unset)
        kept = [atom for atom in words if atom not in self._flag_of]
        ours = [atom for atom, flag in self._flag_of.items() if flag & flags]
        self._write(window, "_NET_WM_STATE", Xatom.ATOM, kept + ours)

    def focus(self, window: int, properties: Properties) -> None:
        """Give a window the keyboard the way it wants to be given it: ICCCM 4.1.7."""
        hints, protocols = properties.read(window, Xatom.WM_HINTS, self._atoms["WM_PROTOCOLS"])
        self._connection.send_raw(requests.configure_window(window, stack_mode=X.Above), 1)
        if parse_hints(hints).takes_input:
            self._connection.send_raw(requests.set_input_focus(window), 1)
        if protocols is not None and self._atoms["WM_TAKE_FOCUS"] in protocols.words:
            self._protocol(window, "WM_TAKE_FOCUS")
        self._set_active(window)

    def unfocus(self, window: int) -> None:
        """Take the keyboard away from a window, if it has it."""
        if self._active == window:
            self._connection.send_raw(requests.set_input_focus(X.NONE), 1)
            self._set_active(X.NONE)

    def close(self, window: int, properties: Properties) -> None:
        """Ask the program to close a window; end a program that cannot be asked."""
        (protocols,) = properties.read(window, self._atoms["WM_PROTOCOLS"])
        if protocols is not None and self._atoms["WM_DELETE_WINDOW"] in protocols.words:
            self._protocol(window, "WM_DELETE_WINDOW")
        else:
            self._connection.send_raw(requests.kill_client(window), 1)

    def _protocol(self, window: int, name: str) -> None:
        message = requests.client_message(window, self._atoms["WM_PROTOCOLS"], self._atoms[name], X.CurrentTime)
        self._connection.send_raw(message, 1)

    def _set_active(self, window: int) -> None:
        self._active = window
        if self.managing:
            self._write(self._root.id, "_NET_ACTIVE_WINDOW", Xatom.WINDOW, [window])

    # --- being found ---

    def _another(self) -> bool:
        """Whether a living window manager has announced itself: EWMH, _NET_SUPPORTING_WM_CHECK."""
        check = self._atoms["_NET_SUPPORTING_WM_CHECK"]
        found = self._root.get_full_property(check, Xatom.WINDOW)
        if found is None or not len(found.value):
            return False
        window = self._display.create_resource_object("window", found.value[0])
        try:
            answer = window.get_full_property(check, Xatom.WINDOW)
        except Xlib.error.XError:
            return False  # it died without tidying up
        return answer is not None and list(answer.value) == [window.id]

    def _announce(self) -> None:
        check = self._root.create_window(-1, -1, 1, 1, 0, X.CopyFromParent, X.InputOnly, override_redirect=True)
        name = _NAME.encode()
        for owner in (check.id, self._root.id):
            self._write(owner, "_NET_SUPPORTING_WM_CHECK", Xatom.WINDOW, [check.id])
        check.change_property(self._atoms["_NET_WM_NAME"], self._atoms["UTF8_STRING"], 8, name)
        check.change_property(self._atoms["_NET_WM_PID"], Xatom.CARDINAL, 32, [os.getpid()])
        self._write(self._root.id, "_NET_SUPPORTED", Xatom.ATOM, [self._atoms[name] for name in _SUPPORTED])
        self._set_active(X.NONE)

    def _write(self, window: int, name: str, type_: int, words: list[int]) -> None:
        target = self._display.create_resource_object("window", window)
        target.change_property(self._atoms[name], type_, 32, words)
