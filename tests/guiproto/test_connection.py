"""The handshake for every pair of versions, and the two ends talking to each other."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guiproto import messages as m
from guiproto.connection import AgentConnection, AgentHello, DaemonConnection, DaemonHello
from guiproto.errors import PeerMisbehaved
from guiproto.messages import DamageBatch, Direction, Message, Xconf, xconf_for
from tests.guiproto.wire import SAMPLES, TO_AGENT, TO_DAEMON, bytewise, chunked, damage_bytes, plain, wire

SCREEN = Xconf(2048, 1280, 24, 10241)
SCREEN_BYTES = bytes.fromhex("00080000000500001800000001280000")


def version(major: int, minor: int) -> bytes:
    return struct.pack("<I", major << 16 | minor)


# --- the daemon's side of the hello


@pytest.mark.parametrize("offered", [*range(10), 255, 65535])
def test_daemon_negotiates_down(offered: int) -> None:
    daemon = DaemonConnection()
    daemon.feed(version(1, offered))
    minor = min(offered, 8)
    assert list(daemon.events()) == [AgentHello(offered, minor)]
    assert daemon.minor == minor
    reply = daemon.accept(SCREEN)
    assert reply == (version(1, minor) if minor >= 4 else b"") + SCREEN_BYTES


@pytest.mark.parametrize(
    ("major", "minor"), [(0, 0), (0, 1), (0, 8), (0, 65535), (2, 0), (2, 8), (0x100, 8), (65535, 0)]
)
def test_daemon_refuses_another_major_version_for_good(major: int, minor: int) -> None:
    daemon = DaemonConnection()
    daemon.feed(version(major, minor) + wire(133, "") * 100)
    for _ in range(3):
        with pytest.raises(
            PeerMisbehaved, match=rf"^protocol version: agent speaks {major}\.{minor}, this daemon 1\.x$"
        ):
            list(daemon.events())
        daemon.feed(version(1, 8))
        assert not daemon._hello
    assert daemon.minor is None


# --- the agent's side of it


def test_agent_says_hello_first() -> None:
    assert AgentConnection().hello() == bytes.fromhex("08000100")


@pytest.mark.parametrize("minor", [4, 5, 6, 7, 8])
def test_agent_takes_versions_that_were_negotiated(minor: int) -> None:
    agent = AgentConnection()
    agent.feed(version(1, minor) + SCREEN_BYTES)
    assert list(agent.events()) == [DaemonHello(minor, SCREEN)]
    assert agent.minor == minor


REFUSED = [*((0, n) for n in range(9)), *((1, n) for n in (0, 1, 2, 3, 9, 65535)), (2, 0), (2, 5), (65535, 8)]


@pytest.mark.parametrize(("major", "minor"), REFUSED)
def test_agent_refuses_any_other_as_soon_as_it_has_seen_it(major: int, minor: int) -> None:
    agent = AgentConnection()
    agent.feed(version(major, minor))
    for _ in range(3):
        with pytest.raises(
            PeerMisbehaved, match=rf"^protocol version: daemon chose {major}\.{minor}, this agent offered"
        ):
            list(agent.events())
        agent.feed(SCREEN_BYTES)
        assert not agent._hello
    assert agent.minor is None


# --- cut anywhere


@given(st.data())
def test_a_hello_in_pieces_and_with_messages_behind_it(data: st.DataObject) -> None:
    stream = version(1, 8) + wire(133, "") + data.draw(damage_bytes())
    whole = daemon_events([stream])
    assert whole[0] == (8, 8)
    assert daemon_events(data.draw(chunked(stream))) == whole
    assert daemon_events(list(bytewise(stream))) == whole


@given(st.data(), st.binary(max_size=60))
def test_noise_is_events_or_one_error(data: st.DataObject, noise: bytes) -> None:
    for connection in (DaemonConnection, AgentConnection):
        whole = outcome(connection(), [noise])
        assert outcome(connection(), data.draw(chunked(noise))) == whole
        assert outcome(connection(), list(bytewise(noise))) == whole


def outcome(connection: DaemonConnection | AgentConnection, chunks: list[bytes]) -> list[str]:
    seen: list[str] = []
    for chunk in chunks:
        connection.feed(chunk)
        try:
            seen += map(str, connection.events())
        except PeerMisbehaved as wrong:
            return [*seen, f"error {wrong}"]
    return seen


def daemon_events(chunks: list[bytes]) -> list[tuple[object, ...]]:
    daemon = DaemonConnection()
    seen: list[tuple[object, ...]] = []
    for chunk in chunks:
        daemon.feed(chunk)
        for event in daemon.events():
            seen += [tuple(event)] if isinstance(event, AgentHello) else plain(event)
    return seen


def test_events_left_over_are_given_next_time() -> None:
    daemon = DaemonConnection()
    daemon.feed(version(1, 8) + wire(133, "", window=1) + wire(133, "", window=2))
    events = daemon.events()
    assert next(events) == AgentHello(8, 8)
    assert list(daemon.events()) == [m.Unmap(1), m.Unmap(2)]
    assert list(events) == []


# --- messages


@pytest.mark.parametrize("minor", [4, 5, 6, 7, 8])
@pytest.mark.parametrize(("flow", "message", "data"), SAMPLES, ids=lambda v: getattr(type(v), "__name__", ""))
def test_two_ends_of_any_version_understand_each_other(
    flow: Direction, message: Message, data: bytes, minor: int
) -> None:
    daemon, agent = DaemonConnection(), AgentConnection()
    daemon.feed(version(1, minor))
    list(daemon.events())
    agent.feed(daemon.accept(SCREEN))
    list(agent.events())
    sender, receiver = (agent, daemon) if flow is TO_DAEMON else (daemon, agent)
    sent = sender.encode(message)
    known = not (flow is TO_AGENT and (isinstance(message, m.WindowDumpAck) and minor < 7))
    known = known and not (flow is TO_AGENT and isinstance(message, m.Destroy) and minor < 5)
    assert sent == (data if known else b"")
    receiver.feed(sent)
    assert [single for event in receiver.events() for single in spelled(event)] == (plain(message) if known else [])


def spelled(event: AgentHello | DaemonHello | Message | DamageBatch) -> list[tuple[object, ...]]:
    assert not isinstance(event, AgentHello | DaemonHello)
    return list(plain(event))


def test_nothing_can_be_said_before_the_hello() -> None:
    with pytest.raises(ValueError, match="no hello"):
        DaemonConnection().accept(SCREEN)
    with pytest.raises(ValueError, match="no hello"):
        DaemonConnection().encode(m.Close(1))
    with pytest.raises(ValueError, match="no hello"):
        AgentConnection().encode(m.Unmap(1))


def test_damage_arrives_as_a_batch() -> None:
    daemon = DaemonConnection()
    daemon.feed(version(1, 8) + wire(136, "iiII", -1, 2, 3, 4) * 100)
    hello, *batches = daemon.events()
    assert hello == AgentHello(8, 8)
    assert all(isinstance(batch, DamageBatch) for batch in batches[:-1])
    rects = np.concatenate([batch.rects for batch in batches if isinstance(batch, DamageBatch)])
    assert rects.tolist()[:2] == [[-1, 2, 3, 4]] * 2


@pytest.mark.parametrize(
    ("size", "xconf"),
    [((2048, 1280), SCREEN), ((1366, 768), Xconf(1368, 768, 24, 4105)), ((1, 1), Xconf(8, 1, 24, 1))],
)
def test_xconf_of_a_screen(size: tuple[int, int], xconf: Xconf) -> None:
    assert xconf_for(*size) == xconf
