"""Pixels of the guest's memory appear inside the border, all of them, and nowhere else."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from guid.core.trusted import Geometry, WindowId
from guid.hosts.base import HostConfig
from tests.conformance.hosts.conftest import LABEL
from tests.conformance.hosts.desktop import DESKTOP, Desktop
from tests.conformance.hosts.pictures import noise, rects, whole

ONE, TWO = WindowId(1), WindowId(2)
WHITE = 0xFFFFFF


def framed(pixels: NDArray[np.uint32], border: int, color: int = LABEL.color) -> NDArray[np.uint32]:
    """`pixels` in a border, and one pixel of desktop around that."""
    return np.pad(np.pad(pixels, border, constant_values=color), 1, constant_values=DESKTOP)


def around(geometry: Geometry, border: int) -> Geometry:
    margin = border + 1
    return Geometry(geometry.x - margin, geometry.y - margin, geometry.width + 2 * margin, geometry.height + 2 * margin)


@pytest.mark.parametrize("form", ["region", "view"])
@pytest.mark.parametrize("override_redirect", [False, True])
@pytest.mark.parametrize("size", [(300, 200), (1, 1), (2, 1), (7, 13), (257, 1)])
def test_a_window_is_its_pixels_in_a_border_of_the_labels_color(
    desktop: Desktop, size: tuple[int, int], override_redirect: bool, form: str
) -> None:
    place = Geometry(100, 50, *size)
    picture = noise(*size, form=form)
    desktop.show(ONE, place, picture, override_redirect=override_redirect)
    assert np.array_equal(desktop.content(around(place, 3)), framed(picture.pixels, 3))


@pytest.mark.parametrize("form", ["region", "view"])
def test_only_what_was_damaged_is_painted(desktop: Desktop, form: str) -> None:
    place = Geometry(10, 10, 200, 100)
    picture = noise(200, 100, form=form)
    desktop.show(ONE, place, picture)
    expected = desktop.content(place).copy()
    desktop.screenshot()
    picture.pixels[:] ^= 0xFFFFFF
    desktop.host.paint(ONE, rects((5, 6, 50, 40), (190, 90, 10, 10)))
    expected[6:46, 5:55] ^= 0xFFFFFF
    expected[90:, 190:] ^= 0xFFFFFF
    assert np.array_equal(desktop.content(place), expected)


@pytest.mark.parametrize("form", ["region", "view"])
@pytest.mark.parametrize("count", [1, 24, 25, 500])
def test_any_number_of_rectangles(desktop: Desktop, count: int, form: str) -> None:
    place = Geometry(10, 10, 500, 20)
    picture = noise(500, 20, form=form)
    desktop.show(ONE, place)
    desktop.screenshot()
    desktop.host.attach(ONE, picture.pages, 500, 20)
    desktop.host.paint(ONE, rects(*((x, x % 20, 1, 1) for x in range(count))))
    expected = np.full((20, 500), WHITE, np.uint32)
    for x in range(count):
        expected[x % 20, x] = picture.pixels[x % 20, x]
    assert np.array_equal(desktop.content(place), expected)


def test_two_windows_share_one_region(desktop: Desktop) -> None:
    both = noise(100, 200)
    for window, place, top in ((ONE, Geometry(10, 10, 100, 100), 0), (TWO, Geometry(210, 10, 100, 100), 100)):
        part = noise(100, 100)
        pages = both.pages.__class__(both.pages.region, top * 400, 40000, None, 0, lambda: None)
        desktop.show(window, place)
        desktop.host.attach(window, pages, 100, 100)
        desktop.host.paint(window, whole(part))
    desktop.host.destroy(ONE)
    desktop.host.paint(TWO, rects((0, 0, 100, 100)))
    assert np.array_equal(desktop.content(Geometry(210, 10, 100, 100)), both.pixels[100:])


def test_a_buffer_larger_than_the_content_is_clipped(desktop: Desktop) -> None:
    place = Geometry(50, 50, 100, 80)
    picture = noise(400, 300)
    desktop.show(ONE, place, picture)
    assert np.array_equal(desktop.content(around(place, 3)), framed(picture.pixels[:80, :100], 3))


def test_a_buffer_smaller_than_the_content_leaves_background(desktop: Desktop) -> None:
    place = Geometry(50, 50, 100, 80)
    picture = noise(30, 20)
    desktop.show(ONE, place, picture)
    expected = np.full((80, 100), WHITE, np.uint32)
    expected[:20, :30] = picture.pixels
    assert np.array_equal(desktop.content(around(place, 3)), framed(expected, 3))


@pytest.mark.parametrize("form", ["region", "view"])
def test_another_buffer_takes_over(desktop: Desktop, form: str) -> None:
    place = Geometry(10, 10, 64, 48)
    first, second = noise(64, 48, 1, form=form), noise(100, 48, 2, form=form)
    desktop.show(ONE, place, first)
    assert np.array_equal(desktop.content(place), first.pixels)
    desktop.host.attach(ONE, second.pages, 100, 48)
    desktop.host.paint(ONE, rects((0, 0, 100, 48)))
    assert np.array_equal(desktop.content(place), second.pixels[:, :64])


@pytest.mark.parametrize("go_away", ["unmap", "destroy", "configure"])
def test_what_another_window_covered_comes_back(desktop: Desktop, go_away: str) -> None:
    place = Geometry(100, 100, 200, 150)
    picture = noise(200, 150)
    desktop.show(ONE, place, picture)
    desktop.show(TWO, Geometry(150, 120, 300, 50), noise(300, 50, 2))
    assert not np.array_equal(desktop.content(place), picture.pixels)
    if go_away == "configure":
        desktop.host.configure(TWO, Geometry(400, 400, 30, 30))
    else:
        getattr(desktop.host, go_away)(TWO)
    assert np.array_equal(desktop.content(around(place, 3)), framed(picture.pixels, 3))


def test_without_a_buffer_there_is_background(desktop: Desktop) -> None:
    place = Geometry(10, 10, 50, 40)
    desktop.show(ONE, place)
    desktop.host.paint(ONE, rects((0, 0, 50, 40)))
    expected = framed(np.full((40, 50), WHITE, np.uint32), 3)
    assert np.array_equal(desktop.content(around(place, 3)), expected)


def test_a_detached_buffer_is_not_used_again(desktop: Desktop) -> None:
    place = Geometry(10, 10, 50, 40)
    desktop.show(ONE, place, noise(50, 40))
    desktop.screenshot()
    desktop.host.detach(ONE)
    desktop.host.paint(ONE, rects((0, 0, 50, 40)))
    desktop.host.unmap(ONE)
    desktop.host.map(ONE, override_redirect=False, transient_for=None)
    assert (desktop.content(place) == WHITE).all()


@pytest.mark.parametrize("form", ["region", "view"])
def test_painting_an_unmapped_window_harms_nobody(desktop: Desktop, form: str) -> None:
    place = Geometry(10, 10, 50, 40)
    picture = noise(50, 40, form=form)
    desktop.host.create(ONE, place, override_redirect=False)
    desktop.host.attach(ONE, picture.pages, 50, 40)
    desktop.host.paint(ONE, whole(picture))
    assert (desktop.screenshot() == DESKTOP).all()
    desktop.host.map(ONE, override_redirect=False, transient_for=None)
    assert np.array_equal(desktop.content(place), picture.pixels)


@pytest.mark.parametrize(
    "place",
    [
        Geometry(0, 0, 16384, 6144),
        Geometry(-16384, -6144, 16380, 6140),
        Geometry(16384, 6144, 16384, 6144),
        Geometry(-16384, 6144, 1, 1),
    ],
)
@pytest.mark.parametrize("override_redirect", [False, True])
def test_the_largest_and_farthest_windows(desktop: Desktop, place: Geometry, override_redirect: bool) -> None:
    picture = noise(300, 200)
    desktop.show(ONE, place, picture, override_redirect=override_redirect)
    screen = desktop.screenshot()
    if (place.x, place.y) == (0, 0):
        assert np.array_equal(screen[:200, :300], picture.pixels)
    else:
        assert (screen == DESKTOP).all()
    desktop.host.configure(ONE, Geometry(100, 100, 300, 200))
    assert np.array_equal(desktop.content(around(Geometry(100, 100, 300, 200), 3)), framed(picture.pixels, 3))


def test_memory_that_shrinks_under_the_host_stops_nothing(desktop: Desktop, tmp_path: Path) -> None:
    place = Geometry(10, 10, 100, 100)
    picture = noise(100, 100, file=tmp_path / "pages")
    desktop.show(ONE, place, picture)
    assert np.array_equal(desktop.content(place), picture.pixels)
    os.truncate(tmp_path / "pages", 4096)
    desktop.host.paint(ONE, rects((0, 0, 100, 100)))
    desktop.screenshot()
    other = noise(50, 50, 2)
    desktop.show(TWO, Geometry(300, 300, 50, 50), other)
    assert np.array_equal(desktop.content(Geometry(300, 300, 50, 50)), other.pixels)


class TestOtherBorders:
    """`border_width` 0 to 10; override-redirect windows are never without."""

    @pytest.fixture(params=[(0, True), (1, True), (10, True), (5, False), (0, False)])
    def config(self, request: pytest.FixtureRequest) -> HostConfig:
        width, managed = request.param
        return HostConfig("work", LABEL, border_width=width, border_managed=managed)

    @pytest.mark.parametrize("override_redirect", [False, True])
    def test_border(self, desktop: Desktop, override_redirect: bool) -> None:
        config = desktop.config
        if not config.border_width and override_redirect and desktop.scale > 1:
            pytest.skip("the border that is never left out is one pixel of the display")
        border = max(1, config.border_width) if override_redirect else config.border_width * config.border_managed
        place = Geometry(100, 50, 60, 40)
        picture = noise(60, 40)
        desktop.show(ONE, place, picture, override_redirect=override_redirect)
        assert np.array_equal(desktop.content(around(place, border)), framed(picture.pixels, border))

    def test_a_window_that_becomes_override_redirect_gets_its_border(self, desktop: Desktop) -> None:
        if not desktop.config.border_width and desktop.scale > 1:
            pytest.skip("the border that is never left out is one pixel of the display")
        place = Geometry(100, 50, 60, 40)
        picture = noise(60, 40)
        desktop.show(ONE, place, picture)
        for override_redirect in (True, False, True):
            desktop.host.unmap(ONE)
            desktop.host.map(ONE, override_redirect=override_redirect, transient_for=None)
        border = max(1, desktop.config.border_width)
        assert np.array_equal(desktop.content(around(place, border)), framed(picture.pixels, border))
