"""The daemons as processes, on real sockets and a real local vchan: what survives, what is limited, who is cut off."""

import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends.base import Vchan, VchanState
from backends.local import LocalBackend
from guiproto.errors import MachineCannot
from guiproto.ports import ADMIN_DOMID, QUBESDB_PORT
from qubesdb.client import Database, NoEntry
from qubesdb.namespace import VM_LIMITS
from qubesdb.wire import HEADER, MAX_CLIENTS, Kind, Message, encode
from tests.qubesdb.rig import DOMID, House, has
from tests.xserver import wait_until


class Stranger:
    """A VM's side that says what it likes."""

    def __init__(self, house: House) -> None:
        self.vchan: Vchan = LocalBackend(house.directory / "vchan").client(house.domid, ADMIN_DOMID, QUBESDB_PORT)
        wait_until(lambda: self.vchan.update() is VchanState.CONNECTED, "a connection")

    def say(self, data: bytes) -> None:
        """All of it, as long as somebody takes it."""
        left = memoryview(data)

        def push() -> bool:
            nonlocal left
            self.vchan.update()
            self.vchan.read(1 << 16)
            left = left[self.vchan.write(left) :]
            return not left or self.vchan.state is VchanState.DISCONNECTED

        wait_until(push, "somebody who reads")

    def is_cut_off(self) -> bool:
        self.vchan.update()
        self.vchan.read(1 << 16)
        return self.vchan.state is VchanState.DISCONNECTED


@pytest.fixture
def stranger(house: House) -> Iterator[Callable[[], Stranger]]:
    made: list[Stranger] = []

    def make() -> Stranger:
        made.append(Stranger(house))
        return made[-1]

    yield make
    for one in made:
        one.vchan.close()


def test_what_one_side_writes_the_other_reads(house: House) -> None:
    house.start("admin", "vm")
    with house.connect("vm") as vm, house.connect("admin") as admin:
        assert vm.read("/name") == b"work"
        vm.write("/from/vm", b"\xff\x01 any byte")
        wait_until(lambda: has(admin, "/from/vm", b"\xff\x01 any byte"), "the VM's value")
        admin.write("/from/admin", b"2")
        wait_until(lambda: has(vm, "/from/admin", b"2"), "the admin side's value")
        admin.remove("/from/")
        wait_until(lambda: not vm.list("/from/"), "the removal")


@pytest.mark.parametrize("order", [("admin", "vm"), ("vm", "admin")])
def test_the_sides_find_each_other_in_any_order(house: House, order: tuple[str, str]) -> None:
    for side in order:
        house.start(side)
    with house.connect("vm") as vm:
        assert vm.list("/") == ["/name"]


def test_sockets_have_qubes_names_and_modes(house: House) -> None:
    house.start("admin", "vm")
    house.connect("vm").close()
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for side in ("admin", "vm")
        for path in (house.directory / side).glob("*.sock")
    }
    assert modes == {
        "qubesdb.work.sock": 0o600,
        "qubesdb.work.ro.sock": 0o666,
        "qubesdb.sock": 0o600,
        "qubesdb.ro.sock": 0o666,
    }


def test_the_socket_for_reading_lets_nobody_write(house: House) -> None:
    house.start("admin", "vm")
    with house.connect("vm", writable=False) as reader:
        with pytest.raises(MachineCannot, match="refuses to change /x"):
            reader.write("/x", b"")
        with pytest.raises(MachineCannot, match="refuses"):
            reader.remove("/name")
        assert reader.read("/name") == b"work"


@pytest.mark.parametrize("killed", ["admin", "vm"])
def test_values_survive_a_killed_daemon(house: House, killed: str) -> None:
    house.start("admin", "vm")
    with house.connect("vm") as vm, house.connect("admin") as admin:
        vm.write("/a", b"vm")
        admin.write("/b", b"admin")
        wait_until(lambda: has(vm, "/b", b"admin") and has(admin, "/a", b"vm"), "both")
    # The socket file of a killed daemon is there until the next one replaces it.
    house.kill(killed)
    house.path(killed).unlink()
    house.start(killed)
    for side in ("admin", "vm"):
        with house.connect(side) as database:
            assert database.multiread("/") == {"/a": b"vm", "/b": b"admin", "/name": b"work"}


def test_what_the_vm_writes_while_the_admin_side_is_gone_is_not_lost(house: House) -> None:
    house.start("admin", "vm")
    with house.connect("vm") as vm:
        house.kill("admin")
        vm.write("/meanwhile", b"1")
        house.path("admin").unlink()
        house.start("admin")
        with house.connect("admin") as admin:
            wait_until(lambda: has(admin, "/meanwhile", b"1"), "the value")
            assert vm.multiread("/") == admin.multiread("/")


def test_the_last_change_before_the_end_is_kept(house: House) -> None:
    house.start("admin")
    with house.connect("admin") as admin:
        for number in range(50):
            admin.write("/n", b"%d" % number)
    assert house.end("admin") == 0
    house.start("admin")
    with house.connect("admin") as admin:
        assert admin.read("/n") == b"49"


def test_a_damaged_file_is_named_and_moved_aside(house: House) -> None:
    path = house.directory / "admin" / "entries"
    path.write_bytes(b"{}\nwhat is this")
    house.start("admin")
    with house.connect("admin") as admin:
        assert admin.list("/") == ["/name"]
    assert f"{path} is damaged" in house.log("admin")
    assert path.with_name("entries.damaged").read_bytes() == b"{}\nwhat is this"


def test_a_second_daemon_is_refused(house: House) -> None:
    house.start("admin")
    house.connect("admin").close()
    first = house.processes.pop("admin")
    house.start("admin")
    assert house.processes["admin"].wait(10) != 0
    assert "is in use" in house.log("admin")
    house.processes["first"] = first


def test_a_vm_that_fills_it_up_meets_a_limit(house: House) -> None:
    house.start("admin", "vm")
    with house.connect("vm") as vm, house.connect("admin") as admin:
        for number in range(VM_LIMITS.entries - 1):
            vm.write(f"/fill/{number}", b"")
        with pytest.raises(MachineCannot, match="is the namespace full"):
            vm.write("/fill/more", b"")
        wait_until(lambda: len(admin.list("")) == VM_LIMITS.entries, "everything on the admin side")
        admin.write("/keyboard-layout", b"de")
        wait_until(lambda: has(vm, "/keyboard-layout", b"de"), "the admin side's value all the same")
    assert "misbehaved" not in house.log("admin")


def test_a_vm_that_knows_no_limit_is_cut_off_with_a_reason_and_met_again(
    house: House, stranger: Callable[[], Stranger]
) -> None:
    house.start("admin")
    with house.connect("admin") as admin:
        for _ in range(2):
            hostile = stranger()
            fill = (encode(Message(Kind.WRITE, f"/fill/{number}", b"")) for number in range(VM_LIMITS.entries + 1))
            hostile.say(encode(Message(Kind.MULTIREAD, "")) + b"".join(fill))
            wait_until(hostile.is_cut_off, "the end")
        assert len(admin.list("/")) == VM_LIMITS.entries
        admin.remove("/fill/")
    assert house.log("admin").count("the other side misbehaved: Qubes DB limit") == 1
    house.start("vm")
    with house.connect("vm") as vm:
        assert vm.list("/") == ["/name"]


@pytest.mark.parametrize("data", [b"\xff" * 100, encode(Message(Kind.READ, "/name")), bytes(72)])
def test_nonsense_ends_the_session_and_nothing_else(
    house: House, stranger: Callable[[], Stranger], data: bytes
) -> None:
    house.start("admin")
    with house.connect("admin") as admin:
        hostile = stranger()
        hostile.say(data)
        wait_until(hostile.is_cut_off, "the end")
        assert admin.read("/name") == b"work"
    wait_until(lambda: "misbehaved" in house.log("admin"), "the reason")


def test_a_vm_that_does_not_read_is_cut_off(house: House, stranger: Callable[[], Stranger]) -> None:
    house.start("admin")
    hostile = stranger()
    hostile.say(encode(Message(Kind.MULTIREAD, "")))
    writes = encode(Message(Kind.WRITE, "/much", b"x" * 3000)) * 2000
    with socket.socket(socket.AF_UNIX) as writer:
        house.connect("admin").close()
        writer.connect(str(house.path("admin")))
        sender = threading.Thread(target=writer.sendall, args=(writes,))
        sender.start()
        answered = 0
        while answered < 2000 * HEADER.size:
            answered += len(writer.recv(1 << 16))
        sender.join()
    wait_until(hostile.is_cut_off, "the end")
    assert "does not read" in house.log("admin")


def test_so_many_clients_and_no_more(house: House) -> None:
    house.start("admin")
    first = house.connect("admin")
    clients = [socket.socket(socket.AF_UNIX) for _ in range(MAX_CLIENTS)]
    try:
        for client in clients:
            client.connect(str(house.path("admin")))
        clients[-1].settimeout(10)
        assert clients[-1].recv(1) == b""
        assert first.read("/name") == b"work"
        clients[0].close()
        wait_until(lambda: _is_served(house.path("admin")), "a place")
    finally:
        first.close()
        for client in clients:
            client.close()


def _is_served(path: Path) -> bool:
    try:
        with Database(path) as database:
            return database.read("/name") == b"work"
    except MachineCannot:
        return False


def test_two_vms_never_see_each_others_entries() -> None:
    with tempfile.TemporaryDirectory(prefix="qdb") as name:
        houses = [House(Path(name) / "a", DOMID), House(Path(name) / "b", DOMID)]
        try:
            for house in houses:
                house.start("admin", "vm")
            with houses[0].connect("vm") as one, houses[1].connect("vm") as other, houses[1].connect("admin") as admin:
                one.write("/secret", b"1")
                other.write("/done", b"")
                wait_until(lambda: has(admin, "/done", b""), "the other's own")
                for database in (other, admin):
                    with pytest.raises(NoEntry):
                        database.read("/secret")
        finally:
            for house in houses:
                house.close()
