"""A parcel is what its sender put in, for good; what is none is recognised without reading it."""

import fcntl
import os
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid import parcel


@given(st.binary(min_size=1, max_size=300_000))
def test_what_is_packed_is_unpacked(content: bytes) -> None:
    fd = parcel.pack(content)
    assert parcel.is_sound(fd, len(content), len(content))
    assert parcel.unpack(fd) == content
    os.close(fd)


def test_nobody_can_change_it() -> None:
    fd = parcel.pack(b"text")
    with pytest.raises(PermissionError):
        os.pwrite(fd, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    with pytest.raises(PermissionError):
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, 0)
    os.close(fd)


@pytest.mark.parametrize(("size", "most"), [(3, 9), (5, 9), (4, 3), (0, 9), (-4, 9)])
def test_a_size_that_is_not_its_own_or_too_much(size: int, most: int) -> None:
    fd = parcel.pack(b"text")
    assert parcel.is_sound(fd, 4, 4)
    assert not parcel.is_sound(fd, size, most)
    os.close(fd)


def _memory(seals: int) -> int:
    fd = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.write(fd, b"text")
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def _pipe() -> int:
    reader, writer = os.pipe()
    os.close(writer)
    return reader


@pytest.mark.parametrize(
    "make",
    [
        lambda: os.open("/dev/zero", os.O_RDONLY),
        lambda: os.open(__file__, os.O_RDONLY),
        _pipe,
        lambda: _memory(fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE),
        lambda: _memory(fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL),
        lambda: _memory(fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL),
    ],
    ids=["device", "file", "pipe", "more seals", "writable", "shrinks"],
)
def test_other_descriptors_are_not_sound(make: Callable[[], int]) -> None:
    fd = make()
    assert not parcel.is_sound(fd, 4, 100)
    os.close(fd)
