"""Damage against a mask with one cell per pixel."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shm.damage import clip, clip_few, merge, merge_few

SIDE = 48
I32 = st.integers(-(2**31), 2**31 - 1)
HOSTILE = st.lists(st.tuples(*[st.one_of(st.integers(-60, 120), I32, st.just(2**31 - 1))] * 4), max_size=30)


def array(rects: list[tuple[int, int, int, int]]) -> NDArray[np.int32]:
    return np.array(rects, np.int32).reshape(-1, 4)


def mask_of(rects: NDArray[np.int32], side: int = SIDE) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), np.bool_)
    for x, y, width, height in rects.tolist():
        mask[y : y + height, x : x + width] = True
    return mask


def area_of(rects: NDArray[np.int32]) -> int:
    return int((rects[:, 2].astype(np.int64) * rects[:, 3]).sum())


def inside(most: int) -> st.SearchStrategy[list[tuple[int, int, int, int]]]:
    """Non-empty rectangles on the small surface: of any shape, or all small as text makes them."""

    def rect(side: int) -> st.SearchStrategy[tuple[int, int, int, int]]:
        return st.tuples(*[st.integers(0, SIDE - 1)] * 2, *[st.integers(1, side)] * 2).map(
            lambda r: (r[0], r[1], min(r[2], SIDE - r[0]), min(r[3], SIDE - r[1]))
        )

    return st.sampled_from([SIDE, 9, 3]).flatmap(lambda side: st.lists(rect(side), min_size=1, max_size=most))


@given(HOSTILE, st.integers(1, SIDE), st.integers(1, SIDE))
@example([(2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1)] * 9, SIDE, SIDE)
@example([(-(2**31), -(2**31), 2**31 - 1, 2**31 - 1)] * 9, SIDE, SIDE)
@example([(-5, -5, 2**31 - 1, 2**31 - 1)] * 9, SIDE, SIDE)
def test_clip_keeps_exactly_the_pixels_of_the_surface(
    rects: list[tuple[int, int, int, int]], width: int, height: int
) -> None:
    expected = np.zeros((SIDE, SIDE), np.bool_)
    for x, y, w, h in rects:
        expected[max(0, y) : max(0, min(height, y + h)), max(0, x) : max(0, min(width, x + w))] = True
    clipped = clip(array(rects), width, height)
    assert clipped.dtype == np.int32
    assert clipped.shape == (len(clipped), 4)
    assert (clipped[:, 2:] > 0).all()
    assert (clipped[:, :2] >= 0).all()
    assert (clipped[:, 0] + clipped[:, 2] <= width).all()
    assert (clipped[:, 1] + clipped[:, 3] <= height).all()
    assert (mask_of(clipped) == expected).all()


@given(HOSTILE)
def test_clip_of_many_equals_clip_of_few(rects: list[tuple[int, int, int, int]]) -> None:
    many = clip(array(rects * 9), 40, 30).tolist()
    assert many == [list(r) for r in clip_few(rects * 9, 40, 30)]


def check(rects: NDArray[np.int32], merged: NDArray[np.int32], limit: int, *, exact: bool) -> None:
    wanted, got = mask_of(rects), mask_of(merged)
    assert merged.dtype == np.int32
    assert 1 <= len(merged) <= limit
    assert (merged[:, 2:] > 0).all()
    assert got[wanted].all(), "a damaged pixel is not painted"
    rows, columns = np.flatnonzero(wanted.any(axis=1)), np.flatnonzero(wanted.any(axis=0))
    outside = got.copy()
    outside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = False
    assert not outside.any(), "painted outside the damage's bounding box"
    if exact:
        assert area_of(merged) <= 1.3 * wanted.sum(), "painted more than 1.3 times the damage"


@given(inside(8))
def test_merging_a_few_covers_all_and_paints_little_more(rects: list[tuple[int, int, int, int]]) -> None:
    damage = array(rects)
    merged = merge_few(list(rects), 128)
    check(damage, array(merged), 128, exact=True)
    assert merge(damage, 128).tolist() == [list(r) for r in merged]


@given(inside(40))
def test_merging_covers_all_and_paints_little_more(rects: list[tuple[int, int, int, int]]) -> None:
    # No exact cover of a surface of 48 x 48 has more runs than this, so the limit never forces anything.
    check(array(rects), merge(array(rects), SIDE * SIDE), SIDE * SIDE, exact=True)


@given(inside(40), st.integers(1, 9))
def test_merging_keeps_its_limit(rects: list[tuple[int, int, int, int]], limit: int) -> None:
    check(array(rects), merge(array(rects), limit), limit, exact=False)


@given(inside(40), st.randoms(use_true_random=False))
def test_order_and_repetition_cover_the_same(rects: list[tuple[int, int, int, int]], random: "st.DataObject") -> None:
    shuffled = rects * 3
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    assert (mask_of(merge(array(shuffled), 2000)) >= mask_of(array(rects))).all()


@pytest.mark.parametrize("count", [2, 9, 2000])
def test_the_same_rectangle_again_and_again_is_one(count: int) -> None:
    assert merge(array([(10, 20, 64, 64)] * count), 64).tolist() == [[10, 20, 64, 64]]


def test_what_lies_in_another_is_dropped() -> None:
    assert merge(array([(5, 5, 10, 10), (0, 0, 100, 100), (50, 50, 50, 50)]), 8).tolist() == [[0, 0, 100, 100]]


def test_halves_make_a_whole() -> None:
    assert merge(array([(0, 0, 50, 100), (50, 0, 50, 100)]), 8).tolist() == [[0, 0, 100, 100]]


def test_distant_rectangles_stay_apart() -> None:
    distant = [[0, 0, 10, 10], [1900, 1000, 10, 10], [0, 1000, 10, 10]]
    assert sorted(merge(array([(x, y, w, h) for x, y, w, h in distant]), 8).tolist()) == sorted(distant)


def test_a_large_rectangle_and_dots_beside_it_are_not_boxed() -> None:
    rects = array([(0, 0, 28, 48), *[(47, 5 * n, 1, 1) for n in range(9)]])
    check(rects, merge(rects, 64), 64, exact=True)


def test_no_damage_stays_none() -> None:
    empty = np.empty((0, 4), np.int32)
    assert merge(empty, 4).shape == (0, 4)
    assert clip(empty, 10, 10).shape == (0, 4)


def test_largest_surface() -> None:
    corners = array([(x, y, 35, 35) for x in (0, 65500) for y in (0, 65500)] * 5)
    assert sorted(merge(corners, 8).tolist()) == [
        [0, 0, 35, 35],
        [0, 65500, 35, 35],
        [65500, 0, 35, 35],
        [65500, 65500, 35, 35],
    ]


def test_a_storm_all_over_a_screen_is_bounded_and_close() -> None:
    """2,000 different 64x64 rectangles: over the limit, so rounded to tiles, yet not by much."""
    random = np.random.default_rng(7)
    rects = np.empty((2000, 4), np.int32)
    rects[:, 0], rects[:, 1] = random.integers(0, 1920 - 64, 2000), random.integers(0, 1080 - 64, 2000)
    rects[:, 2:] = 64
    merged = merge(rects, 128)
    wanted = mask_of(rects, 1920)
    assert len(merged) <= 128
    assert mask_of(merged, 1920)[wanted].all()
    assert area_of(merged) <= 1.3 * wanted.sum()
