"""A process that is kept alive: started again when it dies, at once at first, later with delays, in the end no more."""

import time
from collections.abc import Sequence
from typing import Final

from guiproto.errors import MachineCannot

RESTART_DELAYS: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, *(2.0,) * 12)
"""Seconds before each restart of what died quickly, in a row; there is no restart after the last."""
_HEALTHY_SECONDS: Final = 1.0
"""What lived this long did not die quickly."""


class Backoff:
    """When to start something again that died. Pure: the time it lived is given."""

    def __init__(self, delays: Sequence[float] = RESTART_DELAYS) -> None:
        self._delays = delays
        self._quick = 0

    def died(self, lived: float) -> float | None:
        """Seconds to wait before the next start; None when it is hopeless."""
        if lived >= _HEALTHY_SECONDS:
            self._quick = 0
        self._quick += 1
        return self._delays[self._quick - 1] if self._quick <= len(self._delays) else None

    @property
    def deaths(self) -> int:
        """How many quick ones in a row."""
        return self._quick


class Part:
    """The display server or the agent: a process that is kept alive."""

    def __init__(self, name: str, delays: Sequence[float]) -> None:
        self.name = name
        self.pid = 0
        self.start_at: float | None = time.monotonic()
        self._delays = delays
        self._started = 0.0
        self._backoff = Backoff(delays)

    def started(self, pid: int) -> None:
        """It runs."""
        self.pid, self.start_at, self._started = pid, None, time.monotonic()

    @property
    def started_at(self) -> float:
        """When, as the monotonic clock has it."""
        return self._started

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._started

    def died(self) -> None:
        """Plan the next start. Raises MachineCannot when that is hopeless."""
        self.pid = 0
        delay = self._backoff.died(self.age)
        if delay is None:
            raise MachineCannot(f"{self.name} died {self._backoff.deaths} times in a row, soon after each start")
        self.start_at = time.monotonic() + delay

    def due(self) -> bool:
        """Whether it is time to start it."""
        return self.start_at is not None and self.start_at <= time.monotonic()
