"""The icon that a program gives its window in an AppVM is the window's on the desktop, in the label's colours."""

import colorsys
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from Xlib import X, Xatom

from guid.config.labels import LABELS
from tests.e2e.desk import Desk
from tests.e2e.rig import Rig, Screen, wait_for
from tests.xserver import XServer

BLUE = LABELS["blue"].color
RED, DARK_GREEN, GLASS = 0xFFFF0000, 0xFF004000, 0x80FFFFFF
PROGRAM = """
import sys, time
from Xlib import X, Xatom, display
d = display.Display()
root = d.screen()
window = root.root.create_window(100, 100, 200, 100, 0, root.root_depth, background_pixel=0xAABBCC)
window.set_wm_name("inside")
window.change_property(d.intern_atom("_NET_WM_ICON"), Xatom.CARDINAL, 32, [1, 1, 0xFFFF0000])
window.map()
d.flush()
time.sleep(600)
"""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path) as made:
        yield made


def open_window(rig: Rig, title: str = "iconic") -> Any:
    """A program's window, not mapped."""
    window = rig.guest.root.create_window(100, 100, 200, 100, 0, 24, background_pixel=0xAABBCC)
    window.set_wm_name(title)
    return window


def show(rig: Rig, window: Any) -> None:
    window.map()
    rig.guest.sync()


def give_icon(rig: Rig, window: Any, width: int, height: int, argb: list[int]) -> None:
    name = rig.guest.display.intern_atom("_NET_WM_ICON")
    window.change_property(name, Xatom.CARDINAL, 32, [width, height, *argb])
    rig.guest.sync()


def icon_of(screen: Screen, window: int) -> NDArray[np.uint32]:
    """The first one: u32 [height, width], 0xAARRGGBB; empty if there is none."""
    name = screen.display.intern_atom("_NET_WM_ICON")
    found = screen.window(window).get_full_property(name, X.AnyPropertyType)
    words = np.array([0, 0] if found is None else found.value, np.uint32)
    width, height = words[:2].tolist()
    return words[2 : 2 + width * height].reshape(height, width)


def tinted(argb: int, color: int = BLUE) -> int:
    """Lightness of the first, hue and saturation of the second."""
    red, green, blue = (argb >> shift & 0xFF for shift in (16, 8, 0))
    hue, _, saturation = colorsys.rgb_to_hls(*((color >> shift & 0xFF) / 255 for shift in (16, 8, 0)))
    lightness = (max(red, green, blue) + min(red, green, blue)) / 510
    channels = (round(255 * channel) for channel in colorsys.hls_to_rgb(hue, lightness, saturation))
    return argb & 0xFF000000 | sum(channel << shift for channel, shift in zip(channels, (16, 8, 0), strict=True))


def is_icon(screen: Screen, window: int, rows: list[list[int]], color: int = BLUE) -> bool:
    """Whether the window's icon is that, tinted; a channel may be off by one."""
    found = icon_of(screen, window)
    wanted = np.array([[tinted(argb, color) for argb in row] for row in rows], np.uint32)
    if found.shape != wanted.shape:
        return False
    difference = found.view(np.uint8).astype(int) - wanted.view(np.uint8).astype(int)
    return bool((abs(difference) <= 1).all())


def is_padlock(screen: Screen, window: int) -> bool:
    icon = icon_of(screen, window)
    return icon.shape == (16, 16) and icon[12, 8] == 0xFF000000 | BLUE


def test_icons_of_programs_in_the_labels_colours(rig: Rig) -> None:
    rig.start_agent()
    rig.start_daemon()
    window = open_window(rig)
    give_icon(rig, window, 3, 2, [RED, DARK_GREEN, GLASS, 0, RED, RED])
    show(rig, window)
    local = rig.wait_window("iconic")["local_id"]
    wait_for("its icon", lambda: is_icon(rig.desk, local, [[RED, DARK_GREEN, GLASS], [0, RED, RED]]))

    give_icon(rig, window, 1, 1, [DARK_GREEN])
    wait_for("its other icon", lambda: is_icon(rig.desk, local, [[DARK_GREEN]]))

    give_icon(rig, window, 100, 200, [RED] * 20_000)
    wait_for("a smaller one", lambda: is_icon(rig.desk, local, [[RED] * 32] * 64))

    plain = open_window(rig, "plain")
    show(rig, plain)
    assert is_padlock(rig.desk, rig.wait_window("plain")["local_id"])

    old = open_window(rig, "old")
    pixmap = old.create_pixmap(8, 8, 24)
    pixmap.fill_rectangle(pixmap.create_gc(foreground=0xFF0000), 0, 0, 8, 8)
    old.set_wm_hints(flags=4, icon_pixmap=pixmap.id)
    show(rig, old)
    local = rig.wait_window("old")["local_id"]
    wait_for("an old program's icon", lambda: is_icon(rig.desk, local, [[RED] * 8] * 8))


def test_either_half_may_be_killed(rig: Rig) -> None:
    agent = rig.start_agent()
    rig.start_daemon()
    window = open_window(rig)
    give_icon(rig, window, 1, 1, [RED])
    show(rig, window)
    rig.wait_window("iconic")

    def shown() -> bool:
        return any(is_icon(rig.desk, row["local_id"], [[RED]]) for row in rig.windows())

    wait_for("its icon", shown)
    for _ in range(3):
        pid = rig.vm()["worker_pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for("another worker", lambda pid=pid: rig.vm()["worker_pid"] not in (pid, None))  # type: ignore[misc] # mypy infers no lambda defaults
        wait_for("its icon again", shown)
        agent.kill()
        agent.wait()
        wait_for("the window to go", lambda: not rig.windows())
        agent = rig.start_agent()
        wait_for("its icon again", shown)


def test_many_windows_at_once(rig: Rig) -> None:
    rig.start_agent()
    rig.start_daemon()
    for number in range(60):
        window = open_window(rig, f"w{number}")
        give_icon(rig, window, 48, 48, [RED] * 48**2)
        show(rig, window)
    rig.wait_window("w59")
    wait_for("all windows", lambda: sum(row["mapped"] for row in rig.windows()) == 60)
    wanted = [[RED] * 48] * 48
    wait_for("all icons", lambda: all(is_icon(rig.desk, row["local_id"], wanted) for row in rig.windows()), 60)


def test_the_user_may_want_the_labels_icon_only(rig: Rig) -> None:
    config = rig.directory / "guid.toml"
    config.write_text('[global]\nwindow_icons = "label"\n')
    rig.start_agent()
    rig.start_daemon()
    assert rig.daemon is not None
    window = open_window(rig)
    give_icon(rig, window, 1, 1, [RED])
    show(rig, window)
    local = rig.wait_window("iconic")["local_id"]
    assert is_padlock(rig.desk, local)
    for setting in ("vm", "label", "vm"):
        config.write_text(f'[global]\nwindow_icons = "{setting}"\n')
        rig.daemon.send_signal(signal.SIGHUP)
        if setting == "vm":
            wait_for("its own icon", lambda: is_icon(rig.desk, local, [[RED]]))
        else:
            wait_for("the label's", lambda: is_padlock(rig.desk, local))


@pytest.fixture
def wall_server() -> Iterator[XServer]:
    """Another display."""
    with XServer(1400, 900) as server:
        yield server


def test_windows_have_their_icons_wherever_they_move(tmp_path: Path, wall_server: XServer) -> None:
    (tmp_path / "guid.toml").write_text(
        f'[gui-domain.wall]\nid = 32\ndisplay = "{wall_server.display}"\n'
        f'[gui-domain.upstairs]\nid = 0\ndisplay = "{wall_server.display}"\n'
        '[gui-domain.sys-gui]\nvm = "sys-gui"\n'
    )
    wall = Screen(wall_server.display)
    with XServer(1600, 1000) as server:
        desk = Desk(tmp_path, server)
        desk.environ["XDG_STATE_HOME"] = str(tmp_path / "state")
        home = desk.screen

        def shown(screen: Screen) -> bool:
            found = desk.shown("inside")
            return found is not None and is_icon(screen, found["local_id"], [[RED]])

        try:
            desk.guid("run", "work", "--label", "blue", "--detach", "--", sys.executable, "-c", PROGRAM)
            wait_for("its icon", partial(shown, home))
            for domain, screen in (("wall", wall), ("dom0", home), ("upstairs", wall), ("dom0", home)):
                desk.guid("swap", "work", "--to", domain)
                wait_for(f"its icon in {domain}", partial(shown, screen))
            # That of sys-gui's own window is what the worker inside has made of it, in sys-gui's colours.
            desk.guid("run", "sys-gui", "--label", "gray", "--detach", "--", "sleep", "600")
            wait_for("sys-gui", lambda: len(desk.vms()) == 2 and all(vm["state"] == "connected" for vm in desk.vms()))
            desk.guid("swap", "work", "--to", "sys-gui")
            outer = wait_for("the window", lambda: desk.shown("[work] inside"))
            gray = LABELS["gray"].color
            wait_for("its icon there", lambda: is_icon(home, outer["local_id"], [[tinted(RED)]], gray))
        finally:
            desk.close()
            wall.close()
