"""Exposed parts are painted again, few of them one by one and many as one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray

from guid.core.trusted import Geometry, WindowId
from guid.hosts.x11.buffers import clipped
from guid.hosts.x11.exposures import _EVENT, Exposures
from tests.guid.hosts.x11.test_input import table

ONE, TWO = WindowId(1), WindowId(2)
RECTS = some.lists(some.tuples(*(some.integers(0, 300) for _ in range(2)), *(some.integers(1, 90) for _ in range(2))))


def run(xid: int, rects: list[tuple[int, int, int, int]]) -> bytes:
    events = np.zeros(len(rects), _EVENT)
    events["code"], events["window"] = 12, xid
    for index, rect in enumerate(rects):
        for name, value in zip(("x", "y", "width", "height"), rect, strict=True):
            events[name][index] = value
    return events.tobytes()


def covered(rects: NDArray[np.int32]) -> NDArray[np.bool_]:
    plane = np.zeros((400, 400), np.bool_)
    for x, y, width, height in rects.tolist():
        plane[y : y + height, x : x + width] = True
    return plane


@given(some.lists(RECTS.filter(bool), max_size=8), RECTS)
def test_whatever_was_exposed_is_painted_by_a_bounded_number_of_puts(
    runs: list[list[tuple[int, int, int, int]]], others: list[tuple[int, int, int, int]]
) -> None:
    exposures = Exposures(table())
    for rects in runs:
        exposures.add(run(11, rects), [])
        if others:
            exposures.add(run(21, others) + run(99, others), [])
    taken = {window.id: rects for window, rects in exposures.take()}
    every = [rect for rects in runs for rect in rects]
    if every:
        assert not (covered(np.array(every, np.int32)) & ~covered(taken[ONE])).any()
        assert len(taken[ONE]) <= 64
        if len(every) <= 64:
            assert taken[ONE].tolist() == [list(rect) for rect in every]
    assert set(taken) <= {ONE, TWO}
    assert list(exposures.take()) == []


@given(RECTS.filter(bool), some.integers(0, 200), some.integers(0, 200), some.integers(1, 200), some.integers(1, 200))
def test_clipping_keeps_exactly_what_is_inside(
    rects: list[tuple[int, int, int, int]], x: int, y: int, width: int, height: int
) -> None:
    given_rects = np.array(rects, np.int32)
    result = clipped(given_rects, Geometry(x, y, width, height))
    assert (result[:, 2:] > 0).all()
    inside = covered(np.array([[x, y, width, height]], np.int32))
    assert np.array_equal(covered(result), covered(given_rects) & inside)
