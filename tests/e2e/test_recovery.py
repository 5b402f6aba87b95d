"""Any part may be killed: the rest goes on, and what can come back comes back with the right pixels."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.rig import Rig, wait_for

ROUNDS = 10


@pytest.fixture
def rig(tmp_path: Path, source: str) -> Iterator[Rig]:
    with Rig(tmp_path, source=source) as made:
        yield made


@pytest.mark.parametrize("first", ["agent", "daemon"])
def test_the_halves_find_each_other_in_any_order(rig: Rig, first: str) -> None:
    starts = [rig.start_agent, rig.start_daemon]
    for start in starts if first == "agent" else reversed(starts):
        start()
    rig.start_app("xclock", "-name", "clock")
    row = rig.wait_window("clock")
    wait_for("equal pixels", lambda: rig.same_pixels(row["remote_id"]))


def test_a_killed_worker_comes_back_with_the_same_pixels(rig: Rig) -> None:
    rig.start_agent()
    rig.start_daemon()
    rig.start_app("xterm", "-T", "kept", "-e", "sh", "-c", "echo kept; sleep 600")
    row = rig.wait_window("kept")
    for _ in range(ROUNDS):
        pid = rig.vm()["worker_pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for("another worker", partial(_another_worker, rig, pid))
        rig.wait_window("kept")
        wait_for("equal pixels", lambda: rig.same_pixels(row["remote_id"]))
    assert _descriptors(rig.vm()["supervisor_pid"]) < 40


def test_a_killed_agent_comes_back_with_the_same_pixels(rig: Rig) -> None:
    agent = rig.start_agent()
    rig.start_daemon()
    rig.start_app("xterm", "-T", "kept", "-e", "sh", "-c", "echo kept; sleep 600")
    row = rig.wait_window("kept")
    for _ in range(ROUNDS):
        agent.kill()
        agent.wait()
        wait_for("the windows to go", lambda: not rig.windows())
        agent = rig.start_agent()
        rig.wait_window("kept")
        wait_for("equal pixels", lambda: rig.same_pixels(row["remote_id"]))
    assert _descriptors(rig.vm()["worker_pid"]) < 40


def test_a_killed_daemon_leaves_its_successor_a_free_place(rig: Rig) -> None:
    rig.start_agent()
    rig.start_app("xterm", "-T", "kept", "-e", "sh", "-c", "echo kept; sleep 600")
    for _ in range(ROUNDS):
        daemon = rig.start_daemon()
        row = rig.wait_window("kept")
        wait_for("equal pixels", partial(rig.same_pixels, row["remote_id"]))
        worker = rig.vm()["worker_pid"]
        daemon.kill()
        daemon.wait()
        wait_for("its worker to go", partial(_gone, worker))
    assert not rig.desk.root.query_tree().children


def test_the_end_of_the_desktop_is_reported_and_the_agent_lives(rig: Rig) -> None:
    agent = rig.start_agent()
    rig.start_daemon()
    rig.start_app("xclock", "-name", "clock")
    rig.wait_window("clock")
    rig.desk_server.kill()
    wait_for("the report", lambda: "X server is gone" in rig.log("guid"))
    assert agent.poll() is None


def _gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def _another_worker(rig: Rig, pid: int) -> bool:
    return rig.vm()["worker_pid"] not in (None, pid)


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
