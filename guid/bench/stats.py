"""Numbers that say no more than they know: no percentile from too few samples, no difference inside the noise."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

_NEEDED: Final = {50: 1, 90: 100, 99: 1000}
"""Samples without which a percentile is not printed."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Percentiles of a sample, in the sample's unit; None where there were too few."""

    n: int
    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Distribution":
        """Of all of `samples`: the caller has dropped the warm-up already."""
        if not samples:
            return cls(0, None, None, None, None)
        values = np.asarray(samples, float)
        found = {p: float(np.percentile(values, p)) if len(values) >= need else None for p, need in _NEEDED.items()}
        return cls(len(values), found[50], found[90], found[99], float(values.max()))

    def as_dict(self, unit: str) -> dict[str, Any]:
        """Field names carry the unit."""
        return {
            "n": self.n, f"p50_{unit}": self.p50, f"p90_{unit}": self.p90, f"p99_{unit}": self.p99,
            f"max_{unit}": self.max,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same figure from several interleaved repetitions."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure to quote."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest repetition."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest repetition."""
        return max(self.values)


def ratio(of: Sequence[float], to: Sequence[float]) -> Repeated:
    """Pairwise `of` / `to` of repetitions that ran next to each other, so that a drifting machine cancels out."""
    return Repeated(tuple(a / b for a, b in zip(of, to, strict=True)))


def interleaved(
    runs: Mapping[str, Callable[[], dict[str, Any]]], repetitions: int, tell: Callable[[str], None]
) -> dict[str, list[dict[str, Any]]]:
    """Run every entry `repetitions` times in the order ABAB..., and return the results of each."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    for repetition in range(repetitions):
        for name, run in runs.items():
            tell(f"{name}: run {repetition + 1} of {repetitions}")
            results[name].append(run())
    return results
