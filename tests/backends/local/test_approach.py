"""A client that sees no socket files has a door, and gets through it the connections to one server and no others."""

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backends.base import MachineCannot, VchanState
from backends.local import LocalBackend
from backends.local.approach import PAGES, VCHAN, Door, keep_door
from tests.xserver import wait_until

SERVER, CLIENT, PORT = 7, 9, 6000


@pytest.fixture
def outside() -> Iterator[LocalBackend]:
    with tempfile.TemporaryDirectory(prefix="door") as name:
        yield LocalBackend(Path(name))


@pytest.fixture
def inside(outside: LocalBackend) -> Iterator[LocalBackend]:
    """A backend that has nothing but a door."""
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    keeper = threading.Thread(target=outside.keep_door, args=(outer, CLIENT, SERVER, PORT))
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
    """What is asked is one of two words; ids and ports are those that the door was made for."""
    other = outside.server(SERVER, CLIENT, PORT + 1)
    client = inside.client(CLIENT, SERVER, PORT + 1)
    assert client.update() is VchanState.WAITING
    assert other.update() is VchanState.WAITING
    client.close()
    other.close()


def test_nonsense_is_not_answered() -> None:
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with tempfile.TemporaryDirectory() as name:
        keeper = threading.Thread(target=keep_door, args=(outer, Path(name) / "v", Path(name) / "p"))
        keeper.start()
        for word in (b"x", b"VV", VCHAN, VCHAN, b"P" * 16, bytes(200)):
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
        door.answer(VCHAN)
    with pytest.raises(MachineCannot, match="nobody connects"):
        door.ask(VCHAN)
    inner.close()


def test_descriptors_in_answers_that_nobody_waits_for_are_closed() -> None:
    outer, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door = Door(inner)
    before = len(os.listdir("/proc/self/fd"))
    with open(os.devnull, "rb") as null:
        socket.send_fds(outer, [PAGES], [null.fileno()])
        socket.send_fds(outer, [VCHAN], [null.fileno(), null.fileno()])
        assert door.answer(VCHAN) == (False, None)
    assert len(os.listdir("/proc/self/fd")) == before
    inner.close()
    outer.close()
