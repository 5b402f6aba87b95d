"""The control socket: lines of JSON from its user, and nothing that anybody sends can hurt the one who listens."""

import contextlib
import json
import os
import select
import socket
import stat
import threading
import time
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


@pytest.mark.parametrize("nonsense", [b"[" * 100_000, b'{"a":' * 20_000, b"9" * 100_000, b"\xff", b"3"])
def test_nonsense_closes_the_line_after_what_came_before_it(nonsense: bytes) -> None:
    line, other = pair()
    for piece in (b'{"a": 1}\n', nonsense, b"\n"):
        other.sendall(piece)
    assert line.receive() == [{"a": 1}]
    assert line.closed
    line.close()
    other.close()


def test_somebody_who_sends_without_end_takes_no_more_than_a_turn() -> None:
    line, other = pair()
    sender = threading.Thread(target=_send_without_end, args=(other,))
    sender.start()
    turns: list[int] = []
    try:
        while not line.closed and sum(turns) < 500_000:
            select.select([line.fileno()], [], [], 10)
            turns.append(len(line.receive()))
        assert not line.closed
    finally:
        line.close()
        sender.join()
        other.close()
    assert max(turns) < 200_000


def _send_without_end(other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            other.sendall(b"{}\n" * 10_000)


def test_a_line_that_comes_slowly_is_taken_whole() -> None:
    line, other = pair()
    got = []
    for byte in b'{"filling": "' + b"x" * 3000 + b'"}\n{}\n':
        other.sendall(bytes([byte]))
        got += line.receive()
    assert got == [{"filling": "x" * 3000}, {}]
    line.close()
    other.close()


def test_what_is_sent_on_a_closed_line_is_not_kept() -> None:
    line, other = pair()
    other.close()
    for _ in range(10):
        line.send({"filling": "x" * 1000}, os.open("/dev/null", os.O_RDONLY))
    assert not line.wants_write
    line.close()


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


# --- descriptors ---


def passing() -> tuple[LineSocket, LineSocket]:
    ours, theirs = socket.socketpair()
    return LineSocket(ours, descriptors=True), LineSocket(theirs, descriptors=True)


def _file(text: bytes) -> int:
    fd = os.memfd_create("test")
    os.write(fd, text)
    return fd


def _text(fd: int | None) -> bytes:
    assert fd is not None
    assert not os.get_inheritable(fd)
    text = os.pread(fd, 100, 0)
    os.close(fd)
    return text


@given(st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=4))
def test_descriptors_keep_the_order_of_their_messages(sent: list[tuple[int, bool]]) -> None:
    line, other = passing()
    for number, (size, with_one) in enumerate(sent):
        line.send({"number": number, "filling": "x" * size}, _file(str(number).encode()) if with_one else None)
    assert [message["number"] for message in other.receive()] == list(range(len(sent)))
    for number, (_, with_one) in enumerate(sent):
        if with_one:
            assert _text(other.take_descriptor()) == str(number).encode()
    assert other.take_descriptor() is None
    line.close()
    other.close()


def test_a_descriptor_waits_with_its_message_for_room_on_the_line() -> None:
    line, other = passing()
    filling = {"filling": "x" * 100_000}
    for _ in range(5):
        line.send(filling)
    line.send({"with": 1}, _file(b"text"))
    waits = line.wants_write
    got = []
    while line.wants_write:
        got += other.receive()
        line.flush()
    got += other.receive()
    assert waits
    assert got == [*[filling] * 5, {"with": 1}]
    assert _text(other.take_descriptor()) == b"text"
    line.close()
    other.close()


def test_descriptors_that_nobody_wants_are_closed() -> None:
    before = len(os.listdir("/proc/self/fd"))
    line, other = passing()
    for _ in range(16):
        line.send({}, _file(b""))
    assert other.receive() == [{}] * 16
    for _ in range(5):
        line.send({"filling": "x" * 100_000})
    line.send({}, _file(b""))
    line.close()
    other.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_somebody_who_sends_more_descriptors_than_he_may_is_cut_off() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for at_once in (1, 2, 20):
        ours, theirs = socket.socketpair()
        line = LineSocket(ours, descriptors=True)
        fd = _file(b"")
        for _ in range(20):
            socket.send_fds(theirs, [b"{}\n"], [fd] * at_once)
        line.receive()
        assert line.closed
        os.close(fd)
        theirs.close()
        line.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_line_without_descriptors_takes_none() -> None:
    before = len(os.listdir("/proc/self/fd"))
    line, other = pair()
    fd = _file(b"")
    socket.send_fds(other, [b"{}\n"], [fd])
    assert line.receive() == [{}]
    assert line.take_descriptor() is None
    os.close(fd)
    line.close()
    other.close()
    assert len(os.listdir("/proc/self/fd")) == before


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


def test_what_this_process_has_started_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listener = Listener(tmp_path / "instance.sock")
    told, telling = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with Client(listener.path) as client:
                client.request("ps")
        except MachineCannot as error:
            os.write(telling, str(error).encode())
        finally:
            os._exit(0)
    os.close(telling)
    try:
        wait_for("the connection", lambda: select.select([listener.fileno()], [], [], 1)[0])
        assert listener.accept() is None
        with open(told) as pipe:
            assert pipe.read() == "refused: it serves a VM"
        assert caplog.messages == [f"process {pid} is refused at the control socket: it serves a VM"]
    finally:
        os.waitpid(pid, 0)
        listener.close()


def test_a_process_of_the_user_is_served(tmp_path: Path) -> None:
    """One that this process has not started: a child's child whose parent has ended."""
    listener = Listener(tmp_path / "instance.sock")
    pid = os.fork()
    if pid == 0:
        first = os.getpid()
        if os.fork() == 0:
            while os.getppid() == first:
                time.sleep(0.01)
            with contextlib.suppress(MachineCannot), Client(listener.path) as client:
                client.request("ps")
        os._exit(0)
    os.waitpid(pid, 0)
    served = wait_for("the connection", listener.accept)
    assert wait_for("the request", served.receive) == [{"op": "ps"}]
    served.close()
    listener.close()


def test_a_socket_of_a_dead_instance_is_replaced_and_skipped(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert list(instances(tmp_path)) == []
    listener = Listener(path)
    listener.close()
    assert os.listdir(tmp_path) == []
