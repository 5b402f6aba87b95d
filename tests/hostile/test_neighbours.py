"""A VM whose processes stand still holds up nobody: neither its neighbours nor those who serve them all."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from guiproto import messages as wire
from qubesdb.client import Database
from qubesdb.sockets import socket_path
from tests.e2e.rig import wait_for
from tests.hostile.agent import HEIGHT, WIDTH, WINDOW
from tests.hostile.field import Field
from tests.hostile.served import Served

WINDOWS = 1500


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_stopped_processes_of_one_vm_keep_no_other_from_buffers_and_entries(served: Served) -> None:
    work, bad = served.show("work", 1700, 1000), served.show("bad", 50, 50)
    row = served.rows()["bad"]
    with stopped(row["worker_pid"], row["qubesdb_pid"]):
        bad.tell(wire.ShmImage(WINDOW, 0, 0, WIDTH, HEIGHT))
        began = time.monotonic()
        for _ in range(20):
            work.dump(WINDOW, WIDTH, HEIGHT, work.share(WIDTH * HEIGHT * 4))
            work.settle()
        with Database(socket_path(served.directory / "run" / "qubesdb", "work")) as entries:
            entries.write("/here", b"1")
            assert entries.read("/here") == b"1"
        assert served.rows()["work"]["state"] == "connected"
        assert time.monotonic() - began < 10
    bad.settle()
    assert served.rows()["bad"]["restarts"] == 0


def test_all_windows_of_a_vm_that_has_very_many_are_listed(field: Field) -> None:
    """What `guid windows` asks for is more than a worker's line takes at once."""
    with field.hostile() as bad:
        bad.agent.tell(*(wire.Create(100 + number, 0, 0, 5, 5, 0, 0) for number in range(WINDOWS)))
        bad.agent.settle()
        assert len(bad.windows()) == WINDOWS + 1
        wait_for("the worker to sleep", bad.is_idle)
