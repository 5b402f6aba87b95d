"""Which icons of a VM's windows are shown, and when: a few a second, of each window the latest, in bounded memory.

Icons come on a channel of their own, so one may be here before its window is. Time is injected.
"""

from collections.abc import Container, Sequence
from typing import Final

from guid.core.trusted import Icon, WindowId
from guid.core.validate import icon as validated
from guiproto.icons import WindowIcon

BURST: Final = 32
"""Icons that are dealt with at once; after that it is..."""
PER_SECOND: Final = 16
"""...so many a second."""
EARLY: Final = 32
"""Icons that are kept for windows not seen yet; a further one replaces the oldest."""


class Icons:
    """Takes icons as they come, and gives out those that are due."""

    def __init__(self) -> None:
        self._waiting: dict[int, WindowIcon] = {}
        self._early: dict[WindowId, Icon] = {}
        self._tokens = float(BURST)
        self._counted = 0.0

    @property
    def full(self) -> bool:
        """Whether icons wait until they are due. No more should be taken then: whoever sends them keeps the latest."""
        return bool(self._waiting)

    @property
    def empty(self) -> bool:
        """Whether `take` has nothing to give, now or later."""
        return not self._waiting and not self._early

    def add(self, icon: WindowIcon) -> None:
        """It has arrived. An older one of the same window that still waits is dropped."""
        self._waiting.pop(icon.window, None)
        self._waiting[icon.window] = icon

    def take(self, now: float, shown: Container[WindowId]) -> Sequence[tuple[WindowId, Icon]]:
        """What is due, for those windows of the display that are in `shown`. `now`: seconds, never going back."""
        due = [(window, self._early.pop(window)) for window in list(self._early) if window in shown]
        if not self._waiting:
            return due
        self._tokens = min(float(BURST), self._tokens + (now - self._counted) * PER_SECOND)
        self._counted = now
        while self._waiting and self._tokens >= 1:
            self._tokens -= 1
            number = next(iter(self._waiting))
            window, icon = WindowId(number), validated(self._waiting.pop(number))
            if window in shown:
                due.append((window, icon))
                continue
            self._early.pop(window, None)
            self._early[window] = icon
            if len(self._early) > EARLY:
                del self._early[next(iter(self._early))]
        return due

    def deadline(self) -> float | None:
        """When `take` has more to give, None if that is only after another `add`."""
        return self._counted + (1 - self._tokens) / PER_SECOND if self._waiting else None
