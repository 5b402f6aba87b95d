"""Which states a window has is the user's to allow and the window manager's to say; this is the only policy about it.

Fullscreen hides a window's frame, and with it whose window it is. So a VM's wish for it is granted only where the user
allows that; elsewhere the window is maximised, its frame in sight, and its program is told that it is fullscreen:
programs wait for that word, and then show a video or a presentation in all of the window. The user may make any window
fullscreen with the window manager, and end it, and the program hears of either.
"""

from typing import Final

from guid.core import validate
from guid.core.commands import Command, Maximize, SendToAgent, SetState
from guid.core.config import SessionConfig
from guid.core.host_events import MaximizedEvent, StateEvent
from guid.core.trusted import StateFlags
from guid.core.windows import Window, WindowTable
from guiproto.messages import WindowFlags

_REPORTED: Final = StateFlags.FULLSCREEN | StateFlags.DEMANDS_ATTENTION | StateFlags.MINIMIZE
_NONE: Final = StateFlags(0)


class States:
    """Handles WINDOW_FLAGS and what the desktop does with windows' states."""

    def __init__(self, config: SessionConfig, windows: WindowTable) -> None:
        self._config = config
        self._windows = windows

    def reconfigure(self, config: SessionConfig) -> list[Command]:
        """The user has changed the settings: windows that may hide their frame no more show it."""
        self._config = config
        hiding = [] if config.allow_fullscreen else [window.id for window in self._windows if window.hides_border]
        return [SetState(window, _NONE, StateFlags.FULLSCREEN) for window in hiding]

    def wished(self, message: WindowFlags) -> list[Command]:
        """WINDOW_FLAGS."""
        window = self._windows.get(message.window)
        set_, unset = validate.flags(message)
        if window is None or window.override_redirect or window.docked:
            return []  # states are a window manager's business, and those windows are none of it
        if window.mapped:
            unset &= ~StateFlags.DEMANDS_ATTENTION
        commands: list[Command] = []
        if set_ & StateFlags.FULLSCREEN and not self._config.allow_fullscreen:
            set_ &= ~StateFlags.FULLSCREEN
            commands = self._maximize_instead(window)
        elif (set_ | unset) & StateFlags.FULLSCREEN:
            window.hides_border = StateFlags.FULLSCREEN in set_
            commands = [] if window.hides_border else self._end_instead(window)
        return [*commands, SetState(window.id, set_, unset)] if set_ or unset else commands

    def changed(self, window: Window, event: StateEvent) -> list[Command]:
        """The window manager changed states."""
        window.hides_border = window.hides_border and StateFlags.FULLSCREEN not in event.unset
        set_, unset = event.set & _REPORTED, event.unset & _REPORTED
        if window.instead:
            unset &= ~StateFlags.FULLSCREEN  # it still is as large as its program believes
        return self._tell(window, set_, unset)

    def maximized(self, window: Window, event: MaximizedEvent) -> list[Command]:
        """The window manager maximised the window, or ended that, by whoever's wish."""
        window.maximized = event.maximized
        if event.maximized or not window.instead:
            return []
        window.instead = False
        return self._tell(window, _NONE, StateFlags.FULLSCREEN)

    def _maximize_instead(self, window: Window) -> list[Command]:
        done = self._tell(window, StateFlags.FULLSCREEN, _NONE)
        if window.instead:
            return done
        window.instead = True
        window.keeps_maximized = window.maximized
        return done if window.maximized else [Maximize(window.id, True), *done]

    def _end_instead(self, window: Window) -> list[Command]:
        if not window.instead:
            return []
        window.instead = False
        done = self._tell(window, _NONE, StateFlags.FULLSCREEN)
        return done if window.keeps_maximized else [Maximize(window.id, False), *done]

    @staticmethod
    def _tell(window: Window, set_: StateFlags, unset: StateFlags) -> list[Command]:
        return [SendToAgent(WindowFlags(window.id, int(set_), int(unset)))] if set_ or unset else []
