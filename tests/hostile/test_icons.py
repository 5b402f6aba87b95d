"""Whatever comes over the channel for icons: its VM's windows and its neighbour's go on, and the log has one line."""

import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.base import Vchan, VchanState
from backends.local import LocalBackend
from guiproto.icons import MAX_ICON_BYTES, MAX_ICON_SIDE, WindowIcon
from guiproto.ports import ICON_PORT
from tests.e2e.rig import wait_for
from tests.hostile.agent import HEIGHT, WIDTH, WINDOW
from tests.hostile.field import MORE_MEMORY_KIB, Field, Shown

DOMID = 7


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("field")


@pytest.fixture(scope="module")
def field(directory: Path) -> Iterator[Field]:
    with Field(directory) as made:
        yield made


class IconAgent:
    """The icons' half of a hostile agent."""

    def __init__(self, directory: Path) -> None:
        self._backend = LocalBackend(directory)
        self.vchan: Vchan
        self.listen()

    def listen(self) -> None:
        """Wait for the worker."""
        self.vchan = self._backend.server(DOMID, 0, ICON_PORT)
        wait_for("the worker", lambda: self.vchan.update() is VchanState.CONNECTED)

    def send(self, data: bytes, seconds: float = 20.0) -> bool:
        """Write as fast as it is taken; whether all was, before the worker hung up or the time was over."""
        rest, end = memoryview(data), time.monotonic() + seconds
        while rest and self.vchan.update() is VchanState.CONNECTED and time.monotonic() < end:
            rest = rest[self.vchan.write(rest) :]
            if rest:
                select.select([self.vchan.fileno()], [], [], 0.1)
        return not rest

    def gone(self) -> bool:
        """Whether the worker has hung up."""
        return self.vchan.update() is VchanState.DISCONNECTED


def nonsense(agent: IconAgent) -> None:
    agent.send(os.urandom(1 << 16))
    wait_for("the end", agent.gone)


def endless_line(agent: IconAgent) -> None:
    agent.send(b"1" * (1 << 20))
    wait_for("the end", agent.gone)


def too_large(agent: IconAgent) -> None:
    agent.send(b"%d\n%d 1\n" % (WINDOW, MAX_ICON_SIDE + 1))
    wait_for("the end", agent.gone)


def nonsense_behind_an_icon(agent: IconAgent) -> None:
    agent.send(WindowIcon(WINDOW, 1, 1, b"rgba").encode() + b"\0\n")
    wait_for("the end", agent.gone)


def half_an_icon(agent: IconAgent) -> None:
    agent.send(b"%d\n%d %d\n" % (WINDOW, MAX_ICON_SIDE, MAX_ICON_SIDE) + bytes(MAX_ICON_BYTES // 2))


def byte_by_byte(agent: IconAgent) -> None:
    for byte in WindowIcon(WINDOW, 5, 5, bytes(100)).encode():
        agent.send(bytes((byte,)))


def large_ones(agent: IconAgent) -> None:
    icon = WindowIcon(WINDOW, MAX_ICON_SIDE, MAX_ICON_SIDE, os.urandom(MAX_ICON_BYTES)).encode()
    for _ in range(48):
        agent.send(icon)


def large_ones_of_no_window(agent: IconAgent) -> None:
    rgba = bytes(MAX_ICON_BYTES)
    for window in range(1000, 1048):
        agent.send(WindowIcon(window, MAX_ICON_SIDE, MAX_ICON_SIDE, rgba).encode())


def tiny_ones(agent: IconAgent) -> None:
    flood = b"".join(WindowIcon(window, 1, 1, b"rgba").encode() for window in range(100_000))
    assert not agent.send(flood, 1.0), "they are let in slowly"


def hanging_up(agent: IconAgent) -> None:
    for _ in range(3):
        agent.vchan.close()
        agent.listen()


ATTACKS = [
    (nonsense, 1),
    (endless_line, 1),
    (too_large, 1),
    (nonsense_behind_an_icon, 1),
    (half_an_icon, 0),
    (byte_by_byte, 0),
    (large_ones, 0),
    (large_ones_of_no_window, 0),
    (tiny_ones, 0),
    (hanging_up, 0),
]
"""And how many lines of the log each is worth."""


@pytest.mark.parametrize(("attack", "lines"), ATTACKS)
def test_attack(field: Field, directory: Path, attack: Callable[[IconAgent], None], lines: int) -> None:
    with field.hostile() as hostile:
        agent = IconAgent(directory)
        attack(agent)
        is_shown(field, hostile)
        field.bystander_is_served()
        assert hostile.grew() < MORE_MEMORY_KIB
        assert not hostile.reason()
        logged = [said for said in hostile.hear() if said.get("event") == "log"]
        assert len(logged) == lines, logged
        assert all("no more icons" in str(said["text"]) for said in logged)
        agent.vchan.close()
    field.bystander_is_shown()


def is_shown(field: Field, vm: Shown) -> None:
    """The VM's window is painted as ever."""
    pixels = vm.agent.paint()
    vm.agent.settle()
    x, y = vm.place
    wait_for("its pixels", lambda: bool((field.screen.pixels(x, y, WIDTH, HEIGHT) == pixels).all()))
