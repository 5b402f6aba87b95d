"""What runs below a process, read from /proc and watched through pidfds; and two of the kernel's switches."""

import ctypes
import os
import select
from collections.abc import Collection, Iterable
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
