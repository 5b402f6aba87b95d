"""The desktop's monitors are known, but not which make they are."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.hosts.x11.monitors import coarse
from qubesdb.keys import MONITORS, Monitor
from tests.conformance.hosts.desktop import X11Desktop
from tests.xserver import XServer


@pytest.fixture
def monitors(x_server: XServer) -> Any:
    """Makes one: name, size and place as xrandr wants them, and the output it stands for."""
    made: list[str] = []

    def make(name: str, place: str, output: str = "none") -> None:
        made.append(name)
        x_server.run("xrandr", "--setmonitor", name, place, output)

    yield make
    for name in made:
        x_server.run("xrandr", "--delmonitor", name.removeprefix("*"))


def test_a_screen_is_one_monitor(desktop: X11Desktop) -> None:
    assert desktop.host.desktop().monitors == (Monitor(800, 600, 0, 0),)


def test_the_main_monitor_comes_first(desktop: X11Desktop, monitors: Callable[..., None]) -> None:
    monitors("left", "500/200x600/240+0+0", "screen")
    monitors("*right", "300/30x600/60+500+0")
    desktop.settle()
    assert desktop.host.desktop().monitors == (Monitor(300, 600, 500, 0, 38, 76), Monitor(500, 600, 0, 0))


def test_monitors_that_go_are_gone(desktop: X11Desktop, monitors: Callable[..., None], x_server: XServer) -> None:
    monitors("left", "500/200x600/240+0+0", "screen")
    desktop.settle()
    assert desktop.host.desktop().monitors == (Monitor(500, 600, 0, 0),)
    x_server.run("xrandr", "--delmonitor", "left")
    desktop.settle()
    assert desktop.host.desktop().monitors == (Monitor(800, 600, 0, 0),)
    monitors("left", "500/200x600/240+0+0", "screen")  # for the fixture to remove


@given(st.integers(1, 32767), st.integers(1, 32767), st.integers(0, 2**32 - 1))
def test_sizes_in_millimetres_say_one_of_four_things(width: int, height: int, mm_width: int) -> None:
    told = coarse(width, height, mm_width)
    assert told in {(0, 0)} | {(round(width * 25.4 / dpi), round(height * 25.4 / dpi)) for dpi in (150, 200, 300)}
    assert MONITORS.parse(str(Monitor(width, height, 0, 0, *told)).encode()) == (Monitor(width, height, 0, 0, *told),)
