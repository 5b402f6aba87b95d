"""What became of every frame: seen, not seen (a later one took its place, or nobody looked), or dropped: the last one.

A program numbers its frames and paints the number into each; a viewer of the display notes which numbers it sees, and
when. Times are those of the machine's monotonic clock, in nanoseconds. All of this is arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from guid.bench.stats import Distribution


class Produced(NamedTuple):
    """Frame `number` was due at `due_ns`: when it was scheduled, or sent if there was no schedule."""

    number: int
    due_ns: int


class Seen(NamedTuple):
    """At `seen_ns` the display showed frame `number`; `torn` if it showed parts of others with it."""

    number: int
    seen_ns: int
    torn: bool


@dataclass(frozen=True, slots=True)
class Fates:
    """The fate of each produced frame, in order of production."""

    frames: list[dict[str, Any]] = field(default_factory=list)
    torn: int = 0
    """Looks at the display that found parts of two frames."""

    @classmethod
    def of(cls, produced: Sequence[Produced], seen: Sequence[Seen], *, one_clock: bool = True) -> "Fates":
        """Numbers that were not produced (another run's) are ignored.

        `one_clock`: False if the program ran on another machine, whose clock says nothing here: no latencies then.
        """
        first: dict[int, int] = {}
        for number, at, torn in seen:
            if not torn:
                first.setdefault(number, at)
        frames = []
        latest = produced[-1].number if produced else -1
        for number, due in produced:
            at_ns = first.get(number)
            fate = "seen" if at_ns is not None else "dropped" if number == latest else "unseen"
            late = (at_ns - due) / 1000 if at_ns is not None and one_clock else None
            frames.append({"frame": number, "due_ns": due, "seen_ns": at_ns, "fate": fate, "latency_us": late})
        return cls(frames, sum(look.torn for look in seen))

    def count(self, fate: str) -> int:
        """How many frames met that fate."""
        return sum(frame["fate"] == fate for frame in self.frames)

    def latencies_us(self) -> list[float]:
        """Of the frames that were seen."""
        return [frame["latency_us"] for frame in self.frames if frame["latency_us"] is not None]

    def summary(self) -> dict[str, Any]:
        """Counts, and distributions of lateness and of the intervals between frames that were seen."""
        at_us = [frame["seen_ns"] / 1000 for frame in self.frames if frame["seen_ns"] is not None]
        gaps = np.diff(np.sort(np.array(at_us)))
        return {
            "frames_seen": len(at_us),
            "frames_dropped": self.count("dropped"),
            "looks_torn": self.torn,
            "latency": Distribution.of(self.latencies_us()).as_dict("us"),
            "interval": Distribution.of(gaps.tolist()).as_dict("us"),
        }
