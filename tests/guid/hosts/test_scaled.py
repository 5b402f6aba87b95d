"""Places, sizes and pixels of windows that are shown larger than their VM thinks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from Xlib.ext import res

from guid.core.host_events import ConfiguredEvent, MotionEvent, ScreenEvent, ScreenInfo
from guid.core.trusted import Geometry, HintFlags, Label, SizeHints, WindowId
from guid.hosts.base import HostConfig
from guid.hosts.registry import load
from guid.hosts.scaled import ScaledHeadlessHost, larger, larger_hints, smaller, smaller_monitor, smaller_screen
from qubesdb.keys import Monitor
from tests.conformance.hosts.desktop import X11Desktop, x11_desktop
from tests.conformance.hosts.pictures import noise, rects
from tests.xserver import XServer

ONE = WindowId(1)
CONFIG = HostConfig("work", Label("blue", 0x2040E0, 4), scale=2)
SCALES = st.integers(2, 4)
PLACES = st.builds(
    Geometry, st.integers(-16384, 16384), st.integers(-6144, 6144), st.integers(1, 16384), st.integers(1, 6144)
)


@given(PLACES, SCALES)
def test_what_the_vm_wishes_comes_back_as_it_was(place: Geometry, scale: int) -> None:
    assert smaller(larger(place, scale), scale) == place


@given(PLACES, SCALES)
def test_every_pixel_of_the_display_is_one_of_the_vms(place: Geometry, scale: int) -> None:
    small = smaller(place, scale)
    assert small.width * scale >= place.width > (small.width - 1) * scale
    assert small.height * scale >= place.height > (small.height - 1) * scale


@given(st.integers(1, 9999), st.integers(1, 9999), st.data(), SCALES)
def test_the_vms_work_area_is_inside_the_displays(width: int, height: int, data: Any, scale: int) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    area = Geometry(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    small = smaller_screen(ScreenInfo(width, height, 24, area), scale)
    assert small.width * scale >= width
    inside = small.work_area
    if area.width >= 2 * scale and area.height >= 2 * scale:
        assert inside.x * scale >= area.x
        assert inside.y * scale >= area.y
        assert (inside.x + inside.width) * scale <= area.x + area.width
        assert (inside.y + inside.height) * scale <= area.y + area.height


def test_monitors_are_fine_only_if_they_still_are() -> None:
    assert smaller_monitor(Monitor(3840, 2160, 3840, 0, 325, 183), 2) == Monitor(1920, 1080, 1920, 0, 325, 183)
    assert smaller_monitor(Monitor(3840, 2160, 0, 0, 325, 183), 3) == Monitor(1280, 720, 0, 0)
    assert smaller_monitor(Monitor(1921, 1081, 0, 0), 2) == Monitor(961, 541, 0, 0)


def test_hints_ask_for_sizes_of_whole_squares() -> None:
    assert larger_hints(SizeHints(HintFlags(0)), 3) == SizeHints(HintFlags.P_RESIZE_INC, 0, 0, 0, 0, 3, 3)
    flags = HintFlags.P_MIN_SIZE | HintFlags.P_RESIZE_INC | HintFlags.P_BASE_SIZE
    asked = SizeHints(flags, 10, 20, 0, 0, 6, 13, 4, 4)
    assert larger_hints(asked, 2) == SizeHints(flags, 20, 40, 0, 0, 12, 26, 8, 8)


def bytes_of_pixmaps(desktop: X11Desktop) -> int:
    """What the host has in the X server, by the X-Resource extension."""
    window = desktop.host.create(WindowId(99), Geometry(0, 0, 1, 1), override_redirect=False)
    desktop.host.sync()
    found = res.query_client_pixmap_bytes(desktop.display, window)
    desktop.host.destroy(WindowId(99))
    return int(found.bytes)


class TestHeadless:
    @pytest.fixture
    def host(self) -> ScaledHeadlessHost:
        made = load("headless", CONFIG, None)
        assert isinstance(made, ScaledHeadlessHost)
        return made

    def place(self, host: ScaledHeadlessHost) -> Geometry:
        (window,) = host.windows()
        return window.geometry

    def test_a_size_that_a_window_manager_gave_stays_until_the_vm_wants_another(self, host: ScaledHeadlessHost) -> None:
        host.create(ONE, Geometry(10, 10, 50, 40), override_redirect=False)
        host.inject(ConfiguredEvent(ONE, Geometry(21, 33, 101, 77)))
        assert host.events() == [ConfiguredEvent(ONE, Geometry(10, 16, 51, 39))]
        host.configure(ONE, Geometry(10, 16, 51, 39))
        assert self.place(host) == Geometry(21, 33, 101, 77)
        host.configure(ONE, Geometry(11, 16, 51, 39))
        assert self.place(host) == Geometry(22, 33, 101, 77)
        host.configure(ONE, Geometry(11, 16, 51, 30))
        assert self.place(host) == Geometry(22, 33, 101, 60)

    def test_events_are_of_the_vms_pixels(self, host: ScaledHeadlessHost) -> None:
        host.inject(MotionEvent(ONE, -1, 7, 0))
        host.inject(ScreenEvent(ScreenInfo(801, 601, 24, Geometry(1, 0, 800, 600))))
        assert host.events() == [
            MotionEvent(ONE, -1, 3, 0),
            ScreenEvent(ScreenInfo(401, 301, 24, Geometry(1, 0, 399, 300))),
        ]


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    with XServer(1000, 800) as made:
        yield made


@pytest.fixture(params=[2, 3, 4])
def desktop(request: pytest.FixtureRequest, server: XServer) -> Iterator[X11Desktop]:
    with x11_desktop(server, HostConfig("work", CONFIG.label), request.param) as made:
        yield made


class TestX11:
    def test_each_pixel_is_a_square_also_far_from_the_corner(self, desktop: X11Desktop) -> None:
        scale = desktop.scale
        picture = noise(2000, 20)
        desktop.show(ONE, Geometry(-1800, 10, 2000, 20), picture)
        seen = desktop.pixels()[10 * scale : 30 * scale, : 200 * scale]
        assert np.array_equal(seen, picture.pixels[:, 1800:].repeat(scale, 0).repeat(scale, 1))

    def test_squares_that_a_window_manager_cut_off(self, desktop: X11Desktop) -> None:
        scale, border = desktop.scale, desktop.host_config.border_width
        picture = noise(60, 50)
        desktop.show(ONE, Geometry(20, 20, 60, 50), picture)
        desktop.settle()
        width, height = 40 * scale + 1, 30 * scale - 1
        outer = desktop.display.create_resource_object("window", desktop.local[ONE])
        outer.configure(width=width + 2 * border, height=height + 2 * border)
        expected = picture.pixels.repeat(scale, 0).repeat(scale, 1)[:height, :width]
        assert np.array_equal(desktop.pixels()[20 * scale :, 20 * scale :][:height, :width], expected)
        picture.pixels[:] ^= 0xFFFFFF
        desktop.host.paint(ONE, rects((0, 0, 60, 50)))
        assert np.array_equal(desktop.pixels()[20 * scale :, 20 * scale :][:height, :width], expected ^ 0xFFFFFF)

    def test_buffers_leave_nothing_behind_in_the_x_server(self, desktop: X11Desktop) -> None:
        errors, before = desktop.host.x_errors, bytes_of_pixmaps(desktop)
        for size in range(10, 30):
            picture = noise(size, size)
            desktop.show(ONE, Geometry(20, 20, size, size), picture)
            desktop.host.detach(ONE)
            desktop.host.attach(ONE, picture.pages, size, size)
            desktop.host.paint(ONE, rects((0, 0, size, size)))
            desktop.settle()
            desktop.host.destroy(ONE)
        desktop.settle()
        assert desktop.host.x_errors == errors
        assert bytes_of_pixmaps(desktop) == before
