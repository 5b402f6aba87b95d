"""A socket file has one live owner, refuses nobody while it is there, and is gone with its owner."""

import fcntl
import os
import resource
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.conformance.waiting import Child, hear
from backends.rendezvous import Listener, connect, is_fresh
from guiproto.errors import MachineCannot

STREAM = socket.SOCK_STREAM


@pytest.fixture
def path(socket_dir: Path) -> Path:
    return socket_dir / "new" / "place.sock"


def listen(path: Path) -> Listener:
    return Listener(path, STREAM, "the place", backlog=4)


def test_only_we_may_connect_and_look(path: Path) -> None:
    old = os.umask(0)
    try:
        listener = listen(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    listener.close()


def test_both_ends_never_wait(path: Path) -> None:
    listener = listen(path)
    assert listener.accept() is None
    client = connect(path, STREAM)
    server = listener.accept()
    assert client is not None
    assert server is not None
    for each in (client, server):
        with pytest.raises(BlockingIOError):
            each.recv(1)
    client.close()
    server.close()
    listener.close()


def test_a_live_owner_is_not_replaced(path: Path) -> None:
    listener = listen(path)
    with pytest.raises(MachineCannot, match="the place is in use") as caught:
        listen(path)
    assert "place.lock" in caught.value.remedy
    listener.stop()
    with pytest.raises(MachineCannot, match="the place is in use"):
        listen(path)
    listener.close()
    listen(path).close()


def test_a_dead_owner_is_replaced_without_a_moment_of_absence(path: Path) -> None:
    reader, writer = os.pipe()

    def owner() -> None:
        listen(path)
        os.write(writer, b"!")
        signal.pause()

    child = Child(owner)
    hear(reader, 1, "the owner")
    with pytest.raises(MachineCannot, match="in use"):
        listen(path)
    child.kill()
    assert connect(path, STREAM) is None
    assert path.exists()
    listener = listen(path)
    client = connect(path, STREAM)
    assert client is not None
    client.close()
    listener.close()
    os.close(reader)
    os.close(writer)


def test_a_lock_on_a_file_that_was_removed_meanwhile_counts_for_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock
    calls: list[int] = []

    def flock_of_a_slow_process(fd: int, how: int) -> None:
        if not calls:
            path.with_suffix(".lock").unlink()
        calls.append(fd)
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock_of_a_slow_process)
    listener = listen(path)
    assert len(calls) == 2
    with pytest.raises(MachineCannot, match="in use"):
        listen(path)
    listener.close()


def test_nothing_is_left(path: Path) -> None:
    listener = listen(path)
    client = connect(path, STREAM)
    assert client is not None
    listener.stop()
    assert not path.exists()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    client.close()
    listener.close()
    listener.close()
    assert list(path.parent.iterdir()) == []


def test_somebody_elses_socket_is_left_alone(path: Path) -> None:
    listener = listen(path)
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        listener.close()
        assert path.exists()


def test_after_the_end_nobody_is_accepted(path: Path) -> None:
    listener = listen(path)
    listener.stop()
    assert listener.accept() is None
    assert listener.fileno() == -1
    listener.close()


def test_a_path_may_be_longer_than_a_socket_address(socket_dir: Path) -> None:
    path = socket_dir / ("x" * 100) / "place.sock"
    listener = listen(path)
    client = connect(path, STREAM)
    assert client is not None
    client.close()
    listener.close()


def test_a_directory_that_cannot_be_made_is_refused(socket_dir: Path) -> None:
    (socket_dir / "file").touch()
    with pytest.raises(MachineCannot, match="cannot listen"):
        listen(socket_dir / "file" / "place.sock")


def test_no_descriptor_left_is_said_with_a_remedy(path: Path) -> None:
    listener = listen(path)
    client = connect(path, STREAM)
    assert client is not None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(MachineCannot, match="ulimit -n"):
            listener.accept()
        with pytest.raises(MachineCannot, match="cannot connect"):
            connect(path, STREAM)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    client.close()
    listener.close()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: None, id="nothing"),  # noqa: ARG005 - the others need it
        pytest.param(lambda path: path.touch(), id="file"),
        pytest.param(lambda path: path.mkdir(), id="directory"),
        pytest.param(os.mkfifo, id="FIFO"),
        pytest.param(lambda path: path.symlink_to(path.with_name("target")), id="link"),
    ],
)
def test_what_is_no_socket_is_nobody(socket_dir: Path, make: Callable[[Path], None]) -> None:
    target = listen(socket_dir / "target")
    make(socket_dir / "place.sock")
    assert connect(socket_dir / "place.sock", STREAM) is None
    assert connect(socket_dir / "place.sock" / "below", STREAM) is None
    assert target.accept() is None
    target.close()


def test_a_long_path_can_be_connected_to(socket_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = socket_dir / ("x" * 100)
    deep.mkdir()
    monkeypatch.chdir(deep)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("place.sock")
        listener.listen()
        client = connect(deep / "place.sock", STREAM)
        assert client is not None
        client.close()


def test_a_full_queue_is_nobody(socket_dir: Path) -> None:
    listener = Listener(socket_dir / "place.sock", STREAM, "the place", backlog=0)
    client = connect(listener.path, STREAM)
    assert client is not None
    assert connect(listener.path, STREAM) is None
    client.close()
    listener.close()


def test_a_file_is_fresh_for_a_while(socket_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = socket_dir / "file"
    assert not is_fresh(path)
    path.touch()
    assert is_fresh(path)
    changed = path.stat().st_ctime
    monkeypatch.setattr("backends.rendezvous.time.time", lambda: changed + 11)
    assert not is_fresh(path)
