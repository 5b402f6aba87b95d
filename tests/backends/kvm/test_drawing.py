"""Memory that programs draw into: where the guest finds its pages, and which of them the host maps."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import MachineCannot, MappedPages, PeerMisbehaved
from backends.kvm.drawing import EXTENT, LAST, MAX_RUNS, MERGED, Drawing, pages_in
from backends.kvm.mapping import KvmMapper
from guiproto.limits import PAGE_SIZE
from tests.backends.kvm.line import backend

REGION_PAGES = (4 << 20) // PAGE_SIZE
DRAWING_PAGES = 16


def extents(*rows: tuple[int, int, int, int]) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    """Of pages: in the file, on the device, how many, flags."""
    return np.array([(a * PAGE_SIZE, b * PAGE_SIZE, n * PAGE_SIZE, flags) for a, b, n, flags in rows], EXTENT)


@given(st.data())
def test_pages_are_those_of_the_extents(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))
    places = data.draw(st.permutations(range(len(lengths))))
    rows, pages, at = [], [], 0
    for place, count in zip(places, lengths, strict=True):
        rows.append((at, 1000 + 10 * place, count, MERGED))
        pages += [1000 + 10 * place + page for page in range(count)]
        at += count
    first = data.draw(st.integers(0, at - 1))
    count = data.draw(st.integers(1, at - first))
    # The kernel tells only of what it was asked for, but of that in whole extents.
    told = [row for row in rows if row[0] < first + count and row[0] + row[2] > first]
    found = pages_in(extents(*told), first * PAGE_SIZE, count * PAGE_SIZE)
    assert found.dtype == np.uint32
    assert found.tolist() == pages[first : first + count]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="nothing"),
        pytest.param([(0, 10, 3, LAST)], id="too short"),
        pytest.param([(1, 10, 4, LAST)], id="a hole first"),
        pytest.param([(0, 10, 2, 0), (3, 20, 2, LAST)], id="a hole"),
        pytest.param([(0, 10, 2, 0), (2, 20, 2, LAST | 0x800)], id="not written yet"),
        pytest.param([(0, 10, 4, 0x2 | 0x4)], id="no place yet"),
        pytest.param([(0, 10, 4, 0x200)], id="within the inode"),
        pytest.param([(0, 10, 4, 0x8)], id="compressed"),
    ],
)
def test_what_is_not_wholly_there_has_no_pages(rows: list[tuple[int, int, int, int]]) -> None:
    with pytest.raises(MachineCannot, match="no place of its own"):
        pages_in(extents(*rows), 0, 4 * PAGE_SIZE)


def test_what_begins_within_a_page_has_no_pages() -> None:
    with pytest.raises(MachineCannot, match="no place of its own"):
        pages_in(np.array([(0, 512, 4 * PAGE_SIZE, 0)], EXTENT), 0, 4 * PAGE_SIZE)


def test_what_is_scattered_too_much_has_no_pages() -> None:
    rows = [(page, 2 * page, 1, 0) for page in range(MAX_RUNS + 1)]
    with pytest.raises(MachineCannot, match="1025 pieces"):
        pages_in(extents(*rows), 0, PAGE_SIZE)


def test_only_files_of_that_file_system_are_adopted(tmp_path: Path) -> None:
    drawing = Drawing(tmp_path, REGION_PAGES)
    memfd, pipe, directory = os.memfd_create("x"), os.pipe(), os.open(tmp_path, os.O_RDONLY)
    os.ftruncate(memfd, PAGE_SIZE)
    for fd in (memfd, *pipe, directory):
        with pytest.raises(MachineCannot, match="outside of what the host sees"):
            drawing.adopt(fd, 0, PAGE_SIZE)
        os.close(fd)
    with (tmp_path / "file").open("w+b") as file:
        file.truncate(PAGE_SIZE + 1)
        for offset, length in ((1, PAGE_SIZE), (0, 0), (-PAGE_SIZE, PAGE_SIZE), (0, 3 * PAGE_SIZE), (8192, 1)):
            with pytest.raises(MachineCannot, match="give whole pages"):
                drawing.adopt(file.fileno(), offset, length)
        file.truncate(0)
        with pytest.raises(MachineCannot, match="give whole pages"):
            drawing.adopt(file.fileno(), 0, PAGE_SIZE)
    with pytest.raises(MachineCannot, match="not there"):
        Drawing(tmp_path / "nothing", REGION_PAGES)


def test_a_guest_without_such_memory_adopts_nothing(socket_dir: Path) -> None:
    vm = backend(socket_dir, "6000:0")
    assert not vm.adopts
    sharer = vm.sharer(9, 0)
    with pytest.raises(MachineCannot, match="cannot share memory that it did not allocate"):
        sharer.adopt(0, 0, PAGE_SIZE)
    sharer.close()


# --- the host's side ---


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Region and drawing, each page of which begins with its number."""
    paths = tmp_path / "region", tmp_path / "drawing"
    for path, pages in zip(paths, (REGION_PAGES, DRAWING_PAGES), strict=True):
        words = np.zeros((pages, PAGE_SIZE // 4), np.uint32)
        words[:, 0] = np.arange(pages) + (1 << 20) * (path.name == "drawing")
        path.write_bytes(words.tobytes())
    return paths


def first_words(mapped: MappedPages) -> list[int]:
    view = mapped.view if mapped.region is None else mapped.region.view()
    assert view is not None
    words = np.frombuffer(view[mapped.offset : mapped.offset + mapped.length], np.uint32)
    return [int(word) & ~(1 << 20) for word in words[:: PAGE_SIZE // 4]]


def test_pages_behind_the_region_are_those_of_the_drawing(files: tuple[Path, Path]) -> None:
    mapper = KvmMapper(files[0], drawing=files[1])
    mapped = mapper.map(np.arange(REGION_PAGES, REGION_PAGES + DRAWING_PAGES, dtype=np.uint32))
    again = mapper.map(np.arange(REGION_PAGES + 3, REGION_PAGES + 5, dtype=np.uint32))
    assert (mapped.copies, again.copies) == (0, 0)
    assert again.region is mapped.region, "it is attached once"
    assert first_words(mapped) == list(range(DRAWING_PAGES))
    assert first_words(again) == [3, 4]
    scattered = mapper.map(np.array([REGION_PAGES + 7, REGION_PAGES + 2, REGION_PAGES - 1], np.uint32))
    assert scattered.copies == 1
    assert first_words(scattered) == [7, 2, REGION_PAGES - 1]
    mapper.close()
    assert first_words(mapped) == list(range(DRAWING_PAGES)), "what is mapped outlives the session"
    for held in (mapped, again, scattered):
        held.release()


@pytest.mark.parametrize(
    ("first", "count"),
    [
        pytest.param(REGION_PAGES - 1, 2, id="from the region into the drawing"),
        pytest.param(REGION_PAGES, DRAWING_PAGES + 1, id="out of it"),
        pytest.param(REGION_PAGES + DRAWING_PAGES, 1, id="behind it"),
        pytest.param(0xFFFFFFFF, 1, id="the last number"),
        pytest.param(0, 1, id="the vchans"),
    ],
)
def test_references_of_neither(files: tuple[Path, Path], first: int, count: int) -> None:
    mapper = KvmMapper(files[0], drawing=files[1])
    refs = np.arange(first, first + count, dtype=np.uint64).astype(np.uint32)
    with pytest.raises(PeerMisbehaved, match="page reference"):
        mapper.map(refs)
    mapper.close()


def test_a_vm_without_such_memory_has_nothing_behind_its_region(files: tuple[Path, Path]) -> None:
    mapper = KvmMapper(files[0])
    with pytest.raises(PeerMisbehaved, match="page reference"):
        mapper.map(np.array([REGION_PAGES], np.uint32))
    mapper.close()


def test_the_file_is_gone(files: tuple[Path, Path]) -> None:
    files[1].unlink()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(MachineCannot, match="cannot open the VM's memory"):
        KvmMapper(files[0], drawing=files[1])
    assert len(os.listdir("/proc/self/fd")) == before
