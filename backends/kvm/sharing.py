"""Pages of a KVM guest that the host may read: parts of the region behind its vchans, which both sides see anyway.

The region is a memory bar of a virtual PCI device. The guest's X server attaches the bar's file in sysfs and draws
into it; a page reference is the number of a page of the region. Nothing has to be announced.
"""

import os
from pathlib import Path

import numpy as np

from backends.base import MachineCannot, PageSharer, Refs, SharedPages
from backends.kvm.layout import BUFFERS_AT, open_region
from guiproto.limits import PAGE_SIZE
from shm.allocator import Allocator, Buffer
from shm.region import Region


class _Bar(Region):
    """Memory that is there as long as the VM is."""

    def discard(self, offset: int, length: int) -> None:
        """Nothing can be given back."""


class KvmSharer(PageSharer):
    """Shares pages with whoever has the region on the host."""

    def __init__(self, region: Path) -> None:
        """Raises MachineCannot."""
        self._fd, self._size = open_region(region, os.O_RDWR)
        self._allocator = Allocator(self._only_one, region_bytes=self._size)
        self._allocator.allocate(
            BUFFERS_AT
        )  # the vchans' part: the first allocation begins at 0, and is never released

    def allocate(self, length: int) -> SharedPages:
        buffer = self._allocator.allocate(length)
        first = buffer.offset // PAGE_SIZE
        refs: Refs = np.arange(first, first + buffer.length // PAGE_SIZE, dtype=np.uint32)
        return SharedPages(buffer.region, buffer.offset, buffer.length, refs)

    def release(self, pages: SharedPages) -> None:
        self._allocator.release(Buffer(pages.region, pages.offset, pages.length))

    def close(self) -> None:
        self._allocator.close()

    def _only_one(self, size: int) -> Region:
        if self._fd < 0 or size > self._size:
            raise MachineCannot(
                f"the VM's {self._size >> 20} MiB of video memory have no room for {size >> 10} KiB more",
                "close some windows, or give the VM more (guid vm create --videoram)",
            )
        fd, self._fd = self._fd, -1
        return _Bar(fd, self._size)
