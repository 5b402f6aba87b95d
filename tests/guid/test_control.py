"""The control socket: lines of JSON from its user, and nothing that anybody sends can hurt the one who listens."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.control import Client, HungUp, LineSocket, Listener, instances
from guiproto.errors import MachineCannot
from tests.e2e.rig import wait_for

messages = st.lists(st.dictionaries(st.text(max_size=9), st.integers() | st.text(max_size=20), max_size=3), max_size=5)


def pair() -> tuple[LineSocket, socket.socket]:
    ours, theirs = socket.socketpair()
    return LineSocket(ours), theirs


@given(messages, st.integers(1, 7))
def test_messages_arrive_whole_however_they_are_cut(sent: list[dict[str, object]], size: int) -> None:
    line, other = pair()
    data = b"".join(json.dumps(message).encode() + b"\n" for message in sent)
    got = []
    for at in range(0, len(data), size):
        other.sendall(data[at : at + size])
        got += line.receive()
    assert got == sent
    assert not line.closed
    line.close()
    other.close()


@given(st.binary(max_size=200))
def test_any_bytes_give_messages_or_close_the_line(data: bytes) -> None:
    line, other = pair()
    other.sendall(data)
    assert all(isinstance(message, dict) for message in line.receive())
    line.close()
    other.close()


def test_a_line_that_never_ends_closes_the_connection() -> None:
    line, other = pair()
    other.setblocking(False)
    for _ in range(200_000):
        try:
            other.send(b"x" * 65536)
        except BlockingIOError:
            line.receive()
        if line.closed:
            break
    assert line.closed
    line.close()
    other.close()


def test_somebody_who_asks_and_does_not_read_is_cut_off() -> None:
    line, other = pair()
    for _ in range(100_000):
        line.send({"event": "x" * 1000})
        if line.closed:
            break
    assert line.closed
    line.close()
    other.close()


def test_a_listener_is_private_alone_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 40) / "instance.sock"
    path.parent.mkdir()
    listener = Listener(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(MachineCannot, match="runs already"):
        Listener(path)
    client = Client(path)
    served = wait_for("the connection", listener.accept)
    served.close()
    with pytest.raises(HungUp):
        client.request("ps")
    client.close()
    listener.close()
    assert list(path.parent.iterdir()) == []


def test_a_socket_of_a_dead_instance_is_replaced_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert list(instances(tmp_path)) == []
    listener = Listener(path)
    listener.close()
    assert os.listdir(tmp_path) == []
