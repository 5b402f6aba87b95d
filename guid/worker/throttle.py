"""A VM that says too much is read later: what waits in its vchan makes its agent wait, and merge its damage.

Counted are messages, once per batch. One that has consequences, because it makes or changes a window, takes a worker
and a display server ten times as long as damage that is merged with other damage, and counts as much. What is long, as
the references of a large buffer, counts by the KiB. With the default rate a VM that never stops talking so takes about
a quarter of a processor at most.
"""

from typing import Final

from guid.rates import Bucket

_WEIGHT: Final = 10
"""What a message with consequences counts."""
_BYTES: Final = 1024
"""What counts as one more, in a batch."""
_MEASURED_SECONDS: Final = 1.0


class Throttle:
    """Lets `per_second` through in the long run, and that of one second at once. Times are those of any clock."""

    def __init__(self, per_second: int, now: float) -> None:
        self._bucket = Bucket(per_second, per_second, now)
        self._count = 0
        self._since = now
        self._rate = 0.0

    def change(self, per_second: int) -> None:
        """It is another rate from now on."""
        self._bucket.burst = self._bucket.per_second = per_second

    def count(self, messages: int, consequences: int, size: int, now: float) -> bool:
        """So many messages were read, in `size` bytes, and so many had consequences; whether that was too much."""
        cost = messages + (_WEIGHT - 1) * consequences + size // _BYTES
        self._count += cost
        if now - self._since >= _MEASURED_SECONDS:
            self._measure(now)
        self._bucket.owe(now, cost)
        return self._bucket.left < 0.0

    @property
    def over(self) -> bool:
        """Whether too much had been read when it was last looked at."""
        return self._bucket.left < 0.0

    def wait(self, now: float) -> float:
        """Seconds until more is to be read: 0.0 for now."""
        return self._bucket.wait(now)

    def rate(self, now: float) -> int:
        """Messages a second, lately."""
        if now - self._since >= 2 * _MEASURED_SECONDS:
            self._measure(now)
        return round(self._rate)

    def _measure(self, now: float) -> None:
        self._rate = self._count / (now - self._since)
        self._count = 0
        self._since = now
