"""A path that appears is noticed, wherever on the way to it something appears first, and nothing else wakes up."""

import os
import resource
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.arrival import Arrival
from guiproto.errors import MachineCannot

DEADLINE = 10.0
QUIET = 0.05


def wakes(arrival: Arrival, timeout: float = DEADLINE) -> bool:
    poll = select.poll()
    for fd in arrival.filenos:
        poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


def settle(arrival: Arrival) -> None:
    """Look whenever it wakes up, until it is quiet; leaving one watch for another may cost one look more."""
    looks = 0
    while wakes(arrival, QUIET):
        arrival.begin_look()
        looks += 1
        assert looks < 10, "it wakes up for ever"


def appears(arrival: Arrival, path: Path) -> bool:
    """Look whenever it wakes up, and only then."""
    while wakes(arrival):
        arrival.begin_look()
        if path.exists():
            return True
    return False


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some" / "where" / "socket"


@pytest.fixture
def arrival(path: Path) -> Iterator[Arrival]:
    arrival = Arrival(path)
    assert wakes(arrival), "the first look is due at once"
    settle(arrival)
    yield arrival
    arrival.close()
    arrival.close()


def test_directories_appear_one_after_another(arrival: Arrival, path: Path) -> None:
    path.parent.parent.mkdir()
    assert wakes(arrival)
    settle(arrival)
    path.parent.mkdir()
    assert wakes(arrival)
    settle(arrival)
    path.touch()
    assert appears(arrival, path)


def test_everything_appears_at_once(arrival: Arrival, path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()
    assert appears(arrival, path)


def test_the_path_is_moved_into_place(arrival: Arrival, path: Path) -> None:
    path.parent.mkdir(parents=True)
    wakes(arrival)
    arrival.begin_look()
    other = path.parent.parent / "other"
    other.touch()
    other.rename(path)
    assert appears(arrival, path)


@pytest.mark.parametrize("move", [True, False])
def test_the_directory_is_replaced(arrival: Arrival, path: Path, move: bool) -> None:
    path.parent.mkdir(parents=True)
    for _ in range(3):
        assert wakes(arrival)
        settle(arrival)
        if move:
            path.parent.rename(path.parent.with_name(f"old{os.urandom(4).hex()}"))
        else:
            path.parent.rmdir()
        path.parent.mkdir()
    path.touch()
    assert appears(arrival, path)


def test_a_directory_that_appears_while_its_parent_is_not_watched_yet(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Arrival._watch_directory

    def watch_too_late(arrival: Arrival, directory: Path) -> bool:
        if directory == path.parent.parent:
            path.parent.mkdir(exist_ok=True)
        return watch(arrival, directory)

    path.parent.parent.mkdir()
    monkeypatch.setattr(Arrival, "_watch_directory", watch_too_late)
    arrival = Arrival(path)
    arrival.begin_look()
    path.touch()
    assert appears(arrival, path)
    arrival.close()


def test_a_file_in_the_place_of_the_directory_is_waited_out(arrival: Arrival, path: Path) -> None:
    path.parent.parent.mkdir()
    path.parent.touch()
    wakes(arrival)
    arrival.begin_look()
    path.parent.unlink()
    path.parent.mkdir()
    path.touch()
    assert appears(arrival, path)


def test_a_retry_wakes_up_without_any_event_and_later_each_time(arrival: Arrival) -> None:
    delays = []
    for _ in range(6):
        arrival.retry()
        poll = select.poll()
        poll.register(arrival.filenos[1], select.POLLIN)
        assert poll.poll(DEADLINE * 1000)
        arrival.begin_look()
        delays.append(arrival._delay)
    assert delays == [2_000_000 << index for index in range(6)]
    assert not wakes(arrival, QUIET)


def test_an_event_makes_retries_quick_again(arrival: Arrival, path: Path) -> None:
    arrival.retry()
    arrival.retry()
    assert arrival._delay == 4_000_000
    path.parent.mkdir(parents=True)
    wakes(arrival)
    arrival.begin_look()
    assert arrival._delay == 1_000_000


def test_retries_never_wait_longer_than_a_second(arrival: Arrival) -> None:
    for _ in range(40):
        arrival.retry()
    assert arrival._delay == 1_000_000_000


def test_no_descriptor_left_is_said_with_a_remedy(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 1, hard))
    try:
        with pytest.raises(MachineCannot, match="ulimit -n"):
            Arrival(tmp_path / "socket")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    fd = os.dup(0)
    os.close(fd)
    assert fd == lowest_free, "a descriptor leaked"


def test_a_relative_path_is_one_of_the_directory_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrival = Arrival(Path("socket"))
    monkeypatch.chdir("/")
    settle(arrival)
    (tmp_path / "socket").touch()
    assert appears(arrival, tmp_path / "socket")
    arrival.close()
