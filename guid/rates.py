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

    def take(self, now: float) -> bool:
        """Whether one more is allowed now."""
        self.left = min(self.burst, self.left + (now - self.seen) * self.per_second)
        self.seen = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
