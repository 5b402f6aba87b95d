"""Which memory a window is drawn into is known from nothing but the order in which Xwayland makes and ends things."""

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guiagent.sources.xwayland.compositor import Compositor
from guiproto.errors import PeerMisbehaved
from tests.guiagent.sources.xwayland.test_wire import request

REGISTRY, WL_COMPOSITOR, SHM, SEAT, OUTPUT = 2, 3, 4, 5, 6


class Client:
    """Talks as Xwayland does. Descriptors are made up: `closed` has those that were given back."""

    def __init__(self) -> None:
        self.closed: list[int] = []
        self.compositor = Compositor((800, 600), self.closed.append)
        self._ids = iter(range(10, 1_000_000))
        self._fds = iter(range(1000, 1_000_000))
        self.say(1, 1, REGISTRY)
        for name, interface, new in (
            (1, "wl_compositor", WL_COMPOSITOR), (2, "wl_shm", SHM), (3, "wl_seat", SEAT), (100, "wl_output", OUTPUT)
        ):  # fmt: skip
            self._bind(name, interface, new)

    def say(self, target: int, opcode: int, *words: int, fds: tuple[int, ...] = ()) -> None:
        self.compositor.receive(request(target, opcode, struct.pack(f"={len(words)}I", *words)), list(fds))

    def _bind(self, name: int, interface: str, new: int) -> None:
        text = interface.encode() + b"\0"
        padded = text + bytes(-len(text) % 4)
        body = struct.pack("=II", name, len(text)) + padded
        version = 1
        self.compositor.receive(request(REGISTRY, 0, body + struct.pack("=II", version, new)), [])

    def pixmap(self, width: int, height: int) -> tuple[int, int]:
        """Its buffer and its descriptor."""
        pool, buffer, fd = next(self._ids), next(self._ids), next(self._fds)
        self.say(SHM, 0, pool, width * height * 4, fds=(fd,))
        self.say(pool, 0, buffer, 0, width, height, width * 4, 1)
        self.say(pool, 1)
        return buffer, fd

    def surface(self) -> int:
        new = next(self._ids)
        self.say(WL_COMPOSITOR, 0, new)
        return new

    def commit(self, surface: int, buffer: int) -> int:
        """A frame; its callback."""
        callback = next(self._ids)
        self.say(surface, 1, buffer, 0, 0)
        self.say(surface, 9, 0, 0, 5, 5)
        self.say(surface, 3, callback)
        self.say(surface, 6)
        return callback

    def destroy(self, buffer: int) -> None:
        self.say(buffer, 0)

    def live(self, surface: int) -> int | None:
        """The descriptor of what it is drawn into."""
        live = self.compositor.surfaces[surface].live
        return None if live is None else live.fd

    def events(self) -> list[tuple[int, int]]:
        """Objects and opcodes of what it was told."""
        out, found = bytes(self.compositor.out), []
        self.compositor.out.clear()
        while out:
            target, word = struct.unpack_from("=II", out)
            found.append((target, word & 0xFFFF))
            out = out[word >> 16 :]
        return found


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client()
    made.events()
    yield made
    made.compositor.close()


def test_a_window_is_drawn_into_what_was_made_just_before_its_surface(client: Client) -> None:
    client.pixmap(50, 50)
    _, fd = client.pixmap(50, 50)
    surface = client.surface()
    client.pixmap(50, 50)
    assert client.live(surface) == fd
    assert list(client.compositor.changed) == [surface]


def test_what_was_made_long_before_is_not_a_windows(client: Client) -> None:
    client.pixmap(50, 50)
    client.say(1, 0, 500)
    assert client.live(client.surface()) is None


def test_another_size_is_what_was_made_just_before_the_old_one_ends(client: Client) -> None:
    old, _ = client.pixmap(50, 50)
    surface = client.surface()
    client.pixmap(60, 60)  # a back buffer of the program's
    copy, _ = client.pixmap(50, 50)
    client.commit(surface, copy)
    client.compositor.changed.clear()
    _, fd = client.pixmap(60, 60)
    client.destroy(copy)
    client.destroy(old)
    client.pixmap(60, 60)
    assert client.live(surface) == fd
    assert list(client.compositor.changed) == [surface]


def test_a_window_that_goes_is_drawn_nowhere(client: Client) -> None:
    buffer, _ = client.pixmap(50, 50)
    surface = client.surface()
    copy, _ = client.pixmap(50, 50)
    client.commit(surface, copy)
    client.destroy(buffer)
    assert client.live(surface) is None
    client.pixmap(50, 50)
    client.surface()
    client.compositor.want(surface, 50, 50)
    client.pixmap(50, 50)
    assert client.live(surface) is None, "its surface follows later, and takes nothing from others meanwhile"


def test_a_frame_is_released_at_once_and_never_said_to_be_shown(client: Client) -> None:
    client.pixmap(50, 50)
    surface = client.surface()
    copy, _ = client.pixmap(50, 50)
    callback = client.commit(surface, copy)
    told = client.events()
    assert (copy, 0) in told
    assert all(target != callback for target, _ in told)
    client.say(surface, 0)
    assert (callback, 0) in client.events(), "nobody waits for it any more, and its id is free again"


def test_a_pixmap_that_a_program_holds_on_to_hides_the_next_one_until_it_is_wanted(client: Client) -> None:
    client.pixmap(50, 50)
    surface = client.surface()
    client.pixmap(60, 60)
    _, wrong = client.pixmap(70, 70)
    client.compositor.want(surface, 80, 80)
    assert client.live(surface) != wrong
    _, right = client.pixmap(80, 80)
    client.pixmap(80, 80)  # the program's own, of the same size
    assert client.live(surface) == right


def test_descriptors_of_pixmaps_that_are_no_windows_are_few(client: Client) -> None:
    made = [client.pixmap(9, 9)[1] for _ in range(500)]
    assert len(made) - len(client.closed) <= 64
    assert client.closed == made[: len(client.closed)], "the oldest first"
    client.compositor.close()
    assert sorted(client.closed) == made


def test_nothing_stays_open_of_a_client_that_stops_in_the_middle(client: Client) -> None:
    client.pixmap(9, 9)
    client.surface()
    client.pixmap(9, 9)
    client.say(SHM, 0, 9000, 100, fds=(7,))
    client.say(SEAT, 1, 9001, fds=(8,))
    client.compositor.close()
    assert sorted(client.closed) == [7, 8, 1000, 1001]


def test_a_sync_is_answered_and_ids_are_free_again(client: Client) -> None:
    client.say(1, 0, 77)
    assert client.events() == [(77, 0), (1, 1)]


def test_the_screen_changes(client: Client) -> None:
    client.compositor.resize(1024, 768)
    assert [target for target, _ in client.events()] == [OUTPUT] * 4
    client.compositor.resize(1024, 768)
    assert not client.events()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((99, 0), "99, which there is none of"),
        ((SHM, 0, 50, 4), "descriptor is missing"),
        ((WL_COMPOSITOR, 0), "too short"),
        ((WL_COMPOSITOR, 0, SHM), "cannot be made"),
        ((WL_COMPOSITOR, 0, 0xFF000001), "cannot be made"),
    ],
)
def test_what_no_client_says_is_refused(client: Client, words: tuple[int, ...], problem: str) -> None:
    with pytest.raises(PeerMisbehaved, match=problem):
        client.say(*words)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 10), st.lists(st.integers(0, 40), max_size=6))))
def test_whatever_is_said_every_descriptor_is_closed_once(said: list[tuple[int, int, list[int]]]) -> None:
    client = Client()
    given_fds: list[int] = []
    try:
        for target, opcode, words in said:
            given_fds.append(5000 + len(given_fds))
            client.say(target, opcode, *words, fds=(given_fds[-1],))
    except PeerMisbehaved:
        pass
    client.compositor.close()
    assert sorted(client.closed) == sorted(given_fds)
