"""Buffers never overlap, lie inside their region, and everything is free again after the last release."""

import os
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from guiproto.errors import MachineCannot
from guiproto.limits import PAGE_SIZE
from shm.allocator import Allocator, Buffer
from shm.region import Region

REGION = 64 * PAGE_SIZE
KEEP = 16 * PAGE_SIZE


def used_memory(region: Region) -> int:
    """Bytes that the system holds for the region."""
    return os.fstat(region.fd).st_blocks * 512


def fill(buffer: Buffer, byte: int) -> None:
    """Write to every page of the buffer, and so make the system hold it."""
    view = buffer.region.view(writable=True)
    view[buffer.offset : buffer.offset + buffer.length] = bytes([byte]) * buffer.length
    view.release()


class AllocatorMachine(RuleBasedStateMachine):
    """Any sequence of allocate, release and trim, against a plain set of the buffers that are in use."""

    buffers = Bundle("buffers")

    def __init__(self) -> None:
        super().__init__()
        self.regions: list[Region] = []
        self.allocator = Allocator(self._create, region_bytes=REGION, keep_bytes=KEEP)
        self.live: dict[Buffer, int] = {}
        self.marks = 0

    def _create(self, size: int) -> Region:
        self.regions.append(Region.create(size))
        return self.regions[-1]

    @rule(target=buffers, length=st.one_of(st.integers(1, REGION // 3), st.integers(REGION, 2 * REGION)))
    def allocate(self, length: int) -> Buffer:
        buffer = self.allocator.allocate(length)
        assert buffer.length == -(-length // PAGE_SIZE) * PAGE_SIZE
        assert buffer.offset % PAGE_SIZE == 0
        assert buffer.offset + buffer.length <= buffer.region.size
        self.marks += 1
        fill(buffer, self.marks % 256)
        self.live[buffer] = self.marks % 256
        return buffer

    @rule(buffer=consumes(buffers))
    def release(self, buffer: Buffer) -> None:
        del self.live[buffer]
        self.allocator.release(buffer)

    @rule()
    def trim(self) -> None:
        self.allocator.trim()
        held = sum(used_memory(region) for region in self.regions if region.fd >= 0)
        assert held == sum(buffer.length for buffer in self.live)

    @invariant()
    def none_overlaps_another(self) -> None:
        by_place = sorted(self.live, key=lambda b: (id(b.region), b.offset))
        for before, after in pairwise(by_place):
            assert before.region is not after.region or before.offset + before.length <= after.offset

    @invariant()
    def buffers_in_use_keep_their_bytes(self) -> None:
        for buffer, byte in self.live.items():
            view = buffer.region.view()
            assert view[buffer.offset] == view[buffer.offset + buffer.length - 1] == byte
            view.release()

    @invariant()
    def memory_beyond_what_is_in_use_is_bounded(self) -> None:
        held = sum(used_memory(region) for region in self.regions if region.fd >= 0)
        assert held <= sum(buffer.length for buffer in self.live) + KEEP

    def teardown(self) -> None:
        for buffer in list(self.live):
            self.allocator.release(buffer)
        open_regions = [region for region in self.regions if region.fd >= 0]
        assert len(open_regions) <= 1
        for region in open_regions:
            whole = self.allocator.allocate(region.size)
            assert (whole.region, whole.offset) == (region, 0)
        self.allocator.close()
        assert all(region.fd < 0 for region in self.regions)


TestAllocator = AllocatorMachine.TestCase
TestAllocator.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_the_smallest_hole_that_fits_is_used() -> None:
    allocator = Allocator(region_bytes=REGION)
    pages = [allocator.allocate(n * PAGE_SIZE) for n in (4, 1, 2, 1)]
    allocator.release(pages[0])
    allocator.release(pages[2])
    assert allocator.allocate(2 * PAGE_SIZE) == pages[2]
    assert allocator.allocate(3 * PAGE_SIZE).offset == pages[0].offset
    allocator.close()


def test_a_large_buffer_is_given_back_at_once_and_a_small_one_stays_warm() -> None:
    allocator = Allocator(region_bytes=REGION, keep_bytes=KEEP)
    small, large, last = (allocator.allocate(n * PAGE_SIZE) for n in (4, 20, 1))
    fill(small, 1)
    fill(large, 2)
    allocator.release(small)
    assert used_memory(small.region) == small.length + large.length
    allocator.release(large)
    assert used_memory(small.region) == 0
    allocator.release(last)
    allocator.close()


def test_warm_memory_is_what_a_buffer_of_the_same_size_gets() -> None:
    allocator = Allocator(region_bytes=REGION, keep_bytes=KEEP)
    first = allocator.allocate(8 * PAGE_SIZE)
    fill(first, 7)
    allocator.release(first)
    again = allocator.allocate(8 * PAGE_SIZE)
    assert again == first
    assert again.region.view()[again.offset] == 7
    allocator.close()


def test_a_buffer_larger_than_a_region_gets_its_own_which_goes_with_it() -> None:
    allocator = Allocator(region_bytes=REGION)
    closed: list[Region] = []
    buffer = allocator.allocate(REGION + 1)
    buffer.region.on_close(closed.append)
    assert buffer.region.size == REGION + PAGE_SIZE
    allocator.release(buffer)
    assert closed == [buffer.region]
    allocator.close()


def test_a_failure_to_make_a_region_leaves_the_allocator_as_it_was() -> None:
    regions = [Region.create(REGION)]

    def create(size: int) -> Region:
        if not regions:
            raise MachineCannot("no more")
        assert size == REGION
        return regions.pop()

    allocator = Allocator(create, region_bytes=REGION)
    buffer = allocator.allocate(REGION)
    with pytest.raises(MachineCannot):
        allocator.allocate(1)
    allocator.release(buffer)
    assert allocator.allocate(1).offset == 0
    allocator.close()


def test_what_is_not_in_use_cannot_be_released() -> None:
    allocator = Allocator(region_bytes=REGION)
    buffer = allocator.allocate(1)
    allocator.release(buffer)
    with pytest.raises(KeyError):
        allocator.release(buffer)
    allocator.close()


@pytest.mark.parametrize("length", [0, -1])
def test_a_buffer_has_at_least_a_byte(length: int) -> None:
    with pytest.raises(ValueError, match="a buffer of"):
        Allocator().allocate(length)
