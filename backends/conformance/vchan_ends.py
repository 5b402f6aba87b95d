"""Two ends of a vchan for the checks: made, met, and talked through."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from backends.base import Backend, Vchan, VchanState
from backends.conformance.waiting import QUIET, patiently, wait_for_state, wakes


class VchanEnds(NamedTuple):
    """How to make each end of one (server, client, port). Called again for every reconnect, in any order."""

    server: Callable[[], Vchan]
    client: Callable[[], Vchan]


VchanMaker = Callable[[], VchanEnds]
"""Gives ends that meet each other and nobody else, different ones each time."""


def vchan_maker(backend: Backend, domid: int = 101, peer: int = 0) -> VchanMaker:
    """Ends of `backend`, the server in domain `domid`, on a new port each time."""
    ports = itertools.count(7000)

    def make() -> VchanEnds:
        port = next(ports)
        return VchanEnds(lambda: backend.server(domid, peer, port), lambda: backend.client(peer, domid, port))

    return make


@contextmanager
def connected(ends: VchanEnds) -> Iterator[tuple[Vchan, Vchan]]:
    """A server and a client that have met; closed afterwards."""
    server = ends.server()
    client = ends.client()
    try:
        wait_for_state(VchanState.CONNECTED, server, client)
        yield server, client
    finally:
        client.close()
        server.close()


def read_all(vchan: Vchan, size: int = 1 << 18) -> bytes:
    """Read until there is nothing now."""
    data = bytearray()
    while piece := vchan.read(size):
        assert len(piece) <= size, f"read({size}) returned {len(piece)} bytes"
        data += piece
    return bytes(data)


def wait_for_bytes(vchan: Vchan, expected: bytes, size: int = 1 << 18) -> None:
    """Exactly `expected` must arrive, and be announced by `fileno`."""
    data = b""
    for _ in patiently(f"of {len(expected)} bytes that were written, not all can be read"):
        assert wakes(vchan), f"{len(data)} of {len(expected)} bytes arrived, and fileno() does not wake up"
        vchan.update()
        data += read_all(vchan, size)
        if len(data) >= len(expected):
            break
    assert data == expected, "other bytes arrived than were written"
    assert not (vchan.state is VchanState.CONNECTED and wakes(vchan, QUIET) and vchan.read(1)), (
        "more bytes arrived than written"
    )


def exchange(one: Vchan, other: Vchan) -> None:
    """A few bytes go each way."""
    for writer, reader, word in ((one, other, b"there"), (other, one, b"and back")):
        assert writer.write(word) == len(word), "a new connection does not take a few bytes"
        wait_for_bytes(reader, word)
