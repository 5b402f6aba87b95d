"""Icons are shown in their order, the latest of each window, so many a second; early ones wait for their windows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.core.icons import BURST, EARLY, PER_SECOND, Icons
from guid.core.trusted import WindowId
from guid.core.validate import icon as validated
from guiproto.icons import WindowIcon

EVERY: Any = range(1 << 32)


def icon(window: int, shade: int = 0) -> WindowIcon:
    return WindowIcon(window, 1, 1, bytes((shade, shade, shade, 255)))


def windows(icons: Icons, now: float, shown: Any = EVERY) -> list[int]:
    return [int(window) for window, _ in icons.take(now, shown)]


def test_the_latest_of_a_window_counts() -> None:
    icons = Icons()
    for window, shade in ((1, 10), (2, 20), (1, 30)):
        icons.add(icon(window, shade))
    found = {window: int(taken.pixels[0, 0]) for window, taken in icons.take(5.0, EVERY)}
    assert found == {1: 0xFF1E1E1E, 2: 0xFF141414}
    assert icons.empty
    assert icons.deadline() is None


def test_so_many_at_once_and_so_many_a_second() -> None:
    icons = Icons()
    for window in range(3 * BURST):
        icons.add(icon(window))
    assert windows(icons, 100.0) == list(range(BURST))
    assert icons.full
    deadline = icons.deadline()
    assert deadline == pytest.approx(100 + 1 / PER_SECOND)
    assert windows(icons, 100.0) == []
    assert windows(icons, 101.0) == list(range(BURST, BURST + PER_SECOND))
    assert len(windows(icons, 200.0)) == BURST, "no more are saved up"
    while icons.full:
        at = icons.deadline()
        assert at is not None
        assert windows(icons, at + 1e-6)


def test_a_window_may_come_after_its_icon() -> None:
    icons = Icons()
    icons.add(icon(1, 1))
    icons.add(icon(2))
    assert windows(icons, 0.0, {2}) == [2]
    icons.add(icon(1, 9))
    assert windows(icons, 1.0, {2}) == []
    assert not icons.empty
    assert icons.deadline() is None, "nothing happens by itself"
    ((window, taken),) = icons.take(2.0, {WindowId(1)})
    assert (window, taken.pixels[0, 0]) == (1, 0xFF090909)
    assert icons.empty


def test_few_are_kept_for_windows_that_never_come() -> None:
    icons = Icons()
    for window in range(3 * EARLY):
        icons.add(icon(window))
        assert windows(icons, float(window), set()) == []
    assert windows(icons, 1e6) == list(range(2 * EARLY, 3 * EARLY))


@given(st.integers(1, 1024), st.integers(1, 1024), st.binary(min_size=4, max_size=4))
def test_any_size_becomes_a_small_one_of_the_same_colour(width: int, height: int, pixel: bytes) -> None:
    pixels = validated(WindowIcon(1, width, height, pixel * (width * height))).pixels
    assert pixels.dtype == np.uint32
    assert min(pixels.shape) >= 1
    assert max(pixels.shape) == min(64, max(width, height))
    red, green, blue, alpha = pixel if pixel[3] or max(width, height) <= 64 else bytes(4)
    assert set(pixels.ravel().tolist()) == {alpha << 24 | red << 16 | green << 8 | blue}


def test_what_is_transparent_has_no_colour_to_give() -> None:
    rgba = np.zeros((128, 128, 4), np.uint8)
    rgba[:, ::2] = (200, 100, 50, 255)
    rgba[:, 1::2] = (0, 255, 0, 0)
    pixels = validated(WindowIcon(1, 128, 128, rgba.tobytes())).pixels
    assert set(pixels.ravel().tolist()) == {0x7FC86432}
