"""Shared pages of one process, whose reader is the test itself."""

import numpy as np
from numpy.typing import NDArray

from backends.base import MachineCannot, PageSharer, Refs, SharedPages
from guiproto.limits import PAGE_SIZE
from shm.region import Region


class MemorySharer(PageSharer):
    """One memfd; a reference is a page's number in it. Complains when pages are released that are not shared."""

    def __init__(self, pages: int = 16384) -> None:
        self.region = Region.create(pages * PAGE_SIZE)
        self._memory = np.frombuffer(self.region.view(), np.uint8)
        self._pages = pages
        self.live: dict[int, int] = {}
        """First page -> number of pages."""
        self.published = 0

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

    def release(self, pages: SharedPages) -> None:
        assert self.live.pop(pages.offset // PAGE_SIZE, None) == pages.length // PAGE_SIZE

    def publish(self) -> None:
        self.published += 1

    def close(self) -> None:
        self.region.close()

    def picture(self, refs: Refs, width: int, height: int) -> NDArray[np.uint32]:
        """What the pages contain now, as pixels: u32 [height, width], the unused byte cleared."""
        assert len(refs) == -(-width * height * 4 // PAGE_SIZE)
        assert (np.diff(refs.astype(np.int64)) == 1).all()
        start = int(refs[0]) * PAGE_SIZE
        pixels = self._memory[start : start + width * height * 4].view(np.uint32).reshape(height, width)
        return pixels & np.uint32(0xFFFFFF)
