"""`guid swap`: windows move between GUI domains while their applications run on."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.desk import BLUE, Desk
from tests.e2e.rig import Screen, wait_for
from tests.xserver import XServer

XTERM = ("xterm", "-T", "inside", "-geometry", "60x10+100+100", "-e", "sh", "-c", "echo hello; exec sleep 600")


@pytest.fixture
def wall() -> Iterator[Screen]:
    """Another display."""
    with XServer(1400, 900) as server:
        screen = Screen(server.display)
        yield screen
        screen.close()


@pytest.fixture
def desk(tmp_path: Path, wall: Screen) -> Iterator[Desk]:
    config = tmp_path / "guid.toml"
    config.write_text(
        f'[gui-domain.wall]\nid = 32\ndisplay = "{wall.name}"\n'
        f'[gui-domain.upstairs]\nid = 0\ndisplay = "{wall.name}"\n'
        '[gui-domain.nowhere]\nid = 0\ndisplay = ":4321"\n'
        '[gui-domain.sys-gui]\nvm = "sys-gui"\n'
        '[gui-domain.air]\nid = 33\nhost = "headless"\n'
    )
    with XServer(1600, 1000) as server:
        made = Desk(tmp_path, server)
        made.environ |= {"GUID_CONFIG": str(config), "XDG_STATE_HOME": str(tmp_path / "state")}
        try:
            yield made
        finally:
            made.close()


def _domain(desk: Desk) -> str:
    (vm,) = desk.vms()
    return str(vm["gui_domain"])


def test_another_display_of_the_same_domain(desk: Desk, wall: Screen) -> None:
    desk.guid("run", "work", "--label", "blue", "--detach", "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    before = desk.content("inside")
    assert "upstairs shows work" in desk.guid("swap", "work", "--to", "upstairs")
    assert not desk.screen.root.query_tree().children
    assert _domain(desk) == "upstairs"
    desk.look_at(wall)
    wait_for("the same pixels there", lambda: (desk.content("inside") == before).all())
    assert "already" in desk.guid("swap", "--all", "--to", "upstairs")


def test_a_display_that_cannot_be_reached_changes_nothing(desk: Desk) -> None:
    desk.guid("run", "work", "--label", "blue", "--detach", "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    said = desk.guid("swap", "work", "--to", "nowhere", status=1)
    assert "still shows work" in said
    assert ":4321" in said
    assert desk.painted("inside")
    (vm,) = desk.vms()
    assert vm["restarts"] == 0


def test_where_windows_can_be_shown(desk: Desk, wall: Screen) -> None:
    rows = {row["name"]: row for row in json.loads(desk.guid("domains", "--json"))}
    assert set(rows) == {"dom0", "wall", "upstairs", "nowhere", "air", "sys-gui"}
    assert rows["wall"]["display"] == wall.name
    assert rows["dom0"]["id"] == 0
    assert "did you mean 'wall'" in desk.guid("swap", "work", "--to", "wal", status=1)


def test_a_vm_is_shown_where_it_was_moved_when_it_starts_again(desk: Desk, wall: Screen) -> None:
    assert "upstairs will show it" in desk.guid("swap", "work", "--to", "upstairs")
    desk.look_at(wall)
    desk.guid("run", "work", "--label", "blue", "--detach", "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    assert _domain(desk) == "upstairs"


GRAY = 0x555753


def test_a_gui_domain_in_an_appvm(desk: Desk) -> None:
    """The window is in the border of its own VM, inside a window of the GUI domain's VM in that one's border."""
    desk.guid("run", "sys-gui", "--label", "gray", "--detach", "--", "sleep", "600")
    wait_for("sys-gui", lambda: desk.vms()[0]["state"] == "connected")
    desk.guid("run", "work", "--label", "blue", "--gui-domain", "sys-gui", "--detach", "--", *XTERM)
    outer = wait_for("the window", lambda: desk.shown("[work] inside"))
    assert outer["vm"] == "sys-gui"
    inner = wait_for("the window inside", lambda: desk.shown("inside"))
    assert inner["vm"] == "work"
    x, y, width, height = (outer[key] for key in ("x", "y", "width", "height"))
    assert (width, height) == (inner["width"] + 6, inner["height"] + 6)

    def framed() -> bool:
        frame = desk.screen.pixels(x - 3, y - 3, width + 6, height + 6)
        content = frame[6:-6, 6:-6].copy()
        frame[6:-6, 6:-6] = BLUE
        inside_right = bool((frame[3:-3, 3:-3] == BLUE).all())
        frame[3:-3, 3:-3] = GRAY
        return inside_right and bool((frame == GRAY).all()) and len(np.unique(content)) > 1

    wait_for("both borders", framed)


def test_there_and_back_over_every_kind_of_host(desk: Desk, wall: Screen) -> None:
    desk.guid("run", "work", "--label", "blue", "--detach", "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    before = desk.content("inside")
    home = Screen(desk.screen.name)
    assert "wall shows work" in desk.guid("swap", "work", "--to", "wall")
    assert not home.root.query_tree().children
    (vm,) = desk.vms()
    assert (vm["gui_domid"], vm["gui_domain"], vm["restarts"]) == (32, "wall", 0)
    desk.look_at(wall)
    assert (desk.content("inside") == before).all(), "it was painted there before the swap was over"
    assert "air shows work" in desk.guid("swap", "--all", "--to", "air")
    assert not wall.root.query_tree().children
    assert desk.shown("inside")
    assert "dom0 shows work" in desk.guid("swap", "work", "--to", "dom0")
    desk.look_at(home)
    assert (desk.content("inside") == before).all()
    home.close()


def test_into_an_appvm_and_out_again(desk: Desk) -> None:
    desk.guid("run", "sys-gui", "--label", "gray", "--detach", "--", "sleep", "600")
    desk.guid("run", "work", "--label", "blue", "--detach", "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    before = desk.content("inside")
    assert "sys-gui shows work" in desk.guid("swap", "work", "--to", "sys-gui")
    outer = wait_for("the window", lambda: desk.shown("[work] inside"))
    x, y = outer["x"] + 3, outer["y"] + 3
    height, width = before.shape
    wait_for("its pixels there", lambda: (desk.screen.pixels(x, y, width, height) == before).all())
    assert "dom0 shows work" in desk.guid("swap", "work", "--to", "dom0")
    wait_for("nothing in sys-gui", lambda: not any(w["vm"] == "sys-gui" for w in desk.windows()))
    assert (desk.content("inside") == before).all()
