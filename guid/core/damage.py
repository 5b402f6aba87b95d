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


class Damage:
    """Collects what is damaged per window; `take` gives it clipped to a buffer and merged."""

    def __init__(self, limit: int) -> None:
        """`limit`: most rectangles of one window that `take` returns."""
        self._limit = limit
        self._few: dict[WindowId, list[Rect]] = {}
        """What came one by one. The list of a window is there while it has anything pending."""
        self._many: dict[WindowId, list[Rects]] = {}
        """What came in runs."""

    def add(self, window: WindowId, rect: Rect) -> None:
        """One rectangle without negative numbers, each below 2^31."""
        few = self._few.get(window)
        if few is None:
            self._few[window] = [rect]
            return
        few.append(rect)
        if len(few) > _HELD:
            self._condense(window)

    def add_many(self, window: WindowId, rects: Rects) -> None:
        """A run of rectangles, of which those with a negative number are dropped."""
        if rects.min(initial=0) < 0:
            rects = rects[rects.min(axis=1) >= 0]
        self._few.setdefault(window, [])
        runs = self._many.setdefault(window, [])
        runs.append(rects)
        if sum(map(len, runs)) > _HELD:
            self._condense(window)

    def forget(self, window: WindowId) -> None:
        """The window has nothing to paint any more."""
        self._few.pop(window, None)
        self._many.pop(window, None)

    def take(self, window: WindowId, width: int, height: int) -> damage.EitherRects:
        """What to paint of a buffer of width x height, and forget it. May be empty."""
        few = self._few.pop(window)
        runs = self._many.pop(window, None)
        if runs is None and len(few) == 1:
            return damage.clip_few(few, width, height)
        if len(few) + sum(map(len, runs or ())) <= _SHORT:
            distinct = set(few)
            for run in runs or ():
                distinct.update(zip(*run.T.tolist(), strict=True))
            if len(distinct) <= damage.FEW:
                return damage.merge_few(damage.clip_few(list(distinct), width, height), self._limit)
        return damage.merge(damage.clip(_together(few, runs), width, height), self._limit)

    def windows(self) -> Sequence[WindowId]:
        """Windows with damage; `take` may be called while iterating."""
        return tuple(self._few)

    def _condense(self, window: WindowId) -> None:
        rects = _together(self._few[window], self._many.get(window))
        inside = damage.clip(rects, limits.MAX_WINDOW_WIDTH, limits.MAX_WINDOW_HEIGHT)
        self._few[window] = []
        self._many[window] = [damage.merge(inside, self._limit)]


def _together(few: list[Rect], runs: list[Rects] | None) -> Rects:
    parts = [*(runs or ()), *([np.array(few, np.int32)] if few else ())]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
