"""Processes that cannot be mistaken for others, and ways to end them that leave none behind."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MARK: Final = "APPVM_MARK"
"""The environment variable by which processes without a sandbox are known, wherever they have moved to."""


@dataclass(frozen=True, slots=True)
class Process:
    """A pid together with boot and start time: never a later process of the same pid."""

    pid: int
    born: str

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has this pid now."""
        return cls(pid, _state_and_birth(pid)[1])

    def open(self) -> int | None:
        """A pidfd, which the caller closes, or None if it has ended, be it reaped or not."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except OSError:
            return None
        state, born = _state_and_birth(self.pid)
        if born == self.born and state not in "ZX":
            return pidfd
        os.close(pidfd)
        return None


def _state_and_birth(pid: int) -> tuple[str, str]:
    """The letter of proc(5), and boot and start time; ("X", "") if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "X", ""
    return fields[0], f"{boot} {fields[19]}"


def send(pidfd: int, number: signal.Signals) -> None:
    """Send a signal; no error if it has ended."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)


def wait(pidfd: int, seconds: float) -> bool:
    """Whether it ended within that time."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def reap(pid: int) -> int | None:
    """The exit status of our child, as shells count it; None if it is not our child or has not ended."""
    try:
        result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None
    if result is None:
        return None
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def kill_marked(mark: str, seconds: float) -> bool:
    """Kill every process whose environment has `mark`, and those that they start meanwhile; whether none is left."""
    deadline = time.monotonic() + seconds
    while pidfds := list(marked(mark)):
        for pidfd in pidfds:
            send(pidfd, signal.SIGKILL)
        for pidfd in pidfds:
            wait(pidfd, deadline - time.monotonic())
            os.close(pidfd)
        if time.monotonic() > deadline:
            return False
    return True


def marked(mark: str) -> Iterator[int]:
    """A pidfd, which the caller closes, for each living process whose environment has `mark`."""
    wanted = f"{MARK}={mark}".encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            pidfd = os.pidfd_open(int(entry.name))
            # Read after opening, so that it is the environment of the process that the descriptor means. It is empty
            # for a process that has ended and waits to be reaped.
            try:
                found = wanted in Path(entry.path, "environ").read_bytes().split(b"\0")
            except OSError:
                found = False
            if found:
                yield pidfd
            else:
                os.close(pidfd)
