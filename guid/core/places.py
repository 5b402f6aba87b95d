"""Where windows are: the desk's rules applied to what agents wish, and each window's two sides brought together."""

from collections.abc import Callable

from guid.core.commands import Command, ConfigureWindow, SendToAgent
from guid.core.config import SessionConfig
from guid.core.desk import Desk
from guid.core.host_events import ScreenInfo
from guid.core.notices import Notices
from guid.core.placement import Step
from guid.core.trusted import Geometry, StateFlags, WindowId
from guid.core.windows import Window, WindowTable
from guiproto.messages import Configure, WindowFlags


class Places:
    """Decides about geometry and the override-redirect flag."""

    def __init__(self, config: SessionConfig, screen: ScreenInfo, windows: WindowTable, notices: Notices) -> None:
        self._config = config
        self._desk = Desk(screen, config.border_width, config.border_managed)
        self._windows = windows
        self._notices = notices
        self._waiting: set[WindowId] = set()
        """Windows whose placement waits for the time."""

    def reconfigure(self, config: SessionConfig) -> list[Command]:
        """The user has changed the settings."""
        self._config = config
        return self.screen_changed(self._desk.screen)

    def revalidate(self, window: Window, *, wanted: bool) -> list[Command]:
        """Decide whether an unmapped window is override-redirect."""
        window.override_redirect = wanted and self._config.override_redirect
        if window.override_redirect and not self._desk.may_override(window.placement.shown):
            window.override_redirect = False
            return self._notices.tell_once("a window that would cover the work area is not override-redirect")
        return []

    def keep(self, window: Window) -> list[Command]:
        """Put a window that is about to be shown where one of its kind may be by its agent's wish."""
        return self._carry(window, window.placement.place(self._kept(window, window.placement.shown)))

    def agent_says(self, window: Window, geometry: Geometry) -> list[Command]:
        """The agent sent a CONFIGURE."""
        return self._carry(window, window.placement.agent_says(geometry, self._allow(window)))

    def host_says(self, window: Window, geometry: Geometry) -> list[Command]:
        """The desktop's window is somewhere else. The user may put a window anywhere; nobody moves a menu."""
        if not (window.override_redirect and window.mapped):
            return self._carry(window, window.placement.host_says(geometry))
        window.placement.shown = geometry
        return self.keep(window)

    def screen_changed(self, screen: ScreenInfo) -> list[Command]:
        """The screen or its work area is another."""
        self._desk = Desk(screen, self._config.border_width, self._config.border_managed)
        commands: list[Command] = []
        for window in self._windows:
            if window.override_redirect and window.mapped:
                commands += self.keep(window)
        return commands

    def fill(self, window: Window) -> list[Command]:
        """Show a window that wants to be fullscreen in the whole work area, with its border, and say it is done.

        Programs wait for that word, and then draw themselves as fullscreen.
        """
        if window.restore is None:
            window.restore = window.placement.shown
        done = SendToAgent(WindowFlags(window.id, int(StateFlags.FULLSCREEN), 0))
        return [*self._carry(window, window.placement.place(self._desk.filled())), done]

    def unfill(self, window: Window) -> list[Command]:
        """Undo `fill`."""
        if window.restore is None:
            return []
        back, window.restore = window.restore, None
        done = SendToAgent(WindowFlags(window.id, 0, int(StateFlags.FULLSCREEN)))
        return [*self._carry(window, window.placement.place(back)), done]

    def tick(self, now: float) -> list[Command]:
        """Time passed."""
        if not self._waiting:
            return []
        commands: list[Command] = []
        for number in tuple(self._waiting):
            window = self._windows.find(number)
            if window is None:
                self._waiting.discard(number)
            else:
                commands += self._carry(window, window.placement.tick(now, self._allow(window)))
        return commands

    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        if not self._waiting:
            return None
        waiting = (self._windows.find(number) for number in self._waiting)
        times = (window.placement.deadline() for window in waiting if window is not None)
        return min((time for time in times if time is not None), default=None)

    def _allow(self, window: Window) -> Callable[[Geometry], Geometry]:
        def allow(wish: Geometry) -> Geometry:
            shown = window.placement.shown
            if window.docked:
                return shown
            if not (window.mapped or window.minimised):
                return wish  # programs try sizes and places before they show a window: see `keep`
            if not window.override_redirect and (wish.x, wish.y) == (shown.x, shown.y):
                return wish  # a new size only: where it is, the user may have put it
            return self._kept(window, wish)

        return allow

    def _kept(self, window: Window, geometry: Geometry) -> Geometry:
        if window.override_redirect:
            return self._desk.keep_override(geometry, mapped=window.mapped)
        return self._desk.keep_managed(geometry)

    def _carry(self, window: Window, step: Step) -> list[Command]:
        if window.placement.deadline() is None:
            self._waiting.discard(window.id)
        else:
            self._waiting.add(window.id)
        commands: list[Command] = []
        if step.host is not None:
            commands.append(ConfigureWindow(window.id, step.host))
        if step.agent is not None:
            x, y, width, height = step.agent.x, step.agent.y, step.agent.width, step.agent.height
            configure = Configure(window.id, x, y, width, height, int(window.override_redirect))
            commands.append(SendToAgent(configure))
        return commands
