"""The vchan's half of the contract."""

import itertools

from backends.base import Vchan, VchanState
from backends.conformance.vchan_ends import VchanMaker, connected, exchange, read_all, wait_for_bytes
from backends.conformance.vchan_flow import check_buffer_space, check_clogged, check_transfer
from backends.conformance.waiting import (
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

_ECHO_BYTES = 512 * 1024


def check_vchan(maker: VchanMaker, clogged_maker: VchanMaker | None = None) -> None:
    """Everything. `clogged_maker` makes ends with buffers as small as possible; `maker` is used where it is missing."""
    small = clogged_maker or maker
    with no_descriptor_leaks("a vchan"):
        check_waiting(maker)
        check_start_orders(maker)
        check_wakeups(maker)
        for each in dict.fromkeys((maker, small)):
            check_buffer_space(each)
            check_transfer(each)
            check_clogged(each)
            check_last_words(each)
        check_disconnect(maker)
        check_replaced(maker)
        check_reconnect(maker)
        check_two_processes(small)


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


def check_replaced(maker: VchanMaker) -> None:
    """A peer that is gone and has a successor before anybody looks is gone: no error, and no bytes of the successor."""
    for server_closes, noticed_by in itertools.product((True, False), ("update", "read", "write")):
        ends = maker()
        with connected(ends) as (server, client):
            closing, staying = (server, client) if server_closes else (client, server)
            exchange(server, client)
            closing.close()
            again = (ends.server if server_closes else ends.client)()
            if noticed_by == "read":
                assert staying.read(10) == b"", "read returns bytes of a peer that this end does not know"
            elif noticed_by == "write":
                staying.write(b"anybody there?")
            wait_for_state(_DISCONNECTED, staying)
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
        payload = seeded(violent).randbytes(_ECHO_BYTES)
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
