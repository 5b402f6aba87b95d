"""How often something may happen."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Bucket:
    """Allows `burst` things at once, and `per_second` in the long run. Times are seconds of any monotonic clock."""

    burst: float
    per_second: float
    seen: float
    """When it was asked last."""
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.burst

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Whether one more is allowed now, or what counts as much as `cost` of them."""
        self._fill(now)
        if self.left < cost:
            return False
        self.left -= cost
        return True

    def owe(self, now: float, cost: float) -> None:
        """So much has happened, allowed or not."""
        self._fill(now)
        self.left -= cost

    def give(self, amount: float) -> None:
        """So much more is allowed, but never more than `burst` at once."""
        self.left = min(self.burst, self.left + amount)

    def wait(self, now: float) -> float:
        """Seconds until nothing is owed."""
        self._fill(now)
        return max(0.0, -self.left / self.per_second)

    def _fill(self, now: float) -> None:
        self.left = min(self.burst, self.left + (now - self.seen) * self.per_second)
        self.seen = now
