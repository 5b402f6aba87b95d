"""How much of the desktop several windows cover together, each place counted once."""

from collections.abc import Sequence

import numpy as np

from guid.core.trusted import Geometry


def covered(frames: Sequence[Geometry], area: Geometry) -> int:
    """Pixels of `area` that are under at least one of the frames."""
    inside = [part for part in (_within(frame, area) for frame in frames) if part is not None]
    if not inside:
        return 0
    edges = np.array(inside, np.int64)
    xs, ys = np.unique(edges[:, 0::2]), np.unique(edges[:, 1::2])
    grid = np.zeros((len(ys) - 1, len(xs) - 1), bool)
    columns, rows = np.searchsorted(xs, edges[:, 0::2]).tolist(), np.searchsorted(ys, edges[:, 1::2]).tolist()
    for (left, right), (top, bottom) in zip(columns, rows, strict=True):
        grid[top:bottom, left:right] = True
    return int(np.diff(ys) @ grid @ np.diff(xs))


def _within(frame: Geometry, area: Geometry) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the part inside, if there is one."""
    left, top = max(frame.x, area.x), max(frame.y, area.y)
    right = min(frame.x + frame.width, area.x + area.width)
    bottom = min(frame.y + frame.height, area.y + area.height)
    return (left, top, right, bottom) if left < right and top < bottom else None
