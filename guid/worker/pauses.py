"""How long an agent that has hung up is left alone, so that one that comes and goes costs less and less."""

from typing import Final

BRIEF_SECONDS: Final = 0.25
"""A connection that was shorter has helped nobody."""
FIRST: Final = 0.02
"""Little: an agent that is killed as soon as it is there, now and then, is nobody's enemy."""
LONGEST: Final = 30.0


class Pauses:
    """None after a connection that lasted; one that doubles, in seconds, after each in a row that did not."""

    def __init__(self) -> None:
        self._since = 0.0
        self._pause = 0.0

    def begin(self, now: float) -> None:
        """The agent is there. `now`: seconds of any monotonic clock."""
        self._since = now

    def end(self, now: float) -> float:
        """It has hung up: how long to wait before it is met again."""
        brief = now - self._since < BRIEF_SECONDS
        self._pause = min(max(FIRST, 2 * self._pause), LONGEST) if brief else 0.0
        return self._pause
