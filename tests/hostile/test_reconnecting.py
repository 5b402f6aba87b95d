"""An agent that comes and goes as fast as it can is met less and less often, and again once it behaves."""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from backends.base import VchanState
from backends.local import LocalBackend
from guiproto.limits import GUI_PORT, VERSION
from tests.e2e.rig import wait_for
from tests.hostile.field import MORE_MEMORY_KIB, Field
from tests.hostile.served import Served

OF_A_WORKER = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
OF_THE_SUPERVISOR = (0.25, 0.5)
HELLO = VERSION.to_bytes(4, "little")


def meet(backend: LocalBackend, domid: int, words: bytes) -> float:
    """Listen, be connected to, say that, and hang up; when."""
    server = backend.server(domid, 0, GUI_PORT)
    wait_for("the worker", lambda: server.update() is VchanState.CONNECTED)
    server.write(words)
    server.close()
    return time.monotonic()


def storm(connect: Callable[[], float], pauses: Sequence[float]) -> None:
    """Connect again and again: the pauses grow, however fast we are."""
    met = [connect() for _ in range(len(pauses) + 1)]
    gaps = [later - earlier for earlier, later in pairwise(met)]
    assert all(gap > 0.9 * pause for gap, pause in zip(gaps, pauses, strict=True)), gaps


@pytest.mark.parametrize("words", [b"", HELLO[:2], HELLO, HELLO + bytes(5)], ids=["silent", "half", "whole", "more"])
def test_one_that_hangs_up_at_once(field: Field, words: bytes) -> None:
    with field.hostile() as bad:
        wait_for("a connection that has lasted", lambda: not bad.is_young())
        bad.agent.close()
        backend = LocalBackend(bad.directory)
        storm(lambda: meet(backend, bad.domid, words), OF_A_WORKER)
        field.bystander_is_served()
        assert bad.grew() < MORE_MEMORY_KIB
        wait_for("the worker to sleep", bad.is_idle)
        bad.reconnect()
        assert 0 < len(bad.logged()) <= 5, bad.said
        assert not bad.reason()
    field.bystander_is_shown()


def test_one_that_breaks_a_rule_each_time(served: Served) -> None:
    work = served.show("work", 1700, 1000)
    nonsense = HELLO + b"\xff" * 12
    storm(lambda: meet(served.backend, 7, nonsense), OF_THE_SUPERVISOR)
    wait_for("all of it to be told", lambda: len(reasons(served)) == len(OF_THE_SUPERVISOR) + 1)
    assert all("session ended: unknown message type" in line for line in reasons(served))
    assert [line.rsplit(" ", 2)[1] for line in reasons(served)] == ["0.25", "0.5", "1"]
    assert served.rows()["bad"]["state"] == "restarting"
    began = time.monotonic()
    work.paint()
    work.settle()
    assert time.monotonic() - began < 5
    served.show("bad", 50, 50)
    assert served.rows()["bad"]["state"] == "connected"
    assert (served.rows()["work"]["restarts"], served.rows()["work"]["state"]) == (0, "connected")


def reasons(served: Served) -> list[str]:
    """Why its sessions ended, as the user is told."""
    return [line for line in served.log().splitlines() if line.startswith("bad: ") and "; again in" in line]
