"""Regions: what is sealed stays sealed, what is read-only cannot be written, and foreign descriptors are distrusted."""

import contextlib
import fcntl
import mmap
import os
import resource
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from guiproto.errors import MachineCannot, PeerMisbehaved
from guiproto.limits import PAGE_SIZE
from shm.region import Region, close_untrusted, joined_view

SIZE = 8 * PAGE_SIZE


def test_a_new_region_is_sparse_and_keeps_its_size() -> None:
    region = Region.create(1 << 30)
    assert os.fstat(region.fd).st_blocks == 0
    for size in (0, 2 << 30):
        with pytest.raises(PermissionError):
            os.ftruncate(region.fd, size)
    region.close()


def test_what_is_written_through_one_view_is_seen_through_another() -> None:
    region = Region.create(SIZE)
    reader, writer = region.view(), region.view(writable=True)
    writer[5000:5005] = b"pixel"
    assert bytes(reader[5000:5005]) == b"pixel"
    assert reader.readonly
    region.close()
    assert bytes(reader[5000:5005]) == b"pixel"


def test_nobody_can_write_through_a_read_only_descriptor() -> None:
    region = Region.create(SIZE)
    fd = region.read_only_fd()
    with pytest.raises(PermissionError):
        mmap.mmap(fd, SIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    with pytest.raises(OSError, match="descriptor"):
        os.write(fd, b"x")
    os.close(fd)
    region.close()


def test_discarded_pages_are_given_back_and_read_as_zero() -> None:
    region = Region.create(SIZE)
    view = region.view(writable=True)
    view[:] = b"\xff" * SIZE
    before = os.fstat(region.fd).st_blocks
    region.discard(PAGE_SIZE, 2 * PAGE_SIZE)
    assert os.fstat(region.fd).st_blocks == before - 2 * PAGE_SIZE // 512
    assert bytes(view[PAGE_SIZE - 1 : PAGE_SIZE + 1]) == b"\xff\x00"
    region.close()


def test_closing_tells_those_who_asked_once() -> None:
    region = Region.create(SIZE)
    told: list[Region] = []
    region.on_close(told.append)
    region.close()
    region.close()
    assert told == [region]


def memfd(size: int, seals: int) -> int:
    fd = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


BOTH = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


def test_a_sealed_memfd_is_adopted() -> None:
    region = Region.adopt_untrusted(memfd(SIZE, BOTH), SIZE)
    assert region.size == SIZE
    region.close()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: (memfd(SIZE, 0), SIZE), id="unsealed"),
        pytest.param(lambda: (memfd(SIZE, fcntl.F_SEAL_SHRINK), SIZE), id="may grow"),
        pytest.param(lambda: (memfd(SIZE, fcntl.F_SEAL_GROW), SIZE), id="may shrink"),
        pytest.param(lambda: (memfd(SIZE, BOTH), SIZE + PAGE_SIZE), id="announced larger"),
        pytest.param(lambda: (memfd(SIZE, BOTH), SIZE - PAGE_SIZE), id="announced smaller"),
        pytest.param(lambda: (memfd(SIZE + 1, BOTH), SIZE + 1), id="part of a page"),
        pytest.param(lambda: (memfd(0, BOTH), 0), id="empty"),
        pytest.param(lambda: (os.open("/dev/zero", os.O_RDWR), SIZE), id="device"),
        pytest.param(lambda: (os.open("/", os.O_RDONLY), SIZE), id="directory"),
        pytest.param(lambda: (os.open("/", os.O_PATH), SIZE), id="O_PATH"),
        pytest.param(lambda: (os.eventfd(0), SIZE), id="eventfd"),
    ],
)
def test_anything_else_is_refused_and_closed(make: Callable[[], tuple[int, int]]) -> None:
    fd, size = make()
    with pytest.raises(PeerMisbehaved):
        Region.adopt_untrusted(fd, size)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)


def test_closing_a_socket_of_somebody_else_does_not_wait_for_its_data() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    sender.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sender.send(bytes(1 << 16))
    begun = time.monotonic()
    close_untrusted(sender.detach())
    assert time.monotonic() - begun < 30
    receiver.close()


@pytest.mark.parametrize("path", ["/dev/null", "/"])
def test_closing_what_is_no_socket_closes_it(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    close_untrusted(fd)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)


def test_joined_pages_are_live_read_only_and_outlive_their_regions() -> None:
    first, second = Region.create(SIZE), Region.create(SIZE)
    view = joined_view([(first, 3 * PAGE_SIZE, PAGE_SIZE), (second, 0, 2 * PAGE_SIZE), (first, 0, PAGE_SIZE)])
    writers = first.view(writable=True), second.view(writable=True)
    for writer, byte in zip(writers, b"ab", strict=True):
        writer[:] = bytes([byte]) * SIZE
    first.close()
    second.close()
    assert bytes(view) == b"a" * PAGE_SIZE + b"b" * 2 * PAGE_SIZE + b"a" * PAGE_SIZE
    assert view.readonly
    writers[1][PAGE_SIZE] = 99
    assert view[2 * PAGE_SIZE] == 99


def test_joined_pages_are_unmapped_with_the_view() -> None:
    region = Region.create(SIZE, name="joined-once")
    view = joined_view([(region, 0, PAGE_SIZE), (region, 2 * PAGE_SIZE, PAGE_SIZE)])
    assert Path("/proc/self/maps").read_text().count("joined-once") == 2
    view.release()
    del view
    assert "joined-once" not in Path("/proc/self/maps").read_text()
    region.close()


def test_a_range_that_cannot_be_mapped_is_an_error_and_leaves_nothing() -> None:
    region = Region.create(SIZE, name="joined-never")
    closed = os.open("/dev/null", os.O_RDONLY)
    os.close(closed)
    with pytest.raises(OSError, match="descriptor"):
        joined_view([(region, 0, PAGE_SIZE), (Region(closed, SIZE), 0, PAGE_SIZE)])
    assert "joined-never" not in Path("/proc/self/maps").read_text()
    region.close()


def test_no_descriptor_left_is_said_with_a_remedy() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(MachineCannot) as caught:
            Region.create(SIZE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "ulimit -n" in caught.value.remedy
