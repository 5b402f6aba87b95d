"""Processes are recognised by more than their pid, and those with a mark end wherever they are."""

import os
import signal
import subprocess

import pytest

from backends.local import processes
from backends.local.processes import Process
from tests.xserver import wait_until


def test_recognises_a_process_but_not_another_of_its_pid() -> None:
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        process = Process.of(sleeper.pid)
        pidfd = process.open()
        assert pidfd is not None
        assert Process(sleeper.pid, process.born + "0").open() is None
        assert not processes.wait(pidfd, 0)
        processes.send(pidfd, signal.SIGKILL)
        assert processes.wait(pidfd, 20)
        assert process.open() is None  # though it is not reaped yet
        processes.send(pidfd, signal.SIGKILL)
        os.close(pidfd)
    assert process.open() is None
    assert Process.of(sleeper.pid) == Process(sleeper.pid, "")


def test_nothing_is_not_a_process() -> None:
    assert Process(0, "").open() is None
    assert Process(2**22 + 1, "").open() is None


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -15 $$", 143), ("exit 0", 0)])
def test_reaps_with_the_status_of_a_shell(script: str, status: int) -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ)
    pidfd = os.pidfd_open(pid)
    assert processes.wait(pidfd, 20)
    os.close(pidfd)
    assert processes.reap(pid) == status
    assert processes.reap(pid) is None


def test_does_not_wait_for_what_still_runs() -> None:
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        assert processes.reap(sleeper.pid) is None
        sleeper.kill()


def test_kills_by_mark_and_nothing_else() -> None:
    mark = f"test-{os.getpid()}"
    marked = subprocess.Popen(
        ["sh", "-c", "(setsid sh -c 'sleep 1000 & sleep 1000' &); exec sleep 1000"],
        env={**os.environ, processes.MARK: mark},
    )
    other = subprocess.Popen(["sleep", "1000"], env={**os.environ, processes.MARK: mark + "0"})

    def count() -> int:
        found = list(processes.marked(mark))
        for pidfd in found:
            os.close(pidfd)
        return len(found)

    with marked, other:
        wait_until(lambda: count() == 4)
        assert processes.kill_marked(mark, 20)
        assert marked.wait(20) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()
    assert count() == 0
