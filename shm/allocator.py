"""Window buffers come from few large regions: page-aligned, never overlapping, reused, and returned to the system.

A display server attaches a region once, so buffers share regions. A window that is resized asks for a new buffer at
every step, so freed memory is used again while it is still warm; but only `keep_bytes` of it are kept, the latest
freed, and the rest is given back.
"""

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from guiproto.limits import PAGE_SIZE
from shm.region import Region

REGION_BYTES: Final = 256 * 1024 * 1024
"""Size of a region. It costs addresses only; memory is used where a buffer was written."""
KEEP_BYTES: Final = 32 * 1024 * 1024
"""How much freed memory is kept for reuse: one 4K frame."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes [offset, offset + length) of `region`, both multiples of the page size."""

    region: Region
    offset: int
    length: int


class _Space:
    """The free ranges of one region, joined wherever they touch."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.free = region.size
        self._lengths = {0: region.size}
        self._starts = {region.size: 0}  # by end
        self._by_size = [(region.size, 0)]

    def best(self, length: int) -> int | None:
        """Length of the smallest free range that holds `length` bytes."""
        at = bisect_left(self._by_size, (length, 0))
        return self._by_size[at][0] if at < len(self._by_size) else None

    def take(self, length: int) -> int:
        """Cut `length` bytes off the front of the smallest range that holds them, the first of equals."""
        size, offset = self._by_size[bisect_left(self._by_size, (length, 0))]
        self._remove(offset, size)
        if size > length:
            self._add(offset + length, size - length)
        self.free -= length
        return offset

    def give(self, offset: int, length: int) -> None:
        """Put a range back."""
        self.free += length
        following = self._lengths.get(offset + length)
        if following is not None:
            self._remove(offset + length, following)
            length += following
        start = self._starts.get(offset)
        if start is not None:
            before = self._lengths[start]
            self._remove(start, before)
            offset, length = start, length + before
        self._add(offset, length)

    def _add(self, offset: int, length: int) -> None:
        self._lengths[offset] = length
        self._starts[offset + length] = offset
        insort(self._by_size, (length, offset))

    def _remove(self, offset: int, length: int) -> None:
        del self._lengths[offset]
        del self._starts[offset + length]
        del self._by_size[bisect_left(self._by_size, (length, offset))]


class _Warm:
    """Freed ranges whose memory was not given back yet, oldest first. Ranges never overlap, and touch no used one."""

    def __init__(self) -> None:
        self.total = 0
        self._lengths: dict[tuple[Region, int], int] = {}
        self._offsets: dict[Region, list[int]] = {}

    def add(self, region: Region, offset: int, length: int) -> None:
        self.total += length
        self._lengths[region, offset] = length
        insort(self._offsets.setdefault(region, []), offset)

    def use(self, region: Region, offset: int, length: int) -> None:
        """The range is in use again: what was warm of it is no longer ours to give back."""
        end = offset + length
        for start, size in self._touching(region, offset, end):
            self._remove(region, start)
            if start < offset:
                self.add(region, start, offset - start)
            if end < start + size:
                self.add(region, end, start + size - end)

    def pop_oldest(self) -> tuple[Region, int, int]:
        region, offset = next(iter(self._lengths))
        return region, offset, self._remove(region, offset)

    def pop_region(self, region: Region) -> list[tuple[int, int]]:
        return [(offset, self._remove(region, offset)) for offset in list(self._offsets.get(region, ()))]

    def _touching(self, region: Region, offset: int, end: int) -> list[tuple[int, int]]:
        offsets = self._offsets.get(region, [])
        first = bisect_left(offsets, offset)
        if first and offsets[first - 1] + self._lengths[region, offsets[first - 1]] > offset:
            first -= 1
        return [(start, self._lengths[region, start]) for start in offsets[first : bisect_left(offsets, end)]]

    def _remove(self, region: Region, offset: int) -> int:
        length = self._lengths.pop((region, offset))
        offsets = self._offsets[region]
        del offsets[bisect_left(offsets, offset)]
        if not offsets:
            del self._offsets[region]
        self.total -= length
        return length


class Allocator:
    """Hands out buffers of regions that it makes, and closes a region when it needs it no longer."""

    def __init__(
        self,
        create: Callable[[int], Region] = Region.create,
        *,
        region_bytes: int = REGION_BYTES,
        keep_bytes: int = KEEP_BYTES,
    ) -> None:
        """`create` makes a region of a number of bytes; it may raise MachineCannot, which `allocate` lets through."""
        self._create = create
        self._region_bytes = region_bytes
        self._keep_bytes = keep_bytes
        self._spaces: dict[Region, _Space] = {}
        self._used: set[tuple[Region, int, int]] = set()
        self._warm = _Warm()

    def allocate(self, length: int) -> Buffer:
        """At least `length` bytes, rounded up to pages. The contents are whatever was there."""
        if length <= 0:
            raise ValueError(f"a buffer of {length} bytes")
        length = -(-length // PAGE_SIZE) * PAGE_SIZE
        space = self._best_space(length)
        if space is None:
            region = self._create(max(length, self._region_bytes))
            space = self._spaces[region] = _Space(region)
        offset = space.take(length)
        self._warm.use(space.region, offset, length)
        self._used.add((space.region, offset, length))
        return Buffer(space.region, offset, length)

    def release(self, buffer: Buffer) -> None:
        """Take a buffer back. KeyError if it is not one that is in use."""
        self._used.remove((buffer.region, buffer.offset, buffer.length))
        space = self._spaces[buffer.region]
        space.give(buffer.offset, buffer.length)
        self._warm.add(buffer.region, buffer.offset, buffer.length)
        if space.free == buffer.region.size and self._is_surplus(buffer.region):
            self._drop(buffer.region)
        self._trim(self._keep_bytes)

    def trim(self) -> None:
        """Give all freed memory back to the system."""
        self._trim(0)

    def close(self) -> None:
        """Close every region, whoever still uses buffers of them."""
        for region in list(self._spaces):
            self._drop(region)
        self._used.clear()

    def _best_space(self, length: int) -> _Space | None:
        fitting = [(size, space) for space in self._spaces.values() if (size := space.best(length)) is not None]
        return min(fitting, key=lambda pair: pair[0])[1] if fitting else None

    def _is_surplus(self, region: Region) -> bool:
        """One empty region of the usual size stays: a window that goes is often followed by another."""
        return region.size != self._region_bytes or any(
            space.free == other.size
            for other, space in self._spaces.items()
            if other is not region and other.size == self._region_bytes
        )

    def _drop(self, region: Region) -> None:
        # The display servers that attached it may keep it for a while; its memory goes now.
        for offset, length in self._warm.pop_region(region):
            region.discard(offset, length)
        del self._spaces[region]
        region.close()

    def _trim(self, keep: int) -> None:
        while self._warm.total > keep:
            region, offset, length = self._warm.pop_oldest()
            region.discard(offset, length)
