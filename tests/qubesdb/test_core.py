"""Conversations with a daemon's core: who may say what, and who hears of it."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guiproto.errors import PeerMisbehaved
from qubesdb.core import Client, Core, Side
from qubesdb.link import AdminLink, Link, Pending, VmLink
from qubesdb.namespace import VM_LIMITS, Namespace
from qubesdb.wire import Decoder, Kind, Message, encode

LOCAL = (Kind.READ, Kind.WRITE, Kind.MULTIREAD, Kind.LIST, Kind.RM, Kind.WATCH, Kind.UNWATCH)
BETWEEN = (Kind.WRITE, Kind.RM)


def said(out: bytearray) -> list[Message]:
    """What waits to be sent; nothing waits then."""
    decoder = Decoder()
    decoder.feed(bytes(out))
    out.clear()
    messages = []
    while (message := decoder.next()) is not None:
        messages.append(message)
    return messages


class Place:
    """A core with one client for writing and a log."""

    def __init__(self, side: Side, **entries: bytes) -> None:
        self.core = Core(side, Namespace((f"/{name}", value) for name, value in entries.items()))
        self.client = self.core.add(writable=True)
        self.logged: list[str] = []
        self.pending = Pending()
        self.link = self.reconnect()

    def reconnect(self) -> Link:
        """A new connection."""
        self.link = (
            AdminLink(self.core, self.logged.append)
            if self.core.side is Side.ADMIN
            else VmLink(self.core, self.logged.append, self.pending)
        )
        self.core.repeater = self.link
        return self.link

    def ask(self, kind: Kind, path: str, data: bytes = b"", client: Client | None = None) -> list[Message]:
        """The answer of the core to a local client."""
        whose = client or self.client
        self.core.receive(whose, encode(Message(kind, path, data)))
        return said(whose.out)

    def hear(self, *messages: Message) -> list[Message]:
        """What the core says to the other daemon, after it has said this."""
        self.link.receive(b"".join(map(encode, messages)))
        return said(self.link.out)

    def entries(self) -> dict[str, bytes]:
        """All of them."""
        return dict(self.core.namespace)


def synced_admin(**entries: bytes) -> Place:
    """An admin side whose VM has everything."""
    place = Place(Side.ADMIN, **entries)
    place.hear(Message(Kind.MULTIREAD, ""))
    return place


def synced_vm(**entries: bytes) -> Place:
    """A VM that has everything."""
    place = Place(Side.VM)
    said(place.link.out)
    place.hear(*(Message(Kind.ENTRY, f"/{n}", v) for n, v in entries.items()), Message(Kind.ENTRY, ""))
    return place


def exchange(admin: Place, vm: Place) -> None:
    """Let everything arrive that either says."""
    while admin.link.out or vm.link.out:
        deliver(admin, vm)
        deliver(vm, admin)


def deliver(one: Place, other: Place) -> None:
    """Let arrive what `one` has said so far."""
    data = bytes(one.link.out)
    one.link.out.clear()
    other.link.receive(data)


# --- local clients ---


def test_reading() -> None:
    place = Place(Side.ADMIN, a=b"1")
    assert place.ask(Kind.READ, "/a") == [Message(Kind.VALUE, "/a", b"1")]
    assert place.ask(Kind.READ, "/b") == [Message(Kind.NO_ENTRY, "/b")]


def test_everything_comes_in_reverse_and_what_is_below_in_order() -> None:
    place = Place(Side.ADMIN, a=b"1", b=b"2")
    end = Message(Kind.ENTRY, "")
    assert [m.path for m in place.ask(Kind.MULTIREAD, "")] == ["/b", "/a", ""]
    assert place.ask(Kind.MULTIREAD, "/") == [Message(Kind.ENTRY, "/a", b"1"), Message(Kind.ENTRY, "/b", b"2"), end]
    assert place.ask(Kind.MULTIREAD, "/c") == [end]
    assert place.ask(Kind.LIST, "/b") == [Message(Kind.PATH, "/b"), Message(Kind.PATH, "")]


def test_a_change_is_repeated_to_the_other_daemon_and_answered() -> None:
    for place in (synced_admin(), synced_vm()):
        assert place.ask(Kind.WRITE, "/a", b"1") == [Message(Kind.OK, "/a")]
        assert said(place.link.out) == [Message(Kind.WRITE, "/a", b"1")]
        assert place.ask(Kind.RM, "/") == [Message(Kind.OK, "/")]
        assert said(place.link.out) == [Message(Kind.RM, "/")]
        assert place.ask(Kind.RM, "/a") == [Message(Kind.NO_ENTRY, "/a")]
        assert not place.link.out


def test_the_socket_for_reading_answers_changes_with_an_error_and_stays() -> None:
    place = synced_admin(a=b"1")
    reader = place.core.add(writable=False)
    assert place.ask(Kind.WRITE, "/a", b"2", reader) == [Message(Kind.ERROR, "/a")]
    assert place.ask(Kind.RM, "/a", client=reader) == [Message(Kind.ERROR, "/a")]
    assert place.ask(Kind.READ, "/a", client=reader) == [Message(Kind.VALUE, "/a", b"1")]
    assert not place.link.out


def test_watches_hear_of_local_changes_and_of_the_others() -> None:
    place = synced_vm(a=b"1")
    watcher = place.core.add(writable=False)
    place.ask(Kind.WATCH, "/a", client=watcher)
    place.ask(Kind.WATCH, "/d/", client=watcher)
    place.ask(Kind.WRITE, "/d/x", b"")
    place.hear(Message(Kind.WRITE, "/a", b"2"), Message(Kind.WRITE, "/d/y", b""), Message(Kind.WRITE, "/e", b""))
    place.hear(Message(Kind.RM, "/a"))
    assert [m.path for m in said(watcher.out)] == ["/d/x", "/a", "/d/y", "/a"]


def test_removal_of_a_directory_is_told_entry_by_entry() -> None:
    place = Place(Side.ADMIN, **{"d/x": b"", "d/y": b""})
    watcher = place.core.add(writable=False)
    place.ask(Kind.WATCH, "/d/y", client=watcher)
    place.ask(Kind.RM, "/d/")
    assert said(watcher.out) == [Message(Kind.CHANGED, "/d/y")]


def test_a_path_can_be_watched_twice_and_no_more_than_unwatched() -> None:
    place = Place(Side.ADMIN)
    place.ask(Kind.WATCH, "/a")
    place.ask(Kind.WATCH, "/a")
    changed = Message(Kind.CHANGED, "/a")
    assert place.ask(Kind.WRITE, "/a", b"") == [Message(Kind.OK, "/a"), changed, changed]
    assert place.ask(Kind.UNWATCH, "/a") == [Message(Kind.OK, "/a")]
    assert place.ask(Kind.WRITE, "/a", b"") == [Message(Kind.OK, "/a"), changed]
    place.ask(Kind.UNWATCH, "/a")
    assert place.ask(Kind.UNWATCH, "/a") == [Message(Kind.NO_ENTRY, "/a")]


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in LOCAL])
def test_a_client_that_says_what_it_must_not_is_dropped(kind: Kind) -> None:
    with pytest.raises(PeerMisbehaved, match="from a client"):
        Place(Side.ADMIN).ask(kind, "/a")


def test_a_client_is_not_heard_while_it_leaves_its_answers_unread() -> None:
    place = Place(Side.ADMIN, a=b"x" * 3000)
    place.core.receive(place.client, encode(Message(Kind.READ, "/a")) * 1000)
    waiting = len(place.client.out)
    assert waiting < 100_000
    answered = 0
    while place.client.out:
        answered += len(said(place.client.out))
        place.core.proceed(place.client)
    assert answered == 1000


def test_a_client_that_never_reads_what_it_watches_is_dropped() -> None:
    place = Place(Side.ADMIN)
    watcher = place.core.add(writable=False)
    place.ask(Kind.WATCH, "/", client=watcher)
    for _ in range(70_000):
        place.ask(Kind.WRITE, "/a", b"")
    assert list(place.core.overdue()) == [watcher]


def test_a_full_namespace_is_an_error_in_the_vm() -> None:
    place = synced_vm()
    for number in range(VM_LIMITS.entries):
        place.ask(Kind.WRITE, f"/{number}", b"")
    said(place.link.out)
    assert place.ask(Kind.WRITE, "/more", b"") == [Message(Kind.ERROR, "/more")]
    assert not place.link.out


# --- the other daemon ---


def test_the_vm_asks_for_everything_and_has_it() -> None:
    place = Place(Side.VM)
    assert said(place.link.out) == [Message(Kind.MULTIREAD, "")]
    place.hear(Message(Kind.ENTRY, "/b", b"2"), Message(Kind.ENTRY, "/a", b"1"))
    assert not place.entries()
    place.hear(Message(Kind.ENTRY, ""))
    assert place.entries() == {"/a": b"1", "/b": b"2"}


def test_the_admin_side_gives_everything_once() -> None:
    place = Place(Side.ADMIN, a=b"1")
    ask = Message(Kind.MULTIREAD, "")
    assert place.hear(ask) == [Message(Kind.ENTRY, "/a", b"1"), Message(Kind.ENTRY, "")]
    with pytest.raises(PeerMisbehaved, match="kind"):
        place.hear(ask)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.MULTIREAD])
def test_nothing_comes_before_the_vm_has_asked_for_everything(kind: Kind) -> None:
    with pytest.raises(PeerMisbehaved, match="before everything"):
        Place(Side.ADMIN).hear(Message(kind, "/a"))


@pytest.mark.parametrize("make", [synced_admin, synced_vm])
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in BETWEEN])
def test_the_other_daemon_says_nothing_else(make: Callable[[], Place], kind: Kind) -> None:
    with pytest.raises(PeerMisbehaved, match="unasked"):
        make().hear(Message(kind, "/a"))


def test_changes_of_the_other_are_taken_and_acknowledged_and_not_repeated() -> None:
    for place in (synced_admin(a=b"1"), synced_vm(a=b"1")):
        assert place.hear(Message(Kind.WRITE, "/b", b"2")) == [Message(Kind.OK, "/b")]
        assert place.hear(Message(Kind.RM, "/a")) == [Message(Kind.OK, "/a")]
        assert place.hear(Message(Kind.RM, "/a")) == [Message(Kind.OK, "/a")]
        assert place.entries() == {"/b": b"2"}


def test_nothing_is_repeated_before_both_have_the_same() -> None:
    place = Place(Side.ADMIN)
    place.ask(Kind.WRITE, "/a", b"1")
    assert not place.link.out


def test_a_vm_that_fills_it_up_misbehaves_and_nothing_is_taken() -> None:
    place = synced_admin()
    place.hear(*(Message(Kind.WRITE, f"/{number}", b"") for number in range(VM_LIMITS.entries)))
    with pytest.raises(PeerMisbehaved, match="Qubes DB limit: more than 4096 entries"):
        place.hear(Message(Kind.WRITE, "/more", b""))
    assert len(place.core.namespace) == VM_LIMITS.entries
    assert place.ask(Kind.WRITE, "/keyboard-layout", b"de") == [Message(Kind.OK, "/keyboard-layout")]


def test_one_that_does_not_read_misbehaves() -> None:
    place = synced_admin()
    for _ in range(1400):
        place.ask(Kind.WRITE, "/a", b"x" * 3000)
    with pytest.raises(PeerMisbehaved, match="does not read"):
        place.link.check()


def test_one_that_does_not_answer_misbehaves() -> None:
    place = synced_admin()
    for _ in range(70_000):
        place.ask(Kind.WRITE, "/a", b"")
        place.link.out.clear()
    with pytest.raises(PeerMisbehaved, match="does not answer"):
        place.link.check()


def test_refusals_are_logged_once_whoever_repeats_them() -> None:
    place = synced_admin()
    for _ in range(3):
        place.ask(Kind.WRITE, "/a", b"")
    place.hear(*[Message(Kind.ERROR, "/a")] * 3)
    assert len(place.logged) == 1


# --- both together ---


def test_what_both_wrote_at_once_is_in_the_end_the_same_on_both_sides() -> None:
    admin, vm = Place(Side.ADMIN), Place(Side.VM)
    exchange(admin, vm)
    admin.ask(Kind.WRITE, "/a", b"admin")
    vm.ask(Kind.WRITE, "/a", b"vm")
    exchange(admin, vm)
    assert admin.entries() == vm.entries() == {"/a": b"vm"}
    admin.ask(Kind.WRITE, "/a", b"again")
    exchange(admin, vm)
    assert admin.entries() == vm.entries() == {"/a": b"again"}


def test_what_the_vm_changed_while_alone_is_repeated_and_the_rest_is_taken_over() -> None:
    admin, vm = Place(Side.ADMIN, kept=b"1", gone=b"1", other=b"1"), Place(Side.VM)
    exchange(admin, vm)
    watcher = vm.core.add(writable=False)
    vm.ask(Kind.WATCH, "/", client=watcher)
    vm.reconnect()
    vm.ask(Kind.WRITE, "/new", b"vm")
    vm.ask(Kind.RM, "/gone")
    admin.reconnect()
    admin.ask(Kind.WRITE, "/other", b"2")
    admin.ask(Kind.RM, "/kept")
    said(watcher.out)
    exchange(admin, vm)
    assert admin.entries() == vm.entries() == {"/new": b"vm", "/other": b"2"}
    assert [m.path for m in said(watcher.out)] == ["/kept", "/other"]


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["admin", "vm", "to the vm", "to the admin", "cut"]),
        st.sampled_from(["/a", "/d/a", "/d/b", "/d/", "/"]),
        st.binary(min_size=1, max_size=2).map(lambda data: data.replace(b"\0", b"1")) | st.none(),
    ),
    max_size=30,
)


@given(ACTIONS)
def test_both_sides_are_the_same_in_the_end_whatever_happens(actions: list[tuple[str, str, bytes | None]]) -> None:
    admin, vm = Place(Side.ADMIN, a=b"0"), Place(Side.VM)
    exchange(admin, vm)
    does: dict[str, Callable[[], object]] = {
        "to the vm": partial(deliver, admin, vm),
        "to the admin": partial(deliver, vm, admin),
        "cut": lambda: (admin.reconnect(), vm.reconnect()),
    }
    for who, path, value in actions:
        if who in does:
            does[who]()
            continue
        place = admin if who == "admin" else vm
        if value is None:
            place.ask(Kind.RM, path)
        elif not path.endswith("/"):
            place.ask(Kind.WRITE, path, value)
    exchange(admin, vm)
    assert admin.entries() == vm.entries()


@given(st.binary(max_size=300))
def test_a_link_takes_any_bytes_or_raises_the_one_error(data: bytes) -> None:
    for place in (Place(Side.ADMIN), synced_admin(), Place(Side.VM), synced_vm()):
        try:
            place.link.receive(data)
        except PeerMisbehaved:
            continue
