"""Where windows are: the desk's rules applied to what agents wish, and each window's two sides brought together."""

from collections.abc import Callable, Sequence
from typing import Final

from guid.core.commands import Command, ConfigureWindow, SendToAgent
from guid.core.config import SessionConfig
from guid.core.desk import Desk
from guid.core.host_events import ScreenInfo
from guid.core.notices import Notices
from guid.core.placement import Step
from guid.core.trusted import Geometry, WindowId
from guid.core.windows import Window, WindowTable
from guiproto.messages import Configure

_MOST_OVERRIDING: Final = 64
"""Override-redirect windows that are shown at a time: a menu in a menu, tooltips and notifications are a dozen."""


class Places:
    """Decides about geometry and the override-redirect flag."""

    def __init__(self, config: SessionConfig, screen: ScreenInfo, windows: WindowTable, notices: Notices) -> None:
        self._config = config
        self._desk = self._desk_of(screen)
        self._windows = windows
        self._notices = notices
        self._waiting: set[WindowId] = set()
        """Windows whose placement waits for the time."""

    def reconfigure(self, config: SessionConfig) -> list[Command]:
        """The user has changed the settings."""
        self._config = config
        return self.screen_changed(self._desk.screen)

    def revalidate(self, window: Window, *, wanted: bool, showing: bool = False) -> list[Command]:
        """Decide whether an unmapped window, which is about to be shown if `showing`, is override-redirect."""
        window.override_redirect = wanted and self._config.override_redirect
        if not window.override_redirect:
            return []
        place = window.placement.shown
        others = self._shown_beside(window) if showing else ()
        if len(others) >= _MOST_OVERRIDING:
            window.override_redirect = False
            return self._notices.once(f"of more than {_MOST_OVERRIDING} override-redirect windows the rest are not")
        kept = self._desk.keep_override(place, mapped=False)
        if not (self._desk.may_override(place) and self._desk.may_override(kept, others)):
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
        self._desk = self._desk_of(screen)
        commands: list[Command] = []
        kept: list[Geometry] = []
        for window in self._overriding():
            place = self._desk.keep_override(window.placement.shown, mapped=True, others=kept)
            commands += self._carry(window, window.placement.place(place))
            kept.append(place)
        return commands

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
            others = self._shown_beside(window) if window.mapped else ()
            return self._desk.keep_override(geometry, mapped=window.mapped, others=others)
        return self._desk.keep_managed(geometry)

    def _shown_beside(self, window: Window) -> Sequence[Geometry]:
        """The places of other override-redirect windows."""
        return [other.placement.shown for other in self._overriding() if other is not window]

    def _overriding(self) -> list[Window]:
        return [window for window in self._windows if window.override_redirect and window.mapped]

    def _desk_of(self, screen: ScreenInfo) -> Desk:
        config = self._config
        return Desk(screen, config.border_width, config.border_managed, config.override_redirect_protection)

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
