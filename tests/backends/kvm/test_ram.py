"""Frame numbers of a guest are offsets in its memory's file, or refused."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.base import PeerMisbehaved
from backends.kvm.mapping import KvmMapper
from backends.kvm.ram import locate, ram_of
from guiproto.limits import PAGE_SIZE

GIB = 1 << 30


@given(st.integers(0, 0xFFFFFFFF), st.integers(1, 1 << 20), st.integers(64, 16384))
def test_every_answer_is_inside_the_memory(first: int, count: int, mib: int) -> None:
    size = mib << 20
    try:
        offset, length = locate(first, count, size)
    except PeerMisbehaved:
        return
    assert length == count * PAGE_SIZE
    assert offset >= 0
    assert offset + length <= size


@pytest.mark.parametrize(
    ("address", "size", "offset"),
    [
        (0, GIB, 0),
        (GIB - PAGE_SIZE, GIB, GIB - PAGE_SIZE),
        (0x7FFFF000, 8 * GIB, 0x7FFFF000),
        (4 * GIB, 8 * GIB, 2 * GIB),
        (10 * GIB - PAGE_SIZE, 8 * GIB, 8 * GIB - PAGE_SIZE),
    ],
)
def test_where_frames_lie(address: int, size: int, offset: int) -> None:
    assert locate(address // PAGE_SIZE, 1, size) == (offset, PAGE_SIZE)


@pytest.mark.parametrize(
    ("first", "count", "size"),
    [
        (GIB // PAGE_SIZE, 1, GIB),
        (GIB // PAGE_SIZE - 1, 2, GIB),
        (0x80000000 // PAGE_SIZE, 1, 8 * GIB),
        (0x7FFFF000 // PAGE_SIZE, 2, 8 * GIB),
        (10 * GIB // PAGE_SIZE, 1, 8 * GIB),
        (0xFFFFFFFF, 1, GIB),
        (4 * GIB // PAGE_SIZE - 1, 2, 8 * GIB),
    ],
)
def test_frames_that_are_no_memory(first: int, count: int, size: int) -> None:
    with pytest.raises(PeerMisbehaved, match="frame number"):
        locate(first, count, size)


def test_the_memory_of_another_process_is_found() -> None:
    script = (
        "import os\nfd = os.memfd_create('memory-backend-memfd')\nos.ftruncate(fd, 8192)\n"
        "os.pwrite(fd, b'guest', 4096)\nprint(flush=True)\ninput()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = ram_of(process.pid)
        assert found is not None
        with found.open("rb") as file:
            assert os.pread(file.fileno(), 5, 4096) == b"guest"
        process.communicate(b"\n")
    assert ram_of(process.pid) is None
    assert ram_of(os.getpid()) is None


def test_frames_are_mapped_live_and_only_where_the_memory_is_shared(tmp_path: Path) -> None:
    region, ram = tmp_path / "region", tmp_path / "ram"
    for path, size in ((region, 4 << 20), (ram, 1 << 20)):
        path.touch()
        os.truncate(path, size)
    plain = KvmMapper(region)
    with pytest.raises(PeerMisbehaved, match="MFNDUMP"):
        plain.map_frames(np.array([1], np.uint32))
    plain.close()
    mapper = KvmMapper(region, ram)
    mapped = mapper.map_frames(np.array([3, 4], np.uint32))
    scattered = mapper.map_frames(np.array([9, 3], np.uint32))
    with ram.open("r+b") as file:
        file.seek(3 * PAGE_SIZE)
        file.write(b"written later")
    assert mapped.region is not None
    assert mapped.copies == 0
    assert bytes(mapped.region.view()[mapped.offset : mapped.offset + 13]) == b"written later"
    assert scattered.view is not None
    assert bytes(scattered.view[PAGE_SIZE : PAGE_SIZE + 13]) == b"written later"
    with pytest.raises(PeerMisbehaved, match="frame number"):
        mapper.map_frames(np.array([256], np.uint32))
    mapper.close()
    mapped.release()
    scattered.release()
