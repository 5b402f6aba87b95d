"""Who comes from whom, among real processes."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from guid.ancestry import descends, gains_no_privileges


@contextmanager
def process(first: Callable[[], object] = lambda: None) -> Iterator[int]:
    """One that does `first` and then waits."""
    done, done_there = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(done_there, str(first() or os.getpid()).encode() + b"\n")
            signal.pause()
        finally:
            os._exit(0)
    os.close(done_there)
    try:
        with open(done) as pipe:
            yield int(pipe.readline())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def child() -> int:
    """A child of the process that calls this."""
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        signal.pause()
    return pid


def test_children_and_theirs_descend() -> None:
    with process(child) as grandchild, process() as other:
        assert descends(grandchild, os.getpid()) is True
        assert descends(other, os.getpid()) is True
        assert descends(grandchild, other) is False
        assert descends(os.getpid(), grandchild) is False
        assert descends(grandchild, os.getppid()) is True


def test_nobody_is_his_own_descendant() -> None:
    assert descends(os.getpid(), os.getpid()) is False


def test_of_processes_that_are_gone_nothing_is_known() -> None:
    with process() as gone:
        pass
    assert descends(gone, os.getpid()) is None
    assert gains_no_privileges(gone) is None
    assert descends(0, os.getpid()) is None, "one of another process namespace"


@pytest.mark.skipif(bool(gains_no_privileges()), reason="nothing here may gain privileges")
def test_what_has_forsworn_privileges_is_known_by_it() -> None:
    def forswear() -> int:
        ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)
        return child()

    with process(forswear) as inheritor, process() as other:
        assert gains_no_privileges(inheritor) is True
        assert gains_no_privileges(other) is False
