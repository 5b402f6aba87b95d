"""The configuration as a user has it: a file, `guid config`, and windows that follow at once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guid.config.labels import LABELS
from tests.e2e.desk import Desk
from tests.e2e.rig import Rig, Screen, wait_for
from tests.xserver import XServer

BLUE = LABELS["blue"].color


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path) as made:
        yield made


def write(rig: Rig, text: str) -> None:
    (rig.directory / "guid.toml").write_text(text)


def guid(rig: Rig, *arguments: str, status: int = 0) -> str:
    """What a command says on both outputs."""
    done = subprocess.run(
        [sys.executable, "-m", "guid.cli.main", *arguments],
        env=rig.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == status, done.stdout
    return done.stdout


def words(text: str) -> str:
    return " ".join(text.split())


def show_clock(rig: Rig) -> None:
    rig.start_agent()
    rig.start_daemon("--no-title-prefix")
    rig.start_app("xclock", "-name", "clock", "-geometry", "200x150+300+200")
    rig.wait_window("clock")


def has_border(rig: Rig, width: int) -> bool:
    row = next(row for row in rig.windows() if row["title"] == "clock")
    return rig.border_is(row, BLUE, width) and rig.same_pixels(row["remote_id"])


def desktop_title(rig: Rig) -> str:
    window = rig.desk.window(rig.wait_window("clock")["local_id"])
    return str(window.get_wm_name())


def test_a_file_counts_from_the_start_and_its_changes_from_a_reload_on(rig: Rig) -> None:
    write(rig, "[label.blue]\nborder_width = 10\n")
    show_clock(rig)
    wait_for("a border of 10 pixels", lambda: has_border(rig, 10))

    write(rig, "[label.blue]\nborder_width = 10\n[vm.work]\nborder_width = 20\ntitle_prefix = true\n")
    assert "border_width 10 label blue" in words(guid(rig, "config", "show", "work"))
    assert guid(rig, "config", "reload") == "work: border_width changed now\n"
    wait_for("a border of 20 pixels", lambda: has_border(rig, 20))
    assert desktop_title(rig) == "clock", "the command line chose that"
    assert "border_width 20 vm work" in words(guid(rig, "config", "show", "work"))


def test_a_mistake_is_told_and_changes_nothing(rig: Rig) -> None:
    show_clock(rig)
    write(rig, "[global]\nborder_width = 20\n\n[vm.work]\nborder_widht = 20\n")
    for command in ("reload", "check"):
        said = guid(rig, "config", command, status=1)
        assert "guid.toml:5: there is no setting 'border_widht' in vm.work (did you mean 'border_width'?)" in said
    assert rig.daemon is not None
    rig.daemon.send_signal(signal.SIGHUP)
    wait_for("the mistake in the log", lambda: "the configuration stays as it was" in rig.log("guid"))
    assert has_border(rig, 3)


def test_the_hangup_signal_reads_it_again_and_a_worker_that_starts_again_has_it(rig: Rig) -> None:
    show_clock(rig)
    write(rig, "[global]\nborder_width = 7\n")
    assert rig.daemon is not None
    rig.daemon.send_signal(signal.SIGHUP)
    wait_for("a border of 7 pixels", lambda: has_border(rig, 7))
    pid = rig.vm()["worker_pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for("another worker", lambda: rig.vm()["worker_pid"] not in (pid, None))
    rig.wait_window("clock")
    wait_for("a border of 7 pixels", lambda: has_border(rig, 7))


def test_a_terminal_that_goes_away_ends_what_was_started_in_it(rig: Rig) -> None:
    master, slave = os.openpty()
    command = ("guid.cli.main", "attach", "--domid", "7", "--name", "work", "--label", "blue", "--host", "headless")
    daemon = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", *command], env=rig.environ, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    wait_for("the daemon", lambda: list((rig.directory / "run").glob("*.sock")) and rig.vm()["state"] == "waiting")
    os.kill(rig.vm()["supervisor_pid"], signal.SIGHUP)
    assert rig.vm()["state"] == "waiting", "as long as the terminal is there, that is a request"
    os.close(master)
    assert daemon.wait(60) == 0


def test_a_daemon_does_not_start_with_a_file_that_is_wrong(rig: Rig) -> None:
    write(rig, "[globl]\n")
    daemon = rig.start_daemon()
    assert daemon.wait(60) == 1
    assert "guid.toml:1: unknown table 'globl'" in rig.log("guid")
    assert not list((rig.directory / "run").glob("*.sock"))


def test_what_happens_to_a_vm_is_in_its_log_while_it_is_followed(rig: Rig) -> None:
    show_clock(rig)
    with subprocess.Popen(
        [sys.executable, "-m", "guid.cli.main", "log", "work", "-f"],
        env=rig.environ, stdout=subprocess.PIPE, text=True,
    ) as follower:  # fmt: skip
        assert follower.stdout is not None
        while "work: the agent is there, protocol 1.8" not in (line := follower.stdout.readline()):
            assert line
        assert rig.agent is not None
        rig.agent.kill()
        while "work: the agent is gone" not in (line := follower.stdout.readline()):
            assert line
        follower.kill()
    assert "the agent is gone" in guid(rig, "log", "work")


# --- however a VM comes to be shown ---


class ConfiguredDesk(Desk):
    """`domains` is the part of the configuration that stays."""

    domains: str


@pytest.fixture
def wall() -> Iterator[Screen]:
    """What is to be seen on another display."""
    with XServer(1400, 900) as server:
        screen = Screen(server.display)
        yield screen
        screen.close()


@pytest.fixture
def desk(tmp_path: Path, wall: Screen) -> Iterator[ConfiguredDesk]:
    with XServer(1600, 1000) as server:
        made = ConfiguredDesk(tmp_path, server)
        made.environ["XDG_STATE_HOME"] = str(tmp_path / "state")
        made.domains = f'[gui-domain.wall]\nid = 32\ndisplay = "{wall.name}"\n[gui-domain.in]\nvm = "sys-gui"\n'
        try:
            yield made
        finally:
            made.close()


def configure(desk: ConfiguredDesk, **widths: int) -> None:
    tables = "".join(f"[vm.{name.replace('_', '-')}]\nborder_width = {width}\n" for name, width in widths.items())
    (desk.directory / "guid.toml").write_text(desk.domains + tables)


def framed(desk: ConfiguredDesk, width: int) -> bool:
    """Whether the terminal is on the desktop that is looked at, in a border of that width."""
    window = desk.shown("inside")
    if window is None:
        return False
    x, y, columns, rows = (window[key] for key in ("x", "y", "width", "height"))
    seen = desk.screen.pixels(x - width - 1, y - width - 1, columns + 2 * width + 2, rows + 2 * width + 2)
    ring, content = seen[1:-1, 1:-1].copy(), seen[width + 1 : -width - 1, width + 1 : -width - 1].copy()
    ring[width:-width, width:-width] = BLUE
    outside = (seen[0], seen[-1], seen[:, 0], seen[:, -1])
    return bool((ring == BLUE).all() and (content != BLUE).any() and all((side != BLUE).all() for side in outside))


XTERM = ("xterm", "-T", "inside", "-geometry", "60x10+100+100", "-e", "sh", "-c", "echo hello; exec sleep 600")


def test_the_supervisor_knows_what_counts_however_a_vm_comes_to_be_shown(desk: ConfiguredDesk, wall: Screen) -> None:
    configure(desk, work=5)
    desk.guid("run", "work", "--label", "blue", "--detach", "--", *XTERM)
    wait_for("the window of a VM that was run", lambda: framed(desk, 5))

    configure(desk, work=7)
    desk.start("run", "third", "--detach", "--", "sleep", "600").wait(60)
    assert "guid.toml has changed since it was read; `guid config reload`" in desk.log()
    before = desk.vms()[0]["supervisor_pid"]
    os.kill(before, signal.SIGKILL)
    wait_for("the end of the supervisor", lambda: not Path(f"/proc/{before}").exists())
    desk.guid("run", "other", "--detach", "--", "sleep", "600")  # starts another
    wait_for("the window of a VM that was taken over", lambda: framed(desk, 7))

    configure(desk, work=9)
    assert "work: border_width changed now" in desk.guid("config", "reload")
    wait_for("the window as it is configured now", lambda: framed(desk, 9))
    desk.guid("swap", "work", "--to", "wall")
    desk.look_at(wall)
    wait_for("the window of a VM that was moved", lambda: framed(desk, 9))
    configure(desk, work=11)
    desk.guid("config", "reload")
    wait_for("that window as it is configured now", lambda: framed(desk, 11))


def test_no_vm_is_started_while_the_file_is_wrong(desk: ConfiguredDesk) -> None:
    configure(desk, work=0, other=99)
    said = desk.guid("run", "work", "--", "true", status=1)
    assert "guid.toml:7: border_width is 0 in vm.work" in said
    assert "guid.toml:9: border_width is 99 in vm.other" in said
    assert desk.vms() == []


def test_a_vm_within_another_follows_its_own_configuration(desk: ConfiguredDesk) -> None:
    def widths() -> tuple[int, int]:
        """The border of the inner window, which is part of the outer one, and that of the outer one."""
        outer, inner = desk.shown("[work] inside"), desk.shown("inside")
        if outer is None or inner is None:
            return 0, 0
        x, y, middle = outer["x"], outer["y"], outer["height"] // 2
        gray = desk.screen.pixels(x - 20, y + middle, 20, 1)[0][::-1] == LABELS["gray"].color
        return (outer["width"] - inner["width"]) // 2, int(gray.argmin())

    configure(desk, work=5, sys_gui=7)
    desk.guid("run", "sys-gui", "--label", "gray", "--detach", "--", "sleep", "600")
    wait_for("sys-gui", lambda: desk.vms()[0]["state"] == "connected")
    desk.guid("run", "work", "--label", "blue", "--gui-domain", "in", "--detach", "--", *XTERM)
    wait_for("both borders", lambda: widths() == (5, 7))
    configure(desk, work=9, sys_gui=4)
    said = desk.guid("config", "reload")
    assert "work: border_width changed now" in said
    assert "sys-gui: border_width changed now" in said
    wait_for("both borders as they are configured now", lambda: widths() == (9, 4))
