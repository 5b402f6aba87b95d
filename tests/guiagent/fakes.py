"""Shared pages of one process, whose reader is the test itself."""

import os

import numpy as np
from numpy.typing import NDArray

from backends.base import MachineCannot, PageSharer, Refs, SharedPages
from guiproto.limits import PAGE_SIZE
from shm.region import Region

_ADOPTED = 1 << 20
"""References from here on are to adopted memory: that many pages for each."""


class MemorySharer(PageSharer):
    """One memfd; a reference is a page's number in it. Complains when pages are released that are not shared."""

    def __init__(self, pages: int = 16384) -> None:
        self.region = Region.create(pages * PAGE_SIZE)
        self._memory = np.frombuffer(self.region.view(), np.uint8)
        self._pages = pages
        self.live: dict[int, int] = {}
        """First page -> number of pages."""
        self.published = 0
        self.adopted: dict[int, Region] = {}
        """Number -> memory that somebody else allocated."""
        self.most_adopted = 1000

    def allocate(self, length: int) -> SharedPages:
        count = -(-length // PAGE_SIZE)
        first = 0
        for start in sorted(self.live):
            if start - first >= count:
                break
            first = start + self.live[start]
        if first + count > self._pages:
            raise MachineCannot("the test's memory is exhausted")
        self.live[first] = count
        return SharedPages(
            self.region, first * PAGE_SIZE, count * PAGE_SIZE, np.arange(first, first + count, dtype=np.uint32)
        )

    def adopt(self, fd: int, offset: int, length: int) -> SharedPages:
        assert offset == 0
        if length > self._pages * PAGE_SIZE or len(self.adopted) >= self.most_adopted:
            raise MachineCannot("the test's memory is exhausted")
        region = Region(os.dup(fd), length)
        number = max(self.adopted, default=0) + 1
        self.adopted[number] = region
        first = number * _ADOPTED
        count = self.live[first] = -(-length // PAGE_SIZE)
        return SharedPages(region, 0, count * PAGE_SIZE, np.arange(first, first + count, dtype=np.uint32))

    def release(self, pages: SharedPages) -> None:
        first = int(pages.refs[0])
        assert self.live.pop(first, None) == pages.length // PAGE_SIZE
        if first >= _ADOPTED:
            self.adopted.pop(first // _ADOPTED).close()

    def publish(self) -> None:
        self.published += 1

    def close(self) -> None:
        self.region.close()

    def forget(self) -> None:
        """Let go of its descriptors, of which hundreds of tests in one process would have too many; tell nobody."""
        self._memory = np.zeros(0, np.uint8)
        if self.region.fd >= 0:
            os.close(self.region.fd)
            self.region.fd = -1

    def picture(self, refs: Refs, width: int, height: int) -> NDArray[np.uint32]:
        """What the pages contain now, as pixels: u32 [height, width], the unused byte cleared."""
        assert len(refs) == -(-width * height * 4 // PAGE_SIZE)
        assert (np.diff(refs.astype(np.int64)) == 1).all()
        memory, start = self._memory, int(refs[0]) * PAGE_SIZE
        if refs[0] >= _ADOPTED:
            memory, start = np.frombuffer(self.adopted[int(refs[0]) // _ADOPTED].view(), np.uint8), 0
        pixels = memory[start : start + width * height * 4].view(np.uint32).reshape(height, width)
        return pixels & np.uint32(0xFFFFFF)
