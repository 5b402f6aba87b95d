"""What runs below a process, read from /proc and watched through pidfds; signals; and two of the kernel's switches."""

import contextlib
import ctypes
import os
import select
import signal
from collections.abc import Collection, Iterable, Iterator
from typing import Final

_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Descendants whose parent ends become our children, as they do for process 1 anyway."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_name(name: str) -> None:
    """The name that `ps` shows, up to 15 bytes."""
    _LIBC.prctl(_PR_SET_NAME, name.encode()[:15])


@contextlib.contextmanager
def signal_pipe(numbers: Collection[signal.Signals]) -> Iterator[int]:
    """A non-blocking descriptor from which the numbers of these signals are read, one byte each, as they arrive."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each that still is there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def below(root: int, spared: Collection[int] = ()) -> dict[int, str]:
    """Pid and name of every living process below `root`, without those in `spared` and what is below them."""
    children: dict[int, list[tuple[int, str]]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    head, _, tail = file.read().decode(errors="replace").rpartition(")")
            except OSError:
                continue  # it has ended meanwhile
            state, parent = tail.split()[:2]
            if state not in "ZX":
                children.setdefault(int(parent), []).append((int(entry), head.partition("(")[2]))
    found: dict[int, str] = {}
    waiting = [root]
    while waiting:
        for pid, name in children.get(waiting.pop(), ()):
            if pid not in spared:
                found[pid] = name
                waiting.append(pid)
    return found


class Watch:
    """Makes a poll object wake up when one of a changing set of processes ends."""

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll
        self._pidfds: dict[int, int] = {}

    def only(self, pids: Iterable[int]) -> bool:
        """Watch just these from now on. False if one of them is gone already: look again at once."""
        wanted = set(pids)
        complete = True
        for pid in self._pidfds.keys() - wanted:
            self._drop(pid)
        for pid in wanted - self._pidfds.keys():
            try:
                pidfd = os.pidfd_open(pid)
            except ProcessLookupError:
                complete = False
                continue
            self._pidfds[pid] = pidfd
            self._poll.register(pidfd, select.POLLIN)
        return complete

    def _drop(self, pid: int) -> None:
        pidfd = self._pidfds.pop(pid)
        self._poll.unregister(pidfd)
        os.close(pidfd)
