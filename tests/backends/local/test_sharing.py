"""The guest's side of page sharing: what it announces to whom, whose memory it takes, and where its limits are."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

from backends.base import MachineCannot, SharedPages
from backends.conformance.pages import seen, write
from backends.local.mapping import LocalMapper
from backends.local.sharing import ADD, ANNOUNCEMENT, MAGIC, MAX_REGIONS, MAX_TOTAL_BYTES, REMOVE, LocalSharer
from guiproto.limits import PAGE_SIZE
from shm.allocator import REGION_BYTES
from shm.region import Region

DOMID = 9
BOTH = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


@pytest.fixture
def sharer(socket_dir: Path) -> Iterator[LocalSharer]:
    sharer = LocalSharer(socket_dir, DOMID, 0)
    yield sharer
    sharer.close()
    assert list(socket_dir.iterdir()) == []


@contextmanager
def peer(socket_dir: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(5)
        connection.connect(str(socket_dir / f"pages.{DOMID}.0.sock"))
        yield connection


def news(connection: socket.socket) -> list[tuple[int, int, int]]:
    """(operation, region, size) of everything announced; descriptors are checked and closed."""
    found: list[tuple[int, int, int]] = []
    connection.setblocking(False)
    while True:
        try:
            message, fds, _, _ = socket.recv_fds(connection, 100, 10)
        except BlockingIOError:
            return found
        magic, operation, number, zero, size = ANNOUNCEMENT.unpack(message)
        assert (magic, zero, len(fds)) == (MAGIC, 0, operation == ADD)
        for fd in fds:
            assert os.fstat(fd).st_size == size
            assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
            os.close(fd)
        found.append((operation, number, size))


def memfd(size: int, seals: int = fcntl.F_SEAL_SHRINK) -> int:
    fd = os.memfd_create("program", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def test_references_are_a_region_number_and_a_page_index(sharer: LocalSharer) -> None:
    first = sharer.allocate(2 * PAGE_SIZE)
    second = sharer.allocate(PAGE_SIZE)
    other = sharer.allocate(REGION_BYTES)
    assert first.refs.tolist() == [0, 1]
    assert second.refs.tolist() == [2]
    assert second.region is first.region
    assert other.refs[[0, -1]].tolist() == [1 << 20, (1 << 20) + REGION_BYTES // PAGE_SIZE - 1]


def test_each_region_is_announced_once_to_each_session(sharer: LocalSharer, socket_dir: Path) -> None:
    sharer.allocate(1)
    with peer(socket_dir) as first:
        sharer.publish()
        sharer.publish()
        assert news(first) == [(ADD, 0, REGION_BYTES)]
        sharer.allocate(1)
        sharer.publish()
        assert news(first) == []
        big = sharer.allocate(2 * REGION_BYTES)
        sharer.publish()
        assert news(first) == [(ADD, 1, 2 * REGION_BYTES)]
        sharer.release(big)
        sharer.publish()
        assert news(first) == [(REMOVE, 1, 0)]
        with peer(socket_dir) as second:
            sharer.publish()
            assert news(second) == [(ADD, 0, REGION_BYTES)]
            assert first.recv(1) == b"", "the old session is over"


def test_what_came_and_went_between_two_news_is_never_told(sharer: LocalSharer, socket_dir: Path) -> None:
    with peer(socket_dir) as connection:
        sharer.publish()
        sharer.release(sharer.allocate(2 * REGION_BYTES))
        sharer.publish()
        assert news(connection) == []


def test_of_several_sessions_the_latest_counts(sharer: LocalSharer, socket_dir: Path) -> None:
    sharer.allocate(1)
    with peer(socket_dir) as first, peer(socket_dir) as second:
        sharer.publish()
        assert first.recv(1) == b""
        assert news(second) == [(ADD, 0, REGION_BYTES)]


def test_a_session_that_is_over_is_no_error(sharer: LocalSharer, socket_dir: Path) -> None:
    with peer(socket_dir):
        sharer.publish()
    sharer.allocate(1)
    sharer.publish()
    with peer(socket_dir) as connection:
        sharer.publish()
        assert news(connection) == [(ADD, 0, REGION_BYTES)]


def test_a_new_session_hears_nothing_of_what_is_gone(sharer: LocalSharer, socket_dir: Path) -> None:
    with peer(socket_dir):
        pages = sharer.allocate(2 * REGION_BYTES)
        sharer.publish()
        sharer.release(pages)
    with peer(socket_dir) as connection:
        sharer.publish()
        assert news(connection) == []


def test_a_peer_that_takes_no_news_is_said_and_gets_all_of_it_later(sharer: LocalSharer, socket_dir: Path) -> None:
    fd = memfd(PAGE_SIZE)

    def come_and_go() -> None:
        for _ in range(10_000):
            pages = sharer.adopt(fd, 0, PAGE_SIZE)
            try:
                sharer.publish()
            finally:
                sharer.release(pages)

    with peer(socket_dir) as connection:
        with pytest.raises(MachineCannot, match="takes no news"):
            come_and_go()
        told = news(connection)
        assert len(told) > 2 * MAX_REGIONS
        sharer.publish()
        told += news(connection)
    assert [operation for operation, _, _ in told] == [ADD, REMOVE] * (len(told) // 2)
    os.close(fd)


def test_every_region_can_be_told_at_once(sharer: LocalSharer, socket_dir: Path) -> None:
    fds = [memfd(PAGE_SIZE) for _ in range(MAX_REGIONS)]
    pages = [sharer.adopt(fd, 0, PAGE_SIZE) for fd in fds]
    mapper = LocalMapper(socket_dir, 0, DOMID)
    sharer.publish()
    for each in pages:
        mapper.map(each.refs).release()
    with pytest.raises(MachineCannot, match=f"{MAX_REGIONS} regions"):
        sharer.allocate(1)
    with ExitStack() as stack:
        for fd in [*fds, extra := memfd(PAGE_SIZE)]:
            stack.callback(os.close, fd)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(MachineCannot, match=f"{MAX_REGIONS} regions"):
            sharer.adopt(extra, 0, PAGE_SIZE)
        assert len(os.listdir("/proc/self/fd")) == before
    sharer.release(pages[0])
    sharer.allocate(1)
    mapper.close()


def test_the_total_is_bounded_and_what_is_released_counts_no_more(sharer: LocalSharer) -> None:
    big = [sharer.allocate(4 << 30) for _ in range(MAX_TOTAL_BYTES >> 32)]
    with pytest.raises(MachineCannot, match="16384 MiB are shared"):
        sharer.allocate(1)
    sharer.release(big.pop())
    sharer.allocate(1)


def test_a_region_is_at_most_4_gib(sharer: LocalSharer) -> None:
    with pytest.raises(MachineCannot, match="4 GiB"):
        sharer.allocate((4 << 30) + 1)


def test_region_numbers_go_round(sharer: LocalSharer) -> None:
    stays = sharer.allocate(1)
    fd = memfd(PAGE_SIZE)
    numbers = []
    for _ in range(4097):
        pages = sharer.adopt(fd, 0, PAGE_SIZE)
        numbers.append(int(pages.refs[0]) >> 20)
        sharer.release(pages)
    assert numbers == [*range(1, 4096), 1, 2]
    assert stays.refs.tolist() == [0]
    os.close(fd)


def test_only_one_live_process_shares_for_a_pair(sharer: LocalSharer, socket_dir: Path) -> None:
    with pytest.raises(MachineCannot, match="page sharing of domain 9 with domain 0 is in use"):
        LocalSharer(socket_dir, DOMID, 0)
    LocalSharer(socket_dir, DOMID, 1).close()
    sharer.publish()


# --- memory that a program allocated ---


def test_a_programs_memory_is_shared_without_a_copy(sharer: LocalSharer, socket_dir: Path) -> None:
    fd = memfd(5 * PAGE_SIZE)
    mapper = LocalMapper(socket_dir, 0, DOMID)
    pages = sharer.adopt(fd, 2 * PAGE_SIZE, 2 * PAGE_SIZE)
    sharer.publish()
    mapped = mapper.map(pages.refs)
    os.pwrite(fd, b"drawn", 2 * PAGE_SIZE)
    assert seen(mapped)[:5] == b"drawn"
    assert mapped.copies == 0
    write(sharer, pages, b"here")
    assert os.pread(fd, 5, 2 * PAGE_SIZE) == b"heren"
    sharer.release(pages)
    os.close(fd)
    mapped.release()
    mapper.close()


def test_the_same_memory_is_one_region_until_its_last_release(sharer: LocalSharer) -> None:
    fd = memfd(4 * PAGE_SIZE)
    closed: list[Region] = []
    one = sharer.adopt(fd, 0, PAGE_SIZE)
    two = sharer.adopt(fd, PAGE_SIZE, 3 * PAGE_SIZE)
    one.region.on_close(closed.append)
    assert one.region is two.region
    sharer.release(one)
    assert closed == []
    sharer.release(two)
    assert closed == [one.region]
    assert os.fstat(fd).st_size == 4 * PAGE_SIZE, "the program's descriptor is its own"
    os.close(fd)


def test_a_size_that_is_no_whole_page_is_made_one(sharer: LocalSharer) -> None:
    fd = memfd(100 * 100 * 4)
    pages = sharer.adopt(fd, 0, 100 * 100 * 4)
    assert len(pages.refs) == 10
    assert os.fstat(fd).st_size == pages.region.size == 10 * PAGE_SIZE
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) & BOTH == BOTH
    os.close(fd)


@pytest.mark.parametrize(
    ("size", "seals", "why"),
    [
        (PAGE_SIZE, 0, "may shrink"),
        (PAGE_SIZE, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL, "may grow"),
        (100, BOTH, "whole pages"),
        (0, BOTH, "0 bytes"),
    ],
)
def test_memory_that_no_mapper_would_take_is_refused(sharer: LocalSharer, size: int, seals: int, why: str) -> None:
    fd = memfd(size, seals)
    with pytest.raises(MachineCannot, match=why):
        sharer.adopt(fd, 0, PAGE_SIZE)
    os.close(fd)


def test_a_plain_file_is_refused(sharer: LocalSharer, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(PAGE_SIZE)
        # A file on tmpfs, as /tmp often is, has seals, but none that would keep it from shrinking.
        with pytest.raises(MachineCannot, match=r"not a memfd|may shrink"):
            sharer.adopt(file.fileno(), 0, PAGE_SIZE)


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 0), (0, -1), (1, PAGE_SIZE), (-PAGE_SIZE, PAGE_SIZE), (PAGE_SIZE, 2 * PAGE_SIZE)]
)
def test_a_range_outside_is_refused_and_nothing_is_shared(sharer: LocalSharer, offset: int, length: int) -> None:
    fd = memfd(2 * PAGE_SIZE)
    with pytest.raises(MachineCannot, match="whole pages"):
        sharer.adopt(fd, offset, length)
    assert sharer.allocate(1).refs.tolist() == [0], "no region number was taken"
    os.close(fd)


def test_closing_closes_what_is_adopted(socket_dir: Path) -> None:
    sharer = LocalSharer(socket_dir, DOMID, 0)
    before = len(os.listdir("/proc/self/fd"))
    fd = memfd(PAGE_SIZE)
    pages: SharedPages = sharer.adopt(fd, 0, PAGE_SIZE)
    os.close(fd)
    sharer.close()
    assert pages.region.fd == -1
    assert len(os.listdir("/proc/self/fd")) < before
    assert pages.refs.dtype == np.uint32
