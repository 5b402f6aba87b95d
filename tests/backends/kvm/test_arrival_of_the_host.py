"""The host may connect and ring at any moment of the guest's looking for it; the guest must hear of it."""

import contextlib
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.base import VchanState
from backends.kvm.doorbell import Doorbell
from backends.kvm.vchan import KvmClient, KvmServer


class Line(Doorbell):
    """An end of a line. Like a virtio-serial port nobody is connected to, the guest's reports each arrival once."""

    def __init__(self, end: socket.socket, *, is_there: bool, flags: int) -> None:
        self.is_there = is_there
        self.looked: Callable[[], None] = lambda: None
        self._end = end
        self._flags = flags

    def __call__(self, epoll: select.epoll) -> Doorbell:
        epoll.register(self._end, self._flags)
        return self

    def look(self) -> bool:
        there = self.is_there
        self.looked()
        return there

    def ring(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._end.send(b"!")

    def silence(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._end.recv(4096)

    def close(self) -> None:
        self._end.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    guest, host = socket.socketpair()
    guest.setblocking(False)
    host.setblocking(False)
    with guest, host:
        yield guest, host


def test_a_host_that_arrives_just_after_a_look_is_heard(
    tmp_path: Path, ends: tuple[socket.socket, socket.socket]
) -> None:
    region = tmp_path / "region"
    region.touch()
    with region.open("r+b") as file:
        file.truncate(4 << 20)
    port = Line(ends[0], is_there=False, flags=select.EPOLLIN | select.EPOLLET)
    server = KvmServer(region, 0, port)
    client = KvmClient(region, 0, Line(ends[1], is_there=True, flags=select.EPOLLIN))

    def arrive() -> None:
        port.looked = lambda: None
        port.is_there = True
        assert client.update() is VchanState.WAITING  # it has joined, and rung

    port.looked = arrive
    assert server.update() is VchanState.WAITING
    poll = select.poll()
    poll.register(server, select.POLLIN)
    assert poll.poll(0), "the guest would sleep for ever"
    assert server.update() is VchanState.CONNECTED
    assert client.update() is VchanState.CONNECTED
    client.close()
    server.close()
