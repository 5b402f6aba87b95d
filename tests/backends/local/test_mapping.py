"""The GUI domain's side: what regions cost, how long they live, and how far pages may be scattered."""

import contextlib
import fcntl
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.base import PeerMisbehaved, SharedPages
from backends.conformance.pages import seen, write
from backends.conformance.waiting import prompt
from backends.local.mapping import LocalMapper
from backends.local.sharing import ANNOUNCEMENT, MAGIC, LocalSharer, socket_path
from guiproto.limits import MAX_REFS, PAGE_SIZE
from shm.allocator import REGION_BYTES
from shm.region import Region

DOMID = 9


@pytest.fixture
def sharer(socket_dir: Path) -> Iterator[LocalSharer]:
    sharer = LocalSharer(socket_dir, DOMID, 0)
    yield sharer
    sharer.close()


@pytest.fixture
def mapper(sharer: LocalSharer, socket_dir: Path) -> Iterator[LocalMapper]:
    sharer.publish()
    mapper = LocalMapper(socket_dir, 0, DOMID)
    yield mapper
    mapper.close()


def allocated(sharer: LocalSharer, length: int) -> SharedPages:
    pages = sharer.allocate(length)
    sharer.publish()
    return pages


def test_buffers_of_a_region_are_one_descriptor_and_no_copy(sharer: LocalSharer, mapper: LocalMapper) -> None:
    mappings = [mapper.map(allocated(sharer, 1000 * size).refs) for size in range(1, 100)]
    assert len({mapping.region for mapping in mappings}) == 1
    assert {mapping.copies for mapping in mappings} == {0}


def test_the_largest_window_is_mapped_without_a_copy(sharer: LocalSharer, mapper: LocalMapper) -> None:
    mapped = mapper.map(allocated(sharer, MAX_REFS * PAGE_SIZE).refs)
    assert (mapped.copies, mapped.length) == (0, MAX_REFS * PAGE_SIZE)


def test_a_removed_region_lives_until_its_last_mapping_is_released(sharer: LocalSharer, mapper: LocalMapper) -> None:
    pages = allocated(sharer, 2 * REGION_BYTES)
    one, two = mapper.map(pages.refs[:1]), mapper.map(pages.refs[-9:])
    assert two.region is not None
    closed: list[Region] = []
    two.region.on_close(closed.append)
    sharer.release(pages)
    other = allocated(sharer, 1)
    mapper.map(other.refs).release()
    with pytest.raises(PeerMisbehaved, match="region 0 is not shared"):
        mapper.map(pages.refs[:1])
    two.release()
    two.release()
    assert closed == []
    one.release()
    assert closed == [two.region]


def test_a_region_that_nobody_uses_is_closed_when_it_is_removed(sharer: LocalSharer, mapper: LocalMapper) -> None:
    pages = allocated(sharer, 2 * REGION_BYTES)
    mapped = mapper.map(pages.refs[:1])
    region = mapped.region
    assert region is not None
    mapped.release()
    assert region.fd >= 0, "it may be asked for again"
    sharer.release(pages)
    mapper.map(allocated(sharer, 1).refs)
    assert region.fd == -1


def test_regions_that_are_gone_count_for_nothing(sharer: LocalSharer, mapper: LocalMapper) -> None:
    for _ in range(8):
        pages = allocated(sharer, 4 << 30)
        mapper.map(pages.refs[:1]).release()
        sharer.release(pages)


def test_regions_that_are_gone_but_in_use_are_bounded(
    sharer: LocalSharer, mapper: LocalMapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.local.mapping.MAX_REGIONS", 2)
    for _ in range(4):
        pages = allocated(sharer, 2 * REGION_BYTES)
        mapper.map(pages.refs[:1])
        sharer.release(pages)
    with pytest.raises(PeerMisbehaved, match="more than 2 regions"):
        mapper.map(allocated(sharer, 1).refs)


def test_a_domain_that_shares_nothing_is_found_out_by_its_first_reference(socket_dir: Path) -> None:
    mapper = LocalMapper(socket_dir, 0, DOMID)
    with pytest.raises(PeerMisbehaved, match="page reference: the domain shares no pages"):
        mapper.map(np.zeros(1, np.uint32))
    mapper.close()


def test_scattered_pages_are_bounded_in_all_and_freed_by_release(
    sharer: LocalSharer, mapper: LocalMapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.runs._MAX_RUNS_TOTAL", 30)
    pages = allocated(sharer, 20 * PAGE_SIZE)
    scattered = pages.refs[::2].copy()
    mappings = [mapper.map(scattered) for _ in range(3)]
    with pytest.raises(PeerMisbehaved, match="scattered over 10 runs"):
        mapper.map(scattered)
    mappings[0].release()
    mappings[0].release()
    mapper.map(scattered)
    with pytest.raises(PeerMisbehaved, match="scattered over 10 runs"):
        mapper.map(scattered)


def test_a_machine_without_room_for_a_mapping_ends_only_the_session(
    sharer: LocalSharer, mapper: LocalMapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = allocated(sharer, 20 * PAGE_SIZE)
    mapper.map(pages.refs)
    monkeypatch.setattr("backends.runs.joined_view", no_room)
    with pytest.raises(PeerMisbehaved, match="Cannot allocate memory"):
        mapper.map(pages.refs[::2].copy())


def no_room(_: object) -> memoryview:
    raise OSError(12, os.strerror(12))


def test_pages_of_two_regions_in_a_row_are_one_view(sharer: LocalSharer, mapper: LocalMapper) -> None:
    first, second = allocated(sharer, REGION_BYTES), allocated(sharer, REGION_BYTES)
    write(sharer, first, b"end", REGION_BYTES - PAGE_SIZE)
    write(sharer, second, b"begin")
    mapped = mapper.map(np.concatenate([first.refs[-1:], second.refs[:1]]))
    assert mapped.region is None
    assert seen(mapped)[:3] + seen(mapped)[PAGE_SIZE : PAGE_SIZE + 5] == b"endbegin"
    mapped.release()


def test_what_is_on_its_way_when_a_mapper_is_closed_is_not_waited_for(socket_dir: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(socket_path(socket_dir, DOMID, 0)))
        listener.listen()
        mapper = LocalMapper(socket_dir, 0, DOMID)
        with listener.accept()[0] as connection, socket.create_server(("127.0.0.1", 0)) as server:
            with socket.create_connection(server.getsockname()) as lingering:
                lingering.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
                lingering.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        lingering.send(bytes(1 << 16))
                socket.send_fds(connection, [b"news"], [lingering.fileno()])
            with prompt("closing a mapper"):
                mapper.close()


# --- anything at all ---

PAGES = 8
"""Of two regions, numbers 0 and 1. Page p of region r begins with the bytes (r, p)."""

references = st.lists(
    st.one_of(
        st.integers(0, 1).flatmap(lambda r: st.integers(0, PAGES).map(lambda p: r << 20 | p)),
        st.integers(0, 0xFFFFFFFF),
    ),
    max_size=20,
) | st.tuples(st.integers(0, 2 << 20), st.integers(0, PAGES)).map(lambda run: list(range(run[0], sum(run))))


@given(refs=references)
@settings(deadline=None)
def test_any_references_are_those_pages_in_that_order_or_the_peers_fault(refs: list[int]) -> None:
    with tempfile.TemporaryDirectory(prefix="vchan") as name, closing(LocalSharer(Path(name), DOMID, 0)) as sharer:
        for region in range(2):
            fd = os.memfd_create("program", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            for page in range(PAGES):
                os.pwrite(fd, bytes([region, page]).ljust(PAGE_SIZE), page * PAGE_SIZE)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            sharer.adopt(fd, 0, PAGES * PAGE_SIZE)
            os.close(fd)
        with closing(LocalMapper(Path(name), 0, DOMID)) as mapper:
            sharer.publish()
            good = bool(refs) and all(ref >> 20 < 2 and ref & 0xFFFFF < PAGES for ref in refs)
            try:
                mapped = mapper.map(np.array(refs, np.uint32))
            except PeerMisbehaved:
                assert not good
            else:
                assert good
                data = seen(mapped)
                found = [data[at] << 20 | data[at + 1] for at in range(0, len(data), PAGE_SIZE)]
                assert found == refs
                mapped.release()


announcements = st.binary(max_size=2 * ANNOUNCEMENT.size) | st.builds(
    ANNOUNCEMENT.pack,
    st.just(MAGIC),
    st.integers(0, 3),
    st.integers(0, 3) | st.integers(0, 0xFFFFFFFF),
    st.integers(0, 1),
    st.sampled_from([0, PAGE_SIZE, 1 << 32, 1 << 63]),
)


@given(said=st.lists(st.tuples(announcements, st.integers(0, 3)), max_size=10))
@settings(deadline=None)
def test_any_announcements_are_news_or_the_peers_fault_and_leak_nothing(said: list[tuple[bytes, int]]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with tempfile.TemporaryDirectory(prefix="vchan") as name, closing(Region.create(PAGE_SIZE)) as region:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(socket_path(Path(name), DOMID, 0)))
            listener.listen()
            with closing(LocalMapper(Path(name), 0, DOMID)) as mapper, listener.accept()[0] as connection:
                for message, fds in said:
                    socket.send_fds(connection, [message], [region.fd] * fds)
                try:
                    mapped = mapper.map(np.zeros(1, np.uint32))
                except PeerMisbehaved:
                    pass
                else:
                    assert mapped.length == PAGE_SIZE
                    mapped.release()
    assert len(os.listdir("/proc/self/fd")) == before
