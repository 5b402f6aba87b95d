"""Whatever was damaged gets painted, by few rectangles and with little painted twice or for nothing.

Rectangles are rows of x, y, width, height in pixels: i32 [n, 4] arrays, or, for the handful that a lone message or
two bring, lists of tuples (the `_few` functions), because a single numpy call costs more than handling four of them in
plain Python.

`merge` promises, for rectangles that `clip` made:
- every pixel of the input is covered by the output, and no pixel outside the input's bounding box is;
- the output has at most `limit` rectangles;
- the areas of the output add up to at most 1.3 times the area of the input's union. The exceptions: an exact cover
  does not fit into `limit` rectangles, or there are more than 160 different ones and an exact cover would be slow. Then
  damage is rounded outwards to tiles, the smallest that fit, unless painting the input as it is costs less.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rects = NDArray[np.int32]
Rect = tuple[int, int, int, int]
EitherRects = Rects | list[Rect]
"""An array, or the list that is the cheaper form of a few."""

FEW: Final = 8
"""Up to here plain Python is the faster way."""

EDGE: Final = 65535
"""No coordinate that `clip` returns is larger: a row of four fits into 64 bits, which makes comparing cheap."""

_SLACK: Final = 1.3
_PAIRWISE: Final = 160
_CELLS: Final = 16384


def rows(rects: EitherRects) -> Sequence[Rect]:
    """The rectangles as tuples of Python numbers, whichever form they have."""
    return rects if isinstance(rects, list) else rects.tolist()


def clip(rects: Rects, width: int, height: int) -> Rects:
    """The parts inside a surface of width x height pixels, at most 65535 each; rectangles without any are dropped.

    Any i32 values are fine, sums beyond 32 bits included. A negative width or height counts as empty.
    """
    if len(rects) <= FEW:
        return _array(clip_few(rects.tolist(), width, height))
    wide = rects.astype(np.int64)
    left, top = np.maximum(wide[:, 0], 0), np.maximum(wide[:, 1], 0)
    wide[:, 2] = np.minimum(wide[:, 0] + wide[:, 2], width) - left
    wide[:, 3] = np.minimum(wide[:, 1] + wide[:, 3], height) - top
    wide[:, 0], wide[:, 1] = left, top
    kept = (wide[:, 2] > 0) & (wide[:, 3] > 0)
    return (wide if kept.all() else wide[kept]).astype(np.int32)


def clip_few(rects: Sequence[Sequence[int]], width: int, height: int) -> list[Rect]:
    """The same for a short list."""
    inside = []
    for x, y, w, h in rects:
        left, top = max(x, 0), max(y, 0)
        w, h = min(x + w, width) - left, min(y + h, height) - top
        if w > 0 and h > 0:
            inside.append((left, top, w, h))
    return inside


def merge(rects: Rects, limit: int) -> Rects:
    """At most `limit` (1 or more) rectangles that cover the same pixels; see the module's text for the promises."""
    if len(rects) <= FEW:
        return _array(merge_few([(x, y, w, h) for x, y, w, h in rects.tolist()], limit))
    rects = _distinct(rects)
    if len(rects) <= FEW:
        return _array(merge_few([(x, y, w, h) for x, y, w, h in rects.tolist()], limit))
    box, box_area = _box(rects)
    areas = rects[:, 2].astype(np.int64) * rects[:, 3]
    if box_area <= _SLACK * int(areas.max()):
        return box
    if len(rects) <= min(limit, _PAIRWISE):
        rects = _without_contained(rects)
        areas = rects[:, 2].astype(np.int64) * rects[:, 3]
        total = int(areas.sum())
        # The union is at least the sum less what pairs share, so this is the cheap case where little overlaps.
        if total <= _SLACK * (total - _shared(rects)) and box_area > _SLACK * total:
            return rects
    return _merge_on_grid(rects, limit)


def merge_few(rects: list[Rect], limit: int) -> list[Rect]:
    """The same for a list of at most FEW rectangles; the list is used up."""
    if len(rects) <= 1:
        return rects
    _join_few(rects)
    count = len(rects)
    if count <= 1:
        return rects
    total = shared = largest = 0
    for index, (x, y, w, h) in enumerate(rects):
        total += w * h
        largest = max(largest, w * h)
        for other in range(index):
            ox, oy, ow, oh = rects[other]
            overlap = min(x + w, ox + ow) - max(x, ox)
            if overlap > 0:
                shared += overlap * max(min(y + h, oy + oh) - max(y, oy), 0)
    left, top = min(r[0] for r in rects), min(r[1] for r in rects)
    box = (left, top, max(r[0] + r[2] for r in rects) - left, max(r[1] + r[3] for r in rects) - top)
    union_at_least = max(total - shared, largest)
    if box[2] * box[3] <= _SLACK * union_at_least:
        return [box]
    if count <= limit and total <= _SLACK * union_at_least:
        return rects
    merged = _merge_on_grid(_array(rects), limit)
    return [(x, y, w, h) for x, y, w, h in merged.tolist()]


def _join_few(rects: list[Rect]) -> None:
    """Replace pairs whose union is a rectangle by it, until there are none."""
    index = 0
    while index < len(rects):
        x, y, w, h = rects[index]
        for other in range(index):
            ox, oy, ow, oh = rects[other]
            left, top = min(x, ox), min(y, oy)
            width, height = max(x + w, ox + ow) - left, max(y + h, oy + oh) - top
            across = min(x + w, ox + ow) - max(x, ox)
            down = min(y + h, oy + oh) - max(y, oy)
            common = across * down if across > 0 and down > 0 else 0
            if width * height == w * h + ow * oh - common:
                del rects[index]
                rects[other] = (left, top, width, height)
                index = other
                break
        else:
            index += 1


def _array(rects: Sequence[Sequence[int]]) -> Rects:
    return np.array(rects, np.int32).reshape(-1, 4)


def _distinct(rects: Rects) -> Rects:
    keys = np.unique(rects.astype("<u2").view("<u8"))
    return keys.view("<u2").reshape(-1, 4).astype(np.int32)


def _box(rects: Rects) -> tuple[Rects, int]:
    left, top = int(rects[:, 0].min()), int(rects[:, 1].min())
    right, bottom = int((rects[:, 0] + rects[:, 2]).max()), int((rects[:, 1] + rects[:, 3]).max())
    return _array([(left, top, right - left, bottom - top)]), (right - left) * (bottom - top)


def _without_contained(rects: Rects) -> Rects:
    """Drop rectangles that lie in another one; all are different, so no two drop each other."""
    left, top = rects[:, 0], rects[:, 1]
    right, bottom = left + rects[:, 2], top + rects[:, 3]
    inside = (left[:, None] >= left) & (right[:, None] <= right) & (top[:, None] >= top) & (bottom[:, None] <= bottom)
    alone = inside.sum(axis=1) == 1
    return rects if alone.all() else rects[alone]


def _shared(rects: Rects) -> int:
    """What the areas of all pairs' intersections add up to."""
    left, top = rects[:, 0].astype(np.int64), rects[:, 1].astype(np.int64)
    right, bottom = left + rects[:, 2], top + rects[:, 3]
    across = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    down = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    common = np.maximum(across, 0) * np.maximum(down, 0)
    return (int(common.sum()) - int(common.trace())) // 2


def _merge_on_grid(rects: Rects, limit: int) -> Rects:
    """Cover the union without overlaps: exactly where that is cheap and short enough, else in tiles."""
    left, top = rects[:, 0].astype(np.int64), rects[:, 1].astype(np.int64)
    right, bottom = left + rects[:, 2], top + rects[:, 3]
    painted = int((rects[:, 2].astype(np.int64) * rects[:, 3]).sum())
    xs, columns = _edges(left, right)
    ys, rows = _edges(top, bottom)
    if len(xs) * len(ys) <= _CELLS or len(rects) <= min(limit, _PAIRWISE):
        mask = _cover(columns[left], rows[top], columns[right], rows[bottom], len(xs) - 1, len(ys) - 1)
        union = int(np.diff(ys) @ mask @ np.diff(xs))
        box, box_area = _box(rects)
        if box_area <= _SLACK * union:
            return box
        exact = _runs(mask, xs, ys)
        if len(rects) <= min(len(exact), limit) and painted <= _SLACK * union:
            return rects
        if len(exact) <= limit:
            return exact
    tiled = _merge_in_tiles(left, top, right, bottom, limit)
    if len(rects) <= limit and painted <= int((tiled[:, 2].astype(np.int64) * tiled[:, 3]).sum()):
        return rects
    return tiled


def _merge_in_tiles(
    left: NDArray[np.int64], top: NDArray[np.int64], right: NDArray[np.int64], bottom: NDArray[np.int64], limit: int
) -> Rects:
    x0, y0, x1, y1 = int(left.min()), int(top.min()), int(right.max()), int(bottom.max())
    tile = max(1, int(((x1 - x0) * (y1 - y0) / _CELLS) ** 0.5))
    while True:
        xs = np.minimum(np.arange(x0, x1 + tile, tile), x1)
        ys = np.minimum(np.arange(y0, y1 + tile, tile), y1)
        mask = _cover(
            (left - x0) // tile,
            (top - y0) // tile,
            (right - x0 + tile - 1) // tile,
            (bottom - y0 + tile - 1) // tile,
            len(xs) - 1,
            len(ys) - 1,
        )
        tiled = _runs(mask, xs, ys)
        if len(tiled) <= limit:
            return tiled
        tile *= 2


def _edges(low: NDArray[np.int64], high: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The coordinates in use, ascending, and a table from a coordinate to its place among them."""
    used = np.zeros(int(high.max()) + 1, np.bool_)
    used[low] = True
    used[high] = True
    return np.flatnonzero(used), np.cumsum(used) - 1


def _cover(
    left: NDArray[np.int64],
    top: NDArray[np.int64],
    right: NDArray[np.int64],
    bottom: NDArray[np.int64],
    width: int,
    height: int,
) -> NDArray[np.bool_]:
    """Which cells of a width x height grid are in a rectangle, by the running sums of what starts and ends where."""
    stride, cells = width + 1, (width + 1) * (height + 1)
    starts = np.concatenate((top * stride + left, bottom * stride + right))
    ends = np.concatenate((top * stride + right, bottom * stride + left))
    change = np.bincount(starts, minlength=cells) - np.bincount(ends, minlength=cells)
    depth = change.astype(np.int32).reshape(height + 1, stride)[:height]
    np.cumsum(depth, axis=0, out=depth)
    np.cumsum(depth, axis=1, out=depth)
    covered: NDArray[np.bool_] = depth[:, :width] > 0
    return covered


def _runs(mask: NDArray[np.bool_], xs: NDArray[np.int64], ys: NDArray[np.int64]) -> Rects:
    """The covered cells as rectangles: runs of a row, joined with equal runs of the rows below."""
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    step = np.diff(padded, axis=1)
    row, start = np.nonzero(step == 1)
    _, end = np.nonzero(step == -1)
    order = np.lexsort((row, end, start))
    row, start, end = row[order], start[order], end[order]
    first = np.ones(len(row), np.bool_)
    first[1:] = (start[1:] != start[:-1]) | (end[1:] != end[:-1]) | (row[1:] != row[:-1] + 1)
    heads = np.flatnonzero(first)
    tails = np.append(heads[1:], len(row)) - 1
    x, y = xs[start[heads]], ys[row[heads]]
    return np.stack((x, y, xs[end[heads]] - x, ys[row[tails] + 1] - y), axis=1).astype(np.int32)
