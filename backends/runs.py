"""Page references in rows: what lies in one piece is mapped as it is, the rest is laid side by side."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from backends.base import MappedPages, PeerMisbehaved, Refs
from guiproto.limits import MAX_REFS
from shm.region import Region, joined_view

_MAX_RUNS: Final = 1024
_MAX_RUNS_TOTAL: Final = 16384
"""Every run of scattered pages is a mapping of its own, and Linux gives a process 65530."""


def runs_of(refs: Refs) -> list[tuple[int, int]]:
    """(first reference, number of pages) of each row of consecutive references. Raises PeerMisbehaved."""
    if not 0 < len(refs) <= MAX_REFS:
        raise PeerMisbehaved("page reference", f"{len(refs)} references at once")
    starts = np.flatnonzero(refs[1:] - refs[:-1] != 1) + 1
    if len(starts) >= _MAX_RUNS:
        raise PeerMisbehaved("page reference", f"pages scattered over {len(starts) + 1} runs")
    bounds = [0, *starts.tolist(), len(refs)]
    return [(int(refs[start]), end - start) for start, end in pairwise(bounds)]


class ScatteredPages:
    """Maps rows of pages as one range, and keeps the number of mappings in bounds."""

    def __init__(self) -> None:
        self._runs = 0

    def map(self, runs: Sequence[tuple[Region, int, int]]) -> MappedPages:
        """`runs`: region, offset and length in bytes of each. The display host copies. Raises PeerMisbehaved."""
        count = len(runs)
        if self._runs + count > _MAX_RUNS_TOTAL:
            raise PeerMisbehaved("page reference", f"pages scattered over {count} runs")
        try:
            view = joined_view(runs)
        except OSError as error:
            raise PeerMisbehaved("page reference", f"the pages cannot be mapped: {error.strerror}") from None
        self._runs += count

        def release() -> None:
            self._runs -= count

        return MappedPages(None, 0, len(view), view, 1, Once(release))


class Once:
    """Calls `action` the first time it is called."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def __call__(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()
