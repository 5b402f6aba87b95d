"""A delay in a core without a clock: started while handling an event, measured from the next `tick` on."""


class Timer:
    """Rings once, so many seconds after the first `rings(now)` that follows `start`."""

    __slots__ = ("_delay", "_due", "running")

    def __init__(self) -> None:
        self._delay = 0.0
        self._due: float | None = None
        self.running = False

    def start(self, delay: float) -> None:
        """Begin anew; `delay` in seconds."""
        self.running = True
        self._delay = delay
        self._due = None

    def stop(self) -> None:
        """Do not ring."""
        self.running = False

    def deadline(self) -> float | None:
        """When to ask again: None if it does not run, 0.0 (at once) if it has not yet been told the time."""
        return (self._due or 0.0) if self.running else None

    def rings(self, now: float) -> bool:
        """Whether the delay has passed; tells it the time."""
        if not self.running:
            return False
        if self._due is None:
            self._due = now + self._delay
        if now < self._due:
            return False
        self.running = False
        return True
