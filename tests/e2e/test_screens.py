"""A desktop that gets another size or other monitors, and the AppVMs on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.desk import Desk
from tests.e2e.rig import wait_for
from tests.e2e.test_qubesdb import Vm
from tests.xserver import XServer


@pytest.fixture
def server() -> Iterator[XServer]:
    with XServer(1900, 1200) as made:
        resize(made, 1000, 700)
        yield made


@pytest.fixture
def desk(tmp_path: Path, server: XServer) -> Iterator[Desk]:
    made = Desk(tmp_path, server)
    yield made
    made.close()


def resize(server: XServer, width: int, height: int) -> None:
    """As a desktop does when another monitor is plugged in."""
    name = f"size-{width}x{height}"
    server.run("xrandr", "--newmode", name, "0", str(width), "0", "0", "0", str(height), "0", "0", "0")
    server.run("xrandr", "--addmode", "screen", name)
    server.run("xrandr", "--output", "screen", "--mode", name)


def size(vm: Vm) -> str:
    """Of its screen."""
    (line,) = [line for line in vm.run("xdpyinfo").splitlines() if "dimensions" in line]
    return line.split()[1]


def test_a_vm_has_the_desktops_screen_and_monitors_and_follows_them(server: XServer, desk: Desk) -> None:
    work = Vm(desk, "work")
    assert size(work) == "1000x700"
    resize(server, 1900, 1200)
    wait_for("the larger screen", lambda: size(work) == "1900x1200")
    server.run("xrandr", "--setmonitor", "left", "900/238x1200/318+0+0", "screen")
    server.run("xrandr", "--setmonitor", "right", "1000/265x1200/318+900+0", "none")
    wait_for("two monitors", lambda: "Monitors: 2" in work.run("xrandr --listmonitors"))
    found = work.run("xrandr --listmonitors")
    assert "900/238x1200/318+0+0" in found
    assert "1000/265x1200/318+900+0" in found
    server.run("xrandr", "--delmonitor", "right")
    server.run("xrandr", "--delmonitor", "left")
    resize(server, 800, 600)
    wait_for("the smaller screen", lambda: size(work) == "800x600")
    assert "Monitors: 1" in work.run("xrandr --listmonitors")


def test_the_pointer_reaches_a_window_where_the_screen_has_grown(server: XServer, desk: Desk) -> None:
    work = Vm(desk, "work")
    resize(server, 1900, 1200)
    wait_for("the larger screen", lambda: size(work) == "1900x1200")
    work.run("xterm -T far -geometry -30-30 &")
    window = wait_for("the terminal", lambda: desk.shown("far"))
    assert window["x"] + window["width"] in range(1840, 1900), "at the right of the screen that there is now"
    at = window["x"] + window["width"] - 5, window["y"] + window["height"] - 5
    desk.screen.move_pointer(*at)
    wait_for("the pointer", lambda: work.run("xdotool getmouselocation").startswith(f"x:{at[0]} y:{at[1]} "))


def test_a_vm_with_a_screen_of_its_own_keeps_it(server: XServer, desk: Desk) -> None:
    desk.guid("run", "own", "--label", "blue", "--screen", "640x480", "--detach", "--", "xclock", "-name", "clock")
    wait_for("its window", lambda: desk.shown("clock"))
    resize(server, 1900, 1200)
    wait_for("the desktop's layout to be told", lambda: "/keyboard-layout" in desk.guid("db", "list", "own"))
    assert "/odyssey-monitors" not in desk.guid("db", "list", "own")
