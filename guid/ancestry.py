"""Which processes come from which, as the kernel says it: a process cannot change who has started it."""

from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LONGEST: Final = 1000
"""Generations that are looked at."""


def descends(pid: int, ancestor: int) -> bool | None:
    """Whether `ancestor` has started process `pid`, or a process that has, and so on; None if it is gone or unseen."""
    for _ in range(_LONGEST):
        parent = _parent(pid)
        if parent is None or parent == ancestor:
            return None if parent is None else True
        if parent <= 1:
            return False
        pid = parent
    return None


def gains_no_privileges(pid: int | str = "self") -> bool | None:
    """Whether a process has forsworn privileges (PR_SET_NO_NEW_PRIVS), as all that it starts then have; None as above.

    Nothing takes that back.
    """
    try:
        status = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return None
    return any(line.split() == ["NoNewPrivs:", "1"] for line in status.splitlines())


def _parent(pid: int) -> int | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])  # its name, before that, may hold anything
