"""The configuration as a user has it: a file, `guid config`, and windows that follow at once."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guid.labels import LABELS
from tests.e2e.rig import Rig, wait_for

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
