"""`guid swap`: windows move between GUI domains while their applications run on."""

import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from guiagent.processes import below
from tests.e2e.desk import BLUE, Desk
from tests.e2e.rig import Rig, Screen, wait_for
from tests.xserver import XServer

XTERM = ("xterm", "-T", "inside", "-geometry", "60x10+100+100", "-e", "sh", "-c", "echo hello; exec sleep 600")


@pytest.fixture
def wall_server() -> Iterator[XServer]:
    """Another display."""
    with XServer(1400, 900) as server:
        yield server


@pytest.fixture
def wall(wall_server: XServer) -> Iterator[Screen]:
    """What is to be seen there."""
    screen = Screen(wall_server.display)
    yield screen
    screen.close()


@pytest.fixture
def desk(tmp_path: Path, wall_server: XServer) -> Iterator[Desk]:
    config = tmp_path / "guid.toml"
    config.write_text(
        f'[gui-domain.wall]\nid = 32\ndisplay = "{wall_server.display}"\n'
        f'[gui-domain.upstairs]\nid = 0\ndisplay = "{wall_server.display}"\n'
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
    assert "sys-gui shows work" in desk.guid("swap", "--all", "--to", "sys-gui"), "all others, that is"
    assert "cannot show itself" in desk.guid("swap", "sys-gui", "--to", "sys-gui", status=1)
    outer = wait_for("the window", lambda: desk.shown("[work] inside"))
    x, y = outer["x"] + 3, outer["y"] + 3
    height, width = before.shape
    wait_for("its pixels there", lambda: (desk.screen.pixels(x, y, width, height) == before).all())
    assert "dom0 shows work" in desk.guid("swap", "work", "--to", "dom0")
    wait_for("nothing in sys-gui", lambda: not any(w["vm"] == "sys-gui" for w in desk.windows()))
    assert (desk.content("inside") == before).all()


class Held:
    """A swap to the wall that cannot go on before `release`: the wall's X server is stopped."""

    def __init__(self, desk: Desk, pid: int) -> None:
        self._pid = pid
        os.kill(pid, signal.SIGSTOP)
        self.process = desk.start("swap", "work", "--to", "wall")
        wait_for("the target's worker", lambda: len(_workers(desk)) == 2)

    def release(self) -> int:
        """Go on; the command's exit status."""
        os.kill(self._pid, signal.SIGCONT)
        return self.process.wait(60)


def _workers(desk: Desk) -> list[int]:
    """Pids of the workers of the VM: the one that shows it, and that of a swap's target."""
    (vm,) = desk.vms()
    found = below(vm["supervisor_pid"])
    return [pid for pid, name in found.items() if name == "guid:work"]


def _in_vm(desk: Desk, name: str) -> int:
    """The pid of a process of the AppVM."""
    (vm,) = desk.vms()
    return next(pid for pid, found in below(vm["vm_pid"]).items() if found == name)


@pytest.fixture
def running(desk: Desk) -> Desk:
    desk.guid("run", "work", "--label", "blue", "--detach", "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    return desk


def test_a_target_that_does_not_answer(running: Desk, wall_server: XServer) -> None:
    held = Held(running, wall_server.pid)
    assert held.process.wait(60) == 1
    os.kill(wall_server.pid, signal.SIGCONT)
    assert "in 10 s it has not opened its display" in running.log()
    assert running.painted("inside")
    assert _domain(running) == "dom0"
    assert "wall shows work" in running.guid("swap", "work", "--to", "wall"), "and now it does"


def test_a_target_that_dies_half_way(running: Desk) -> None:
    agent = _in_vm(running, "guiagent")
    before = _workers(running)
    os.kill(agent, signal.SIGSTOP)
    swap = running.start("swap", "work", "--to", "wall")
    (target,) = wait_for("the target's worker", lambda: set(_workers(running)) - set(before))
    os.kill(target, signal.SIGKILL)
    assert swap.wait(60) == 1
    os.kill(agent, signal.SIGCONT)
    assert "dom0 still shows work: wall: its worker was killed" in running.log()
    assert running.painted("inside")
    assert _workers(running) == before


def test_two_swaps_at_once(running: Desk, wall_server: XServer) -> None:
    held = Held(running, wall_server.pid)
    assert "work is on its way to wall" in running.guid("swap", "work", "--to", "air", status=1)
    assert held.release() == 0
    assert _domain(running) == "wall"


def test_the_agent_dies_meanwhile(running: Desk, wall: Screen, wall_server: XServer) -> None:
    held = Held(running, wall_server.pid)
    os.kill(_in_vm(running, "guiagent"), signal.SIGKILL)
    assert held.release() == 0
    running.look_at(wall)
    wait_for("the window there", partial(running.painted, "inside"))


def test_the_display_server_of_the_vm_dies_meanwhile(running: Desk, wall: Screen, wall_server: XServer) -> None:
    """Its applications are started anew, and appear wherever the swap has led."""
    held = Held(running, wall_server.pid)
    os.kill(_in_vm(running, "Xwayland"), signal.SIGKILL)
    status = held.release()
    assert (_domain(running) == "wall") is (status == 0)
    if status == 0:
        running.look_at(wall)
    wait_for("the window", partial(running.painted, "inside"))


def test_the_vm_ends_meanwhile(running: Desk, wall_server: XServer) -> None:
    held = Held(running, wall_server.pid)
    running.guid("stop", "work")
    assert held.release() == 1
    assert "work ended while its windows moved to wall" in running.log()
    assert running.vms() == []


def test_the_present_display_dies_meanwhile(running: Desk, wall: Screen, wall_server: XServer) -> None:
    held = Held(running, wall_server.pid)
    running.screen.close()
    running.server.kill()
    assert held.release() == 0
    running.screen = Screen(wall.name)
    assert running.painted("inside")


def test_a_supervisor_that_dies_meanwhile(running: Desk, wall: Screen, wall_server: XServer) -> None:
    """The next one shows the VM where it was, and the swap can be asked for again."""
    held = Held(running, wall_server.pid)
    os.kill(running.vms()[0]["supervisor_pid"], signal.SIGKILL)
    assert held.release() != 0
    running.guid("run", "other", "--label", "red", "--detach", "--", "sleep", "600")
    wait_for("the window", partial(running.painted, "inside"))
    assert "wall shows work" in running.guid("swap", "work", "--to", "wall")
    running.look_at(wall)
    assert running.painted("inside")


def test_a_display_without_shared_memory(running: Desk) -> None:
    """It is not refused if pixels can be shown there all the same; if not, nothing changes."""
    with XServer(1400, 900, arguments=("-extension", "MIT-SHM")) as server:
        config = Path(running.environ["GUID_CONFIG"])
        config.write_text(f'[gui-domain.poor]\nid = 40\ndisplay = "{server.display}"\n')
        said = running.guid("swap", "work", "--to", "poor", status=1)
        assert "dom0 still shows work: poor:" in said
        assert "MIT-SHM" in said
    assert running.painted("inside")


def test_an_agent_that_cannot_be_told(tmp_path: Path, wall_server: XServer, wall: Screen) -> None:
    """As the existing C agent: it moves between displays of one domain id, by connecting again, and no other way."""
    config = tmp_path / "guid.toml"
    config.write_text(
        f'[gui-domain.upstairs]\nid = 0\ndisplay = "{wall_server.display}"\n'
        f'[gui-domain.wall]\nid = 32\ndisplay = "{wall_server.display}"\n'
    )
    with Rig(tmp_path) as rig:
        rig.environ |= {"GUID_CONFIG": str(config), "XDG_STATE_HOME": str(tmp_path / "state")}
        agent = rig.start_agent()
        rig.start_daemon()
        rig.start_app("xterm", "-T", "inside", "-geometry", "40x5+50+60", "-e", "sleep", "600")
        row = rig.wait_window("inside")
        before = rig.content(row)
        desk = Desk.on(tmp_path, rig.desk.name)
        desk.environ |= rig.environ | {"DISPLAY": rig.desk.name}
        said = desk.guid("swap", "work", "--to", "wall", status=1)
        assert "dom0 still shows work: wall: work cannot be told" in said
        assert (rig.content(rig.wait_window("inside")) == before).all()
        assert "upstairs shows work" in desk.guid("swap", "work", "--to", "upstairs")
        row = rig.wait_window("inside")
        there = wall.pixels(row["x"], row["y"], row["width"], row["height"])
        assert (there == before).all()
        assert not rig.desk.root.query_tree().children
        assert agent.poll() is None
        desk.screen.close()
