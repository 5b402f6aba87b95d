"""The vchan's half of the contract."""

import itertools
import random
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from backends.base import Backend, Vchan, VchanState
from backends.conformance import waiting
from backends.conformance.waiting import (
    QUIET,
    Child,
    no_descriptor_leaks,
    patiently,
    prompt,
    seeded,
    settle,
    wait_for_state,
    wakes,
)

_WAITING, _CONNECTED, _DISCONNECTED = VchanState.WAITING, VchanState.CONNECTED, VchanState.DISCONNECTED

_TRANSFER_BYTES = 2 * 1024 * 1024
_SANE_BUFFER_BYTES = 64 * 1024 * 1024


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


def check_vchan(maker: VchanMaker, clogged_maker: VchanMaker | None = None) -> None:
    """Everything. `clogged_maker` makes ends with buffers as small as possible; `maker` is used where it is missing."""
    small = clogged_maker or maker
    with no_descriptor_leaks("a vchan"):
        check_waiting(maker)
        check_start_orders(maker)
        check_wakeups(maker)
        for each in {maker, small}:
            check_buffer_space(each)
            check_transfer(each)
            check_clogged(each)
            check_last_words(each)
        check_disconnect(maker)
        check_reconnect(maker)
        check_two_processes(small)


@contextmanager
def connected(ends: VchanEnds) -> Iterator[tuple[Vchan, Vchan]]:
    """A server and a client that have met; closed afterwards."""
    server = ends.server()
    client = ends.client()
    try:
        wait_for_state(_CONNECTED, server, client)
        yield server, client
    finally:
        client.close()
        server.close()


def check_waiting(maker: VchanMaker) -> None:
    """Without a peer an end is WAITING, takes and gives nothing, sleeps, and can be closed, twice."""
    for name, make in zip(("server", "client"), maker(), strict=True):
        with prompt(f"making a {name} without a peer"):
            end = make()
        assert end.state is _WAITING, f"a new {name} is {end.state.value}"
        settle(end, f"a {name} without a peer")
        assert end.update() is _WAITING, f"a {name} without a peer is {end.state.value}"
        assert end.data_ready() == 0, f"a waiting {name} says that there is data"
        assert end.buffer_space() == 0, f"a waiting {name} says that there is space"
        assert end.read(100) == b"", f"a waiting {name} reads something"
        assert end.write(b"too early") == 0, f"a waiting {name} takes bytes, which may get lost"
        end.close()
        end.close()


def check_start_orders(maker: VchanMaker) -> None:
    """Either end may come first, and the first wakes up when the second comes; nothing but `fileno` says so."""
    for server_first in (True, False):
        ends = maker()
        first = ends.server() if server_first else ends.client()
        settle(first, "the first end")
        number = first.fileno()
        second = ends.client() if server_first else ends.server()
        wait_for_state(_CONNECTED, first, second)
        assert first.fileno() == number, "fileno() changed while connecting"
        exchange(first, second)
        first.close()
        second.close()


def check_wakeups(maker: VchanMaker) -> None:
    """`fileno` is level-triggered for bytes, and quiet when there is nothing to do."""
    with connected(maker()) as (server, client):
        for reader, writer in ((server, client), (client, server)):
            settle(reader, "a connected end")
            assert writer.write(b"ab") == 2, "an empty vchan does not take two bytes"
            assert wakes(reader), "bytes arrived, and fileno() does not wake up"
            assert wakes(reader), "fileno() is not level-triggered: bytes are there, and it wakes up only once"
            reader.update()
            assert reader.data_ready() >= 2, f"two bytes arrived, data_ready() is {reader.data_ready()}"
            assert reader.read(1) == b"a", "read(1) is not the first byte"
            assert wakes(reader), "a byte is left, and fileno() does not wake up"
            reader.update()
            assert read_all(reader) == b"b", "the second byte is lost"
            assert reader.data_ready() == 0, "everything was read, and data_ready() is not 0"
            settle(reader, "an end that has read everything")
            assert writer.write(bytearray(b"c")) == writer.write(memoryview(b"d")) == 1, (
                "bytes-like objects are refused"
            )
            wait_for_bytes(reader, b"cd")


def check_buffer_space(maker: VchanMaker) -> None:
    """`buffer_space` bytes fit, at any fill level; something fits unless it is 0."""
    choose = seeded(5)
    with connected(maker()) as (server, client):
        for writer, reader in ((server, client), (client, server)):
            for _ in range(200):
                writer.update()
                space = writer.buffer_space()
                size = max(1, choose.choice((1, space, choose.randint(0, space))))
                written = writer.write(bytes(size))
                if space:
                    assert written == size, f"buffer_space() was {space}, but write took {written} of {size}"
                else:
                    assert written == 0, f"buffer_space() was 0, but write took {written}"
                    reader.update()
                    read_all(reader)


def check_transfer(maker: VchanMaker) -> None:
    """Megabytes go both ways at once through whatever buffers there are; each end acts only when it wakes up."""
    choose = seeded(4)
    with connected(maker()) as (server, client):
        pumps = [_Pump(server, choose), _Pump(client, choose)]
        poll = select.poll()
        for pump in pumps:
            poll.register(pump.end.fileno(), select.POLLIN)
            pump.turn()
        end = time.monotonic() + waiting.DEADLINE
        while any(pump.busy for pump in pumps) and time.monotonic() < end:
            ready = {fd for fd, _ in poll.poll(max(0.0, end - time.monotonic()) * 1000)}
            progress = [f"{len(pump.queue)} to send, {len(pump.received)} received" for pump in pumps]
            assert ready, f"no end woke up, but the transfer is not done: {progress}"
            for pump in pumps:
                if pump.end.fileno() in ready:
                    pump.turn()
        assert bytes(pumps[0].received) == pumps[1].payload, "what the client wrote is not what the server read"
        assert bytes(pumps[1].received) == pumps[0].payload, "what the server wrote is not what the client read"


class _Pump:
    """One end that sends its payload and gathers the other's."""

    def __init__(self, end: Vchan, choose: random.Random) -> None:
        self.end = end
        self.payload = choose.randbytes(_TRANSFER_BYTES)
        self.queue = memoryview(self.payload)
        self.received = bytearray()
        self._choose = choose

    @property
    def busy(self) -> bool:
        return bool(self.queue) or len(self.received) < _TRANSFER_BYTES

    def turn(self) -> None:
        state = self.end.update()
        assert state is _CONNECTED, f"the vchan is {state.value} in the middle of a transfer"
        self.received += read_all(self.end, self._choose.choice((100, 4096, 1 << 18)))
        while self.queue:
            chunk = self.queue[: self._choose.choice((1, 1000, 100_000))]
            written = self.end.write(chunk)
            self.queue = self.queue[written:]
            if written < len(chunk):
                break


def check_clogged(maker: VchanMaker) -> None:
    """A peer that never reads costs a bounded buffer: `write` takes less and then nothing, and never waits."""
    with connected(maker()) as (server, client):
        for writer, reader in ((server, client), (client, server)):
            total = 0
            with prompt("writing to a peer that does not read"):
                while written := writer.write(bytes(100_000)):
                    total += written
                    assert total < _SANE_BUFFER_BYTES, f"{total} bytes are buffered for a peer that does not read"
            assert writer.write(b"more") == 0, "write took nothing, and then something, though nobody read"
            settle(writer, "an end that waits for space")
            reader.update()
            taken = len(read_all(reader))
            assert wakes(writer), "the peer made space after a short write, and fileno() does not wake up"
            settle(writer, "an end that found space and has nothing more to write")
            assert writer.write(b"more") == 4, f"the peer took {taken} bytes of {total}, and there is no space"
            settle(writer, "an end that has written everything")
        with prompt("closing a clogged vchan"):
            client.close()


def check_last_words(maker: VchanMaker) -> None:
    """What a peer wrote before it closed can be read, all of it, whichever end looks first at what."""
    for server_closes, look_first in itertools.product((True, False), repeat=2):
        with connected(maker()) as (server, client):
            closing, staying = (server, client) if server_closes else (client, server)
            staying.write(b"never read")
            words = bytes(range(256)) * 4
            written = closing.write(words)
            closing.close()
            if look_first:
                assert wakes(staying), "the peer wrote and closed, and fileno() does not wake up"
                staying.update()
                assert staying.data_ready() == written, f"{staying.data_ready()} of {written} last bytes are there"
            wait_for_bytes(staying, words[:written], 100)
            wait_for_state(_DISCONNECTED, staying)
            check_is_over(staying)


def check_disconnect(maker: VchanMaker) -> None:
    """DISCONNECTED is noticed by whatever looks, and final: not even a new peer at the same place changes it."""
    for server_closes, noticed_by in itertools.product((True, False), ("update", "read", "write")):
        ends = maker()
        with connected(ends) as (server, client):
            closing, staying = (server, client) if server_closes else (client, server)
            remake = ends.server if server_closes else ends.client
            closing.close()
            closing.close()
            assert closing.state is _DISCONNECTED, f"a closed end is {closing.state.value}"
            assert wakes(staying), "the peer closed, and fileno() does not wake up"
            if noticed_by == "read":
                assert staying.read(10) == b"", "read returns bytes that nobody wrote"
            elif noticed_by == "write":
                staying.write(b"anybody there?")
            wait_for_state(_DISCONNECTED, staying)
            again = remake()
            settle(again, "a new end beside a disconnected one")
            check_is_over(staying)
            again.close()


def check_is_over(vchan: Vchan) -> None:
    """A disconnected end is quiet and takes and gives nothing."""
    settle(vchan, "a disconnected end")
    assert vchan.update() is _DISCONNECTED, f"a disconnected end became {vchan.state.value}"
    assert vchan.read(10) == b"", "a disconnected end reads bytes that nobody wrote"
    assert vchan.write(b"x") == 0, "a disconnected end takes bytes"
    assert vchan.buffer_space() == 0, "a disconnected end says that there is space"
    assert vchan.data_ready() == 0, "a disconnected end says that there is data"


def check_reconnect(maker: VchanMaker) -> None:
    """New objects meet at the same place, ten times, whoever closes first and whoever comes back first."""
    ends = maker()
    server, client = ends.server(), ends.client()
    wait_for_state(_CONNECTED, server, client)
    for turn in range(10):
        exchange(server, client)
        if turn % 2:
            server.close()
            wait_for_state(_DISCONNECTED, client)
        else:
            client.close()
            wait_for_state(_DISCONNECTED, server)
        old = server, client
        if turn % 4 < 2:
            server = ends.server()
            client = ends.client()
        else:
            client = ends.client()
            server = ends.server()
        if turn % 3 == 0:
            old[0].close()
            old[1].close()
        wait_for_state(_CONNECTED, server, client)
        for end in old:
            assert end.update() is _DISCONNECTED, f"an old end became {end.state.value} by a new connection"
            end.close()
    server.close()
    client.close()


def check_two_processes(maker: VchanMaker) -> None:
    """The ends are in different processes: bytes come back as they were, and the death of one is seen by the other."""
    ends = maker()

    def echo() -> None:
        client = ends.client()
        wait_for_state(_CONNECTED, client)
        queue = bytearray()
        while client.update() is _CONNECTED:
            queue += read_all(client)
            del queue[: client.write(queue)]
            assert wakes(client), "the client does not wake up"

    server = ends.server()
    for violent in (False, True):
        child = Child(echo)
        wait_for_state(_CONNECTED, server)
        payload = seeded(violent).randbytes(_TRANSFER_BYTES // 4)
        queue, received = memoryview(payload), bytearray()
        for _ in patiently("not all bytes came back from the other process"):
            queue = queue[server.write(queue) :]
            if len(received) >= len(payload):
                break
            assert wakes(server), f"{len(received)} of {len(payload)} bytes came back from the other process, no more"
            server.update()
            received += read_all(server)
        assert bytes(received) == payload, "bytes that went to another process and back are not the same"
        if violent:
            child.kill()
            wait_for_state(_DISCONNECTED, server)
        else:
            server.close()
            child.join()
            server = ends.server()
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
    assert not (vchan.state is _CONNECTED and wakes(vchan, QUIET) and vchan.read(1)), "more bytes arrived than written"


def exchange(one: Vchan, other: Vchan) -> None:
    """A few bytes go each way."""
    for writer, reader, word in ((one, other, b"there"), (other, one, b"and back")):
        assert writer.write(word) == len(word), "a new connection does not take a few bytes"
        wait_for_bytes(reader, word)
