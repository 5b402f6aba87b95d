"""The desktop as it is: its size, and what panels leave of it."""

from typing import Any

import pytest
from Xlib import Xatom
from Xlib.ext import randr

from guid.core.host_events import ScreenEvent, ScreenInfo
from guid.core.trusted import Geometry
from tests.conformance.hosts.desktop import X11Desktop
from tests.xserver import XServer

WHOLE = Geometry(0, 0, 800, 600)


def cardinals(desktop: X11Desktop, name: str, values: list[int]) -> None:
    desktop.root.change_property(desktop.display.get_atom(name), Xatom.CARDINAL, 32, values)


@pytest.fixture
def desktop(desktop: X11Desktop) -> Any:
    yield desktop
    for name in ("_NET_WORKAREA", "_NET_CURRENT_DESKTOP"):
        desktop.root.delete_property(desktop.display.get_atom(name))
    desktop.settle()


def screens(desktop: X11Desktop) -> list[ScreenInfo]:
    return [event.screen for event in desktop.settle() if isinstance(event, ScreenEvent)]


def test_the_work_area_of_the_current_desktop(desktop: X11Desktop) -> None:
    cardinals(desktop, "_NET_WORKAREA", [0, 20, 800, 580, 10, 0, 700, 600])
    assert screens(desktop) == [ScreenInfo(800, 600, 24, Geometry(0, 20, 800, 580))]
    cardinals(desktop, "_NET_CURRENT_DESKTOP", [1])
    assert screens(desktop) == [ScreenInfo(800, 600, 24, Geometry(10, 0, 700, 600))]
    assert desktop.host.screen().work_area == Geometry(10, 0, 700, 600)
    desktop.root.delete_property(desktop.display.get_atom("_NET_WORKAREA"))
    assert screens(desktop) == [ScreenInfo(800, 600, 24, WHOLE)]


@pytest.mark.parametrize(
    "nonsense",
    [[0, 0, 0, 0], [0, 0, 801, 600], [1, 2, 3], [2**32 - 1, 0, 800, 600], [0, 2**31, 800, 600], [0, 0, 2**32 - 1, 9]],
)
def test_nonsense_is_ignored(desktop: X11Desktop, nonsense: list[int]) -> None:
    cardinals(desktop, "_NET_WORKAREA", nonsense)
    assert screens(desktop) == []
    assert desktop.host.screen().work_area == WHOLE


def test_a_work_area_of_another_type_is_none(desktop: X11Desktop) -> None:
    desktop.root.change_property(desktop.display.get_atom("_NET_WORKAREA"), Xatom.STRING, 8, b"0 0 10 10")
    assert screens(desktop) == []


def test_an_area_from_before_the_host(desktop: X11Desktop, x_server: XServer) -> None:
    cardinals(desktop, "_NET_WORKAREA", [0, 20, 800, 580])
    desktop.settle()
    other = X11Desktop(x_server, desktop.config)
    assert other.host.screen().work_area == Geometry(0, 20, 800, 580)
    other.close()


def test_the_screen_gets_another_size(desktop: X11Desktop) -> None:
    cardinals(desktop, "_NET_WORKAREA", [0, 20, 800, 580])
    desktop.settle()
    set_size(desktop, 640, 480)
    assert screens(desktop)[-1] == ScreenInfo(640, 480, 24, Geometry(0, 0, 640, 480))
    set_size(desktop, 800, 600)
    assert screens(desktop)[-1] == ScreenInfo(800, 600, 24, Geometry(0, 20, 800, 580))


def set_size(desktop: X11Desktop, width: int, height: int) -> None:
    resources = randr.get_screen_resources(desktop.root)
    randr.set_crtc_config(desktop.display, resources.crtcs[0], resources.config_timestamp, 0, 0, 0, randr.Rotate_0, [])
    desktop.root.xrandr_set_screen_size(width, height, width, height)
