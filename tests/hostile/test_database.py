"""A VM's Qubes DB on the admin side, whose other end says what it likes: it is bounded, and no other is touched."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Final

import pytest

from backends.base import Vchan, VchanState
from guiproto.ports import ADMIN_DOMID, QUBESDB_PORT
from qubesdb.client import Database
from qubesdb.namespace import VM_LIMITS
from qubesdb.sockets import socket_path
from qubesdb.wire import HEADER, MAX_DATA, Kind, Message, encode
from tests.e2e.rig import wait_for
from tests.hostile.field import resident_kib
from tests.hostile.served import Served

MORE_MEMORY_KIB: Final = 40 * 1024
"""What its daemon may have resident on top of what it began with."""
SYNC: Final = encode(Message(Kind.MULTIREAD, ""))
_DOMID: Final = 7


class Stranger:
    """The VM's side that says what it likes. `reads`: whether it takes what it is told."""

    def __init__(self, served: Served) -> None:
        self.reads = True
        self.vchan: Vchan = served.backend.client(_DOMID, ADMIN_DOMID, QUBESDB_PORT)
        wait_for("the daemon", lambda: self.vchan.update() is VchanState.CONNECTED)

    def say(self, data: bytes) -> None:
        """All of it, as long as somebody takes it; at most for some seconds."""
        left, end = memoryview(data), time.monotonic() + 10
        while left and not self.is_cut_off() and time.monotonic() < end:
            left = left[self.vchan.write(left) :]

    def is_cut_off(self) -> bool:
        """Whether the daemon has hung up."""
        if self.reads:
            self.vchan.read(1 << 18)
        return self.vchan.update() is VchanState.DISCONNECTED


@pytest.fixture
def stranger(served: Served) -> Iterator[Stranger]:
    made = Stranger(served)
    yield made
    made.vchan.close()


def database(served: Served, name: str) -> Database:
    """A client of that VM's daemon, on the admin side."""
    return Database(socket_path(served.directory / "run" / "qubesdb", name))


def keeps(client: Database, path: str, value: bytes) -> bool:
    """Write an entry; whether it is there then, and not what the VM has made of it meanwhile."""
    client.write(path, value)
    return client.multiread(path) == {path: value}


def writes(path: str, number: int, value: bytes) -> bytes:
    return encode(Message(Kind.WRITE, path, value)) * number


def _many(stranger: Stranger) -> None:
    """One entry again and again, as long as it may be."""
    stranger.say(SYNC + writes("/much", 20_000, b"x" * MAX_DATA))


def _all_names(stranger: Stranger) -> None:
    stranger.say(SYNC + b"".join(writes(f"/fill/{n}", 1, b"") for n in range(VM_LIMITS.entries + 9)))


def _all_bytes(stranger: Stranger) -> None:
    stranger.say(SYNC + b"".join(writes(f"/fill/{n}", 1, b"x" * MAX_DATA) for n in range(600)))


def _half(stranger: Stranger) -> None:
    stranger.say(SYNC + writes("/half", 1, b"x" * MAX_DATA)[:-1])


def _removals(stranger: Stranger) -> None:
    """Everything that the admin side has written, and nothing, over and over."""
    stranger.say(SYNC + encode(Message(Kind.RM, "/")) * 5000)


def _deaf(stranger: Stranger) -> None:
    """Has every change acknowledged, and reads none of that."""
    stranger.reads = False
    stranger.say(SYNC + writes("/much", 100_000, b""))


def _words(data: bytes) -> Callable[[Stranger], None]:
    return lambda stranger: stranger.say(SYNC + data)


def _header(kind: int, path: bytes, length: int) -> bytes:
    return HEADER.pack(kind, path, length)


ATTACKS: Final[Mapping[str, tuple[Callable[[Stranger], None], str]]] = {
    "a flood of writes": (_many, ""),
    "more entries than there may be": (_all_names, "Qubes DB limit"),
    "more bytes than there may be": (_all_bytes, "Qubes DB limit"),
    "half a message": (_half, ""),
    "a flood of removals": (_removals, ""),
    "reading nothing": (_deaf, "Qubes DB peer does not read"),
    "a path without end": (_words(_header(Kind.WRITE, b"/" + b"a" * 63, 0)), "Qubes DB path"),
    "a path of other bytes": (_words(_header(Kind.WRITE, b"/../\x1b[2J", 0)), "Qubes DB path"),
    "a value of 4 GiB": (_words(_header(Kind.WRITE, b"/a", 2**32 - 1)), "Qubes DB length"),
    "a value with a NUL": (_words(_header(Kind.WRITE, b"/a", 2) + b"\0\0"), "Qubes DB value"),
    "everything twice": (_words(SYNC), "Qubes DB message kind"),
    "a watch": (_words(encode(Message(Kind.WATCH, "/"))), "Qubes DB message kind"),
    "an answer to nothing": (_words(encode(Message(Kind.OK, "/a"))), "Qubes DB message kind"),
    "a kind that there is not": (_words(_header(99, b"/a", 0)), "Qubes DB message kind"),
}
"""By name: what is done, and what the reason begins with, "" for none."""


@pytest.mark.parametrize(("attack", "ends"), ATTACKS.values(), ids=ATTACKS)
def test_database(served: Served, stranger: Stranger, attack: Callable[[Stranger], None], ends: str) -> None:
    before = served.rows()
    pid = before["bad"]["qubesdb_pid"]
    memory = resident_kib(pid)
    with database(served, "bad") as beside, database(served, "work") as other:
        beside.write("/admin/here", b"1")
        attack(stranger)
        began = time.monotonic()
        if ends:
            served.said(f"bad: Qubes DB: the other side misbehaved: {ends}")
            wait_for("the end of its session", stranger.is_cut_off)
        wait_for("another client of the same VM to be served", lambda: keeps(beside, "/admin/too", b"2"), 10)
        other.write("/here", b"3")
        assert other.multiread("/here") == {"/here": b"3"}, "another VM's daemon is served"
        assert time.monotonic() - began < 10
        assert other.read("/name") == b"work"
    assert resident_kib(pid) - memory < MORE_MEMORY_KIB
    after = served.rows()
    assert [row["qubesdb_pid"] for row in after.values()] == [row["qubesdb_pid"] for row in before.values()]
    assert served.log().count("misbehaved") == bool(ends), "one reason"
    stranger.vchan.close()
    again = Stranger(served)  # met again, and told everything
    again.say(SYNC)
    wait_for("everything", lambda: b"/admin/too" in again.vchan.read(1 << 18))
    again.vchan.close()


def test_a_client_that_watches_everything_and_reads_nothing(served: Served, stranger: Stranger) -> None:
    pid = served.rows()["bad"]["qubesdb_pid"]
    with database(served, "bad") as watcher, database(served, "bad") as beside:
        for _ in range(200):
            watcher.watch("/")
        memory = resident_kib(pid)
        stranger.say(SYNC + writes("/much", 3000, b""))
        beside.write("/here", b"1")
        assert beside.read("/here") == b"1"
        assert resident_kib(pid) - memory < MORE_MEMORY_KIB


def test_entries_of_the_admin_side_decide_nothing_when_the_vm_writes_them(served: Served, stranger: Stranger) -> None:
    """A VM may change its own copy of everything; what guid does comes from elsewhere."""
    work, bad = served.show("work", 1700, 1000), served.show("bad", 50, 50)
    lies = {
        "/name": b"work", "/qubes-gui-domain-xid": b"5", "/odyssey-gui-domain-next": b"8",
        "/qubes-gui-enabled": b"False", "/qubes-vm-type": b"AdminVM", "/keyboard-layout": b"de",
        "/odyssey-monitors": b"1 1 0 0", "/default-user": b"root", "/qubes-gui-videoram-min": b"99999999",
    }  # fmt: skip
    stranger.say(SYNC + b"".join(writes(path, 1, value) for path, value in lies.items()))
    with database(served, "bad") as database_of_bad, database(served, "work") as other:
        wait_for("the lies", lambda: lies.items() <= database_of_bad.multiread("/").items())
        assert other.read("/name") == b"work"
        assert other.read("/qubes-gui-domain-xid") == b"0"
        assert "/odyssey-gui-domain-next" not in other.list("/")
    for agent in (work, bad):
        agent.paint()
        agent.settle()
    rows = served.rows()
    assert [rows["bad"][key] for key in ("name", "label", "gui_domid", "state", "restarts")] == [
        "bad", "red", 0, "connected", 0,
    ]  # fmt: skip
    assert rows["work"]["state"] == "connected"


def test_one_that_synchronises_and_hangs_up_is_met_less_and_less_often(served: Served) -> None:
    met = []
    for _ in range(3):
        stranger = Stranger(served)
        stranger.say(SYNC)
        wait_for("everything", lambda: b"/name" in stranger.vchan.read(1 << 16))  # noqa: B023 - called at once
        stranger.vchan.close()
        met.append(time.monotonic())
    gaps = [later - earlier for earlier, later in pairwise(met)]
    assert all(gap > 0.9 * pause for gap, pause in zip(gaps, (0.25, 0.5), strict=True)), gaps
    with contextlib.closing(database(served, "bad")) as client:
        assert client.read("/name") == b"bad"
