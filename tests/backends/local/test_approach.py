"""A client that sees no socket files has a door, and gets through it the connections to one server and no others."""

import os
import select
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backends.base import MachineCannot, VchanState
from backends.local import LocalBackend
from backends.local.approach import PAGES, VCHAN, Door, DoorApproach, keep_door
from tests.xserver import wait_until

SERVER, CLIENT, PORT, OTHER_PORT = 7, 9, 6000, 6001


@pytest.fixture
def outside() -> Iterator[LocalBackend]:
    with tempfile.TemporaryDirectory(prefix="door") as name:
        yield LocalBackend(Path(name))


@pytest.fixture
def inside(outside: LocalBackend) -> Iterator[LocalBackend]:
    """A backend that has nothing but a door."""
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper = threading.Thread(target=outside.keep_door, args=(outer, CLIENT, SERVER, (PORT, OTHER_PORT)))
    keeper.start()
    yield LocalBackend(Path("/nonexistent"), Door(inner))
    inner.close()
    keeper.join(10)
    outer.close()
    assert not keeper.is_alive()


def test_the_server_is_there_before_or_comes_later(outside: LocalBackend, inside: LocalBackend) -> None:
    for early in (True, False):
        server = outside.server(SERVER, CLIENT, PORT) if early else None
        client = inside.client(CLIENT, SERVER, PORT)
        assert early or client.update() is VchanState.WAITING
        server = server or outside.server(SERVER, CLIENT, PORT)
        wait_until(lambda client=client: client.update() is VchanState.CONNECTED)  # type: ignore[misc] # mypy infers no lambda defaults
        assert client.write(b"hello") == 5
        wait_until(lambda server=server: server.update() is VchanState.CONNECTED and server.data_ready())  # type: ignore[misc] # as above
        assert server.read(9) == b"hello"
        server.close()
        wait_until(lambda client=client: client.update() is VchanState.DISCONNECTED)  # type: ignore[misc] # as above
        client.close()


def test_two_servers_are_waited_for_at_once(outside: LocalBackend, inside: LocalBackend) -> None:
    """Who looks first takes the answer of the other, who is woken up all the same."""
    clients = {port: inside.client(CLIENT, SERVER, port) for port in (PORT, OTHER_PORT)}
    for client in clients.values():
        assert client.update() is VchanState.WAITING
    first = outside.server(SERVER, CLIENT, OTHER_PORT)
    wait_until(lambda: first.update() is VchanState.CONNECTED)
    assert clients[PORT].update() is VchanState.WAITING
    assert select.select([clients[OTHER_PORT].fileno()], [], [], 20)[0]
    assert clients[OTHER_PORT].update() is VchanState.CONNECTED
    assert clients[OTHER_PORT].write(b"icons") == 5
    wait_until(first.data_ready)
    assert first.read(9) == b"icons"
    second = outside.server(SERVER, CLIENT, PORT)
    wait_until(lambda: clients[PORT].update() is VchanState.CONNECTED)
    assert not clients[OTHER_PORT].data_ready()
    for vchan in (first, second, *clients.values()):
        vchan.close()


def test_a_client_that_gives_up_waiting_leaves_nothing(outside: LocalBackend, inside: LocalBackend) -> None:
    before = len(os.listdir("/proc/self/fd"))
    inside.client(CLIENT, SERVER, OTHER_PORT).close()
    assert len(os.listdir("/proc/self/fd")) <= before + 2, "no more than what waits outside, here a thread"
    server = outside.server(SERVER, CLIENT, OTHER_PORT)
    client = inside.client(CLIENT, SERVER, OTHER_PORT)
    wait_until(lambda: client.update() is VchanState.CONNECTED)
    client.close()
    server.close()


def test_pages_are_mapped_through_it(outside: LocalBackend, inside: LocalBackend) -> None:
    sharer = outside.sharer(SERVER, CLIENT)
    pages = sharer.allocate(8192)
    os.pwrite(pages.region.fd, b"abc", pages.offset)
    mapper = inside.mapper(CLIENT, SERVER)
    sharer.publish()
    mapped = mapper.map(pages.refs)
    assert mapped.region is not None
    assert bytes(mapped.region.view()[mapped.offset : mapped.offset + 3]) == b"abc"
    mapped.release()
    mapper.close()
    sharer.close()


def test_nobody_shares(inside: LocalBackend) -> None:
    mapper = inside.mapper(CLIENT, SERVER)
    with pytest.raises(Exception, match="shares no pages"):
        mapper.map(np.zeros(1, np.uint32))
    mapper.close()


def test_no_other_server_can_be_asked_for(outside: LocalBackend, inside: LocalBackend) -> None:
    """Ids and ports are those that the door was made for."""
    other = outside.server(SERVER, CLIENT, 7000)
    client = inside.client(CLIENT, SERVER, 7000)
    assert client.update() is VchanState.WAITING
    assert other.update() is VchanState.WAITING
    client.close()
    other.close()


def test_nonsense_is_not_answered() -> None:
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with tempfile.TemporaryDirectory() as name:
        keeper = threading.Thread(target=keep_door, args=(outer, {1: Path(name) / "v"}, Path(name) / "p"))
        keeper.start()
        for word in (b"x", b"VV", VCHAN, VCHAN + b"1", VCHAN + b"1", VCHAN + b"01", b"P" * 16, bytes(200)):
            inner.send(word)
        inner.send(PAGES)
        inner.settimeout(10)
        assert inner.recv(16) == PAGES
        inner.close()
        keeper.join(10)
        outer.close()
    assert not keeper.is_alive()


def test_a_door_that_nobody_keeps() -> None:
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door = Door(inner)
    outer.send(b"?")
    outer.close()
    with pytest.raises(MachineCannot, match="nobody connects"):
        door.look()
    with pytest.raises(MachineCannot, match="nobody connects"):
        DoorApproach(door, PORT)
    inner.close()


def test_descriptors_in_answers_that_nobody_waits_for_are_closed() -> None:
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door = Door(inner)
    before = len(os.listdir("/proc/self/fd"))
    with open(os.devnull, "rb") as null:
        socket.send_fds(outer, [PAGES], [null.fileno()])
        socket.send_fds(outer, [VCHAN + b"%d" % PORT], [null.fileno()])
        door.look()
        approach = DoorApproach(door, PORT)
        assert outer.recv(16) == VCHAN + b"%d" % PORT
        socket.send_fds(outer, [VCHAN + b"%d" % PORT], [null.fileno(), null.fileno()])
        assert approach.look() is None
        approach.close()
    assert len(os.listdir("/proc/self/fd")) == before
    inner.close()
    outer.close()
