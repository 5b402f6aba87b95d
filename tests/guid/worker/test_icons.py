"""The line for icons: nobody at the other end, somebody who hangs up all the time, somebody who breaks the rules."""

import logging
import select
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.base import Backend, MachineCannot, Vchan, VchanState
from backends.kvm.layout import slot_offset
from backends.local import LocalBackend
from guid.core.icons import BURST
from guid.core.trusted import Icon, WindowId
from guid.spec import VmSpec
from guid.worker.icons import RETRY_SECONDS, IconLine
from guiproto.icons import WindowIcon
from guiproto.ports import ICON_PORT
from tests.backends.kvm import line
from tests.xserver import wait_until

DOMID = 7
EVERY: Any = range(1 << 32)


def icon(window: int) -> bytes:
    return WindowIcon(window, 1, 1, b"\1\2\3\377").encode()


class Loop:
    """A worker's, as far as icons go, with a clock of its own."""

    def __init__(self, backend: Backend) -> None:
        self.now = 50.0
        self.shown: list[int] = []
        self._poll = select.epoll()
        self.wakers: dict[int, Callable[[], None]] = {}
        self.line = IconLine(VmSpec("work", DOMID, "blue"), backend, self._poll, self.wakers, self._show, self._clock)

    def _clock(self) -> float:
        return self.now

    def _show(self, window: WindowId, icon: Icon) -> None:
        assert icon.pixels.tolist() == [[0xFF010203]]
        self.shown.append(window)

    def turn(self) -> float | None:
        """What is ready; how long the loop may sleep then."""
        for fd, _ in self._poll.poll(0):
            self.wakers[fd]()
        return self.line.settle(EVERY)

    def close(self) -> None:
        self.line.close()
        assert not self.wakers
        self._poll.close()


@pytest.fixture
def backend() -> Iterator[LocalBackend]:
    with tempfile.TemporaryDirectory(prefix="icons") as name:
        yield LocalBackend(Path(name))


@pytest.fixture
def loop(backend: LocalBackend) -> Iterator[Loop]:
    made = Loop(backend)
    yield made
    made.close()


def server(backend: Backend) -> Vchan:
    return backend.server(DOMID, 0, ICON_PORT)


def until(loop: Loop, condition: Callable[[], object]) -> None:
    def look() -> object:
        loop.turn()
        return condition()

    wait_until(look)


def meet(loop: Loop, agent: Vchan) -> None:
    until(loop, lambda: agent.update() is VchanState.CONNECTED)


def test_icons_are_shown(backend: LocalBackend, loop: Loop) -> None:
    loop.line.open()
    agent = server(backend)
    meet(loop, agent)
    agent.write(icon(5) + icon(6)[:3])
    until(loop, lambda: loop.shown == [5])
    agent.write(icon(6)[3:])
    until(loop, lambda: loop.shown == [5, 6])
    agent.close()


def test_nobody_there_costs_nothing(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    loop.line.open()
    until(loop, lambda: not select.select([*loop.wakers], [], [], 0)[0])  # the first looks
    assert loop.turn() is None, "it sleeps until something happens"
    assert not caplog.records


def test_whoever_hangs_up_all_the_time_is_met_once_a_second(backend: LocalBackend, loop: Loop) -> None:
    loop.line.open()
    for round_ in range(3):
        agent = server(backend)
        meet(loop, agent)
        agent.write(icon(round_) + b"7\n9 9\nhalf")
        agent.close()
        until(loop, lambda: not loop.wakers)
        assert loop.turn() == RETRY_SECONDS
        loop.now += RETRY_SECONDS
        assert loop.turn() is None
        assert loop.wakers, "it looks again, and half an icon of before is forgotten"
    assert loop.shown == [0, 1, 2]


def test_whoever_breaks_a_rule_is_not_heard_again(
    backend: LocalBackend, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.line.open()
    agent = server(backend)
    meet(loop, agent)
    agent.write(icon(5) + b"nonsense\n")
    until(loop, lambda: not loop.wakers)
    loop.now += 100
    assert loop.turn() is None
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["work"]
    assert caplog.records[0].levelno == logging.WARNING
    agent.close()
    loop.line.open()  # the agent has come again
    agent = server(backend)
    meet(loop, agent)
    agent.write(icon(6))
    until(loop, lambda: 6 in loop.shown)
    agent.close()


def test_a_flood_is_left_to_whoever_sends_it(backend: LocalBackend, loop: Loop) -> None:
    loop.line.open()
    agent = server(backend)
    meet(loop, agent)
    number = 0

    def flood() -> bool:
        nonlocal number
        loop.turn()
        piece = b"".join(icon(window) for window in range(number, number + 1000))
        taken = agent.write(piece)
        number += 1000
        return taken < len(piece)

    wait_until(flood)
    assert len(loop.shown) == BURST
    for _ in range(100):
        loop.turn()
    assert not agent.buffer_space(), "nothing more is read"
    assert len(loop.shown) == BURST
    loop.now += 1
    assert 0 < (loop.turn() or 0) <= 1
    assert BURST < len(loop.shown) < 2 * BURST
    agent.close()


def test_a_backend_without_such_a_vchan(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    def client(*_: int) -> Vchan:
        raise MachineCannot("the domain has no vchan for that port")

    monkeypatch.setattr(backend, "client", client)
    loop = Loop(backend)
    loop.line.open()
    assert loop.turn() is None
    assert not loop.wakers
    loop.close()


def test_a_ring_that_its_peer_scribbles_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    backend = line.backend(tmp_path, f"{ICON_PORT}:0")
    agent = server(backend)
    loop = Loop(backend)
    loop.line.open()
    meet(loop, agent)
    agent.write(icon(5))
    with (tmp_path / "region").open("r+b") as region:
        region.seek(slot_offset(0) + 64 * 4)  # where the ring to the client begins
        region.write(b"\xee" * 128)
    until(loop, lambda: not loop.wakers)
    assert len(caplog.records) == 1
    assert "vchan ring" in caplog.records[0].getMessage()
    agent.close()
    loop.close()
