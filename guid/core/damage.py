"""Damage of all windows between two flushes: bounded, and cheap per message whether they come alone or by thousands."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from guid.core.trusted import WindowId
from guiproto import limits
from shm import damage

Rect = tuple[int, int, int, int]
Rects = NDArray[np.int32]

_HELD: Final = 16384
"""Rectangles of a window that are held before they are merged early."""

_SHORT: Final = 48
"""Up to here it pays to look for repetitions in plain Python: programs redraw the same thing again and again."""


class _Pending:
    __slots__ = ("few", "held", "many")

    def __init__(self) -> None:
        self.few: list[Rect] = []
        self.many: list[Rects] = []
        self.held = 0

    def rects(self) -> Rects:
        parts = self.many
        if self.few:
            parts = [*parts, np.array(self.few, np.int32)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def distinct(self) -> list[Rect]:
        rects = set(self.few)
        for run in self.many:
            rects.update(zip(*run.T.tolist(), strict=True))
        return list(rects)


class Damage:
    """Collects what is damaged per window; `take` gives it clipped to a buffer and merged."""

    def __init__(self, limit: int) -> None:
        """`limit`: most rectangles of one window that `take` returns."""
        self._limit = limit
        self._pending: dict[WindowId, _Pending] = {}

    def add(self, window: WindowId, rect: Rect) -> None:
        """One rectangle without negative numbers, each below 2^31."""
        pending = self._pending.get(window)
        if pending is None:
            pending = self._pending[window] = _Pending()
        pending.few.append(rect)
        pending.held += 1
        if pending.held > _HELD:
            self._condense(pending)

    def add_many(self, window: WindowId, rects: Rects) -> None:
        """A run of rectangles, of which those with a negative number are dropped."""
        if rects.min(initial=0) < 0:
            rects = rects[rects.min(axis=1) >= 0]
        pending = self._pending.get(window)
        if pending is None:
            pending = self._pending[window] = _Pending()
        pending.many.append(rects)
        pending.held += len(rects)
        if pending.held > _HELD:
            self._condense(pending)

    def forget(self, window: WindowId) -> None:
        """The window has nothing to paint any more."""
        self._pending.pop(window, None)

    def take(self, window: WindowId, width: int, height: int) -> damage.EitherRects:
        """What to paint of a buffer of width x height, and forget it. May be empty."""
        pending = self._pending.pop(window)
        if pending.held <= _SHORT:
            distinct = pending.few if pending.held == 1 and pending.few else pending.distinct()
            if len(distinct) <= damage.FEW:
                return damage.merge_few(damage.clip_few(distinct, width, height), self._limit)
        return damage.merge(damage.clip(pending.rects(), width, height), self._limit)

    def windows(self) -> Sequence[WindowId]:
        """Windows with damage; `take` may be called while iterating."""
        return tuple(self._pending)

    def _condense(self, pending: _Pending) -> None:
        inside = damage.clip(pending.rects(), limits.MAX_WINDOW_WIDTH, limits.MAX_WINDOW_HEIGHT)
        pending.few = []
        pending.many = [damage.merge(inside, self._limit)]
        pending.held = len(pending.many[0])
