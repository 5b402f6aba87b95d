"""The client: errors that say what and why, watches in a poll loop, and daemons that talk nonsense."""

import select
import socket
import threading
from pathlib import Path

import pytest

from guiproto.errors import MachineCannot
from qubesdb.client import Database, NoEntry
from qubesdb.sockets import socket_path
from qubesdb.wire import Kind, Message, encode
from tests.qubesdb.rig import House


def test_no_daemon_is_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(MachineCannot, match=r"no Qubes DB daemon at .*nothing \(start it\)"):
        Database(tmp_path / "nothing", "start it")


def test_everything_that_can_be_asked(house: House) -> None:
    house.start("admin")
    with house.connect("admin") as database:
        database.write("/a/x", b"1")
        database.write("/a/y", b"2")
        assert database.read("/a/x") == b"1"
        assert database.multiread("/a/") == {"/a/x": b"1", "/a/y": b"2"}
        assert database.list("/a") == ["/a/x", "/a/y"]
        database.remove("/a/x")
        for ask in (database.read, database.remove, database.unwatch):
            with pytest.raises(NoEntry, match="there is no entry /a/x"):
                ask("/a/x")


@pytest.mark.parametrize("path", ["", "/a b", "-a", "/\x1b", "/" + "a" * 63, "/a/"])
def test_paths_that_cannot_be_are_refused_here(house: House, path: str) -> None:
    house.start("admin")
    with house.connect("admin") as database:
        with pytest.raises(MachineCannot, match="is no path"):
            database.read(path)
        assert database.read("/name") == b"work"


@pytest.mark.parametrize("value", [b"\0", b"x" * 3072])
def test_values_that_cannot_be_are_refused_here(house: House, value: bytes) -> None:
    house.start("admin")
    with house.connect("admin") as database, pytest.raises(MachineCannot, match="cannot have this value"):
        database.write("/a", value)


def test_changes_wake_up_a_poll_and_are_told_in_order(house: House) -> None:
    house.start("admin")
    with house.connect("admin") as watcher, house.connect("admin") as writer:
        watcher.watch("/a/")
        assert watcher.changes() == []
        for path in ("/a/1", "/b", "/a/2"):
            writer.write(path, b"")
        seen: list[str] = []
        while len(seen) < 2:
            assert select.select([watcher], [], [], 10)[0]
            seen += watcher.changes()
        assert seen == ["/a/1", "/a/2"]


def test_own_changes_that_come_with_answers_are_not_lost(house: House) -> None:
    house.start("admin")
    with house.connect("admin") as database:
        database.watch("/a")
        database.write("/a", b"1")
        assert database.read("/a") == b"1"
        assert database.changes() == ["/a"]


def test_another_ones_change_that_comes_together_with_an_answer_is_not_lost(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        with Database(tmp_path / "s") as database:
            connection, _ = server.accept()
            connection.sendall(encode(Message(Kind.VALUE, "/a", b"1")) + encode(Message(Kind.CHANGED, "/b")))
            assert database.read("/a") == b"1"
            assert database.changes() == ["/b"]
            connection.close()


def test_the_end_of_the_daemon_is_said(house: House) -> None:
    house.start("admin")
    with house.connect("admin") as database:
        house.kill("admin")
        with pytest.raises(MachineCannot, match="is gone"):
            database.read("/name")
    with house_socket(house) as database, pytest.raises(MachineCannot, match="is gone"):
        database.changes()


def house_socket(house: House) -> Database:
    """A client of a daemon that ends at once."""
    house.path("admin").unlink()
    house.start("admin")
    database = house.connect("admin")
    house.end("admin")
    return database


@pytest.mark.parametrize("answer", [b"\xff" * 72, encode(Message(Kind.PATH, "/a")), encode(Message(Kind.OK, "/a"))])
def test_nonsense_is_no_answer(tmp_path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        with Database(tmp_path / "s") as database:
            connection, _ = server.accept()
            speaker = threading.Thread(target=connection.sendall, args=(answer,))
            speaker.start()
            with pytest.raises(MachineCannot, match="Qubes DB daemon"):
                database.read("/a")
            speaker.join()
            connection.close()


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a.ro", "."])
def test_no_vm_has_another_ones_sockets(name: str) -> None:
    with pytest.raises(MachineCannot, match="no Qubes DB for a VM"):
        socket_path(Path("/x"), name)
