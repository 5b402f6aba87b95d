"""The GUI domain's side: what regions cost, how long they live, and how far pages may be scattered."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backends.base import PeerMisbehaved, SharedPages
from backends.conformance.pages import seen, write
from backends.local.mapping import LocalMapper
from backends.local.sharing import LocalSharer
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


def test_a_domain_that_shares_nothing_is_found_out_by_its_first_reference(socket_dir: Path) -> None:
    mapper = LocalMapper(socket_dir, 0, DOMID)
    with pytest.raises(PeerMisbehaved, match="page reference: the domain shares no pages"):
        mapper.map(np.zeros(1, np.uint32))
    mapper.close()


def test_scattered_pages_are_bounded_in_all_and_freed_by_release(
    sharer: LocalSharer, mapper: LocalMapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.local.mapping._MAX_RUNS_TOTAL", 30)
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
    monkeypatch.setattr("backends.local.mapping.joined_view", no_room)
    with pytest.raises(PeerMisbehaved, match="Cannot allocate memory"):
        mapper.map(pages.refs[::2].copy())


def no_room(_: object) -> memoryview:
    raise OSError(12, os.strerror(12))


def test_pages_of_two_regions_in_a_row_are_one_view(sharer: LocalSharer, mapper: LocalMapper) -> None:
    first, second = allocated(sharer, REGION_BYTES), allocated(sharer, REGION_BYTES)
    write(first, b"end", REGION_BYTES - PAGE_SIZE)
    write(second, b"begin")
    mapped = mapper.map(np.concatenate([first.refs[-1:], second.refs[:1]]))
    assert mapped.region is None
    assert seen(mapped)[:3] + seen(mapped)[PAGE_SIZE : PAGE_SIZE + 5] == b"endbegin"
    mapped.release()
