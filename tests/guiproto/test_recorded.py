"""A session recorded between two existing programs decodes, and encodes to the same bytes."""

from collections import Counter
from pathlib import Path

import pytest

from guiproto import messages as m
from guiproto.connection import AgentConnection, AgentHello, DaemonConnection, DaemonHello
from guiproto.encoder import encode_damage
from guiproto.messages import DamageBatch, Message, Xconf

RECORDING = Path(__file__).parent.parent / "data" / "xterm-with-menu.hex"


def recording() -> list[tuple[str, bytes]]:
    lines = [line.split() for line in RECORDING.read_text().splitlines() if not line.startswith("#")]
    return [(sender, bytes.fromhex(data)) for sender, data in lines]


@pytest.fixture(scope="module")
def session() -> list[tuple[str, bytes]]:
    return recording()


def said(session: list[tuple[str, bytes]], sender: str) -> list[bytes]:
    return [data for who, data in session if who == sender]


def cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[i : i + size] for i in range(0, len(stream), size)]


def names(messages: list[Message | DamageBatch]) -> Counter[str]:
    count: Counter[str] = Counter()
    for message in messages:
        if isinstance(message, DamageBatch):
            count["ShmImage"] += len(message.windows)
        else:
            count[type(message).__name__] += 1
    return count


def test_the_recording_is_a_whole_session(session: list[tuple[str, bytes]]) -> None:
    assert len(session) == 3 + 696
    assert session[0] == ("agent", AgentConnection().hello())


@pytest.mark.parametrize("size", [1, 27, 4096, 1 << 20])
def test_what_the_agent_said(session: list[tuple[str, bytes]], size: int) -> None:
    stream = b"".join(said(session, "agent"))
    daemon, agent = DaemonConnection(), AgentConnection()
    agent.feed(b"".join(data for sender, data in session[:3] if sender == "daemon"))
    assert [type(event) for event in agent.events()] == [DaemonHello]
    out = agent.hello()
    messages: list[Message | DamageBatch] = []
    for chunk in cut(stream, size):
        daemon.feed(chunk)
        for event in daemon.events():
            if isinstance(event, AgentHello):
                assert event == AgentHello(8, 8)
                continue
            messages.append(event)
            out += encode_damage(event) if isinstance(event, DamageBatch) else agent.encode(event)
    assert out == stream
    assert names(messages) == {
        "ShmImage": 417, "Configure": 12, "WindowHints": 8, "WindowDump": 7, "Cursor": 5, "Unmap": 4, "Create": 3,
        "Map": 3, "WmName": 3, "WindowFlags": 3, "Destroy": 3, "WmClass": 2, "ClipboardData": 1,
    }  # fmt: skip
    batches = [message for message in messages if isinstance(message, DamageBatch)]
    assert bool(batches) == (size >= 4096)


@pytest.mark.parametrize("size", [1, 27, 1 << 20])
def test_what_the_daemon_said(session: list[tuple[str, bytes]], size: int) -> None:
    stream = b"".join(said(session, "daemon"))
    daemon, agent = DaemonConnection(), AgentConnection()
    daemon.feed(session[0][1])
    assert list(daemon.events()) == [AgentHello(8, 8)]
    out = b""
    messages: list[Message | DamageBatch] = []
    for chunk in cut(stream, size):
        agent.feed(chunk)
        for event in agent.events():
            if isinstance(event, DaemonHello):
                assert event == DaemonHello(8, Xconf(2048, 1280, 24, 10241))
                out += daemon.accept(event.xconf)
                continue
            messages.append(event)
            assert not isinstance(event, DamageBatch)
            out += daemon.encode(event)
    assert out == stream
    assert names(messages) == {
        "KeyPress": 187, "WindowDumpAck": 7, "Crossing": 7, "Configure": 6, "KeymapNotify": 6, "Focus": 5,
        "Destroy": 3, "Button": 2, "Motion": 1, "ClipboardReq": 1,
    }  # fmt: skip


def test_every_dump_got_its_acknowledgement(session: list[tuple[str, bytes]]) -> None:
    daemon, agent = DaemonConnection(), AgentConnection()
    open_dumps: Counter[int] = Counter()
    most = 0
    for sender, data in session:
        if sender == "agent":
            daemon.feed(data)
            for event in daemon.events():
                if isinstance(event, m.WindowDump):
                    assert len(event.refs) * 4096 >= event.width * event.height * 4
                    open_dumps[event.window] += 1
        else:
            agent.feed(data)
            for reply in agent.events():
                if isinstance(reply, m.WindowDumpAck):
                    open_dumps[reply.window] -= 1
                    assert open_dumps[reply.window] >= 0
        most = max(most, open_dumps.total())
    assert open_dumps.total() == 0
    assert most >= 1
