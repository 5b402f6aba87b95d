"""Pages of a KVM guest that the host may read: parts of the region behind its vchans, which both sides see anyway.

The region is a memory bar of a virtual PCI device. The guest's X server attaches the bar's file in sysfs and draws
into it; a page reference is the number of a page of the region. Nothing has to be announced. The pages of the memory
that programs draw into, where there is such, have the numbers behind those; see `drawing`.
"""

import os
from pathlib import Path

import numpy as np

from backends.base import MachineCannot, PageSharer, Refs, SharedPages
from backends.kvm.drawing import Drawing
from backends.kvm.layout import BUFFERS_AT, open_region
from guiproto.limits import PAGE_SIZE
from shm.allocator import Allocator, Buffer
from shm.region import Region


class _Bar(Region):
    """Memory that is there as long as the VM is."""

    def discard(self, offset: int, length: int) -> None:
        """Nothing can be given back."""


class Memory:
    """The part of a VM's region that is for buffers: one, whoever they are shared with."""

    def __init__(self, region: Path, drawing: Path | None = None) -> None:
        """`drawing`: the file system of what programs draw into. Raises MachineCannot."""
        self._fd, self._size = open_region(region, os.O_RDWR)
        try:
            self.drawing = None if drawing is None else Drawing(drawing, self._size // PAGE_SIZE)
        except MachineCannot:
            os.close(self._fd)
            raise
        self._users = 0
        self._allocator = Allocator(self._only_one, region_bytes=self._size)
        # The vchans' part: the first allocation begins at 0, and is never released.
        self._allocator.allocate(BUFFERS_AT)

    @property
    def closed(self) -> bool:
        """Whether its last user has left it."""
        return self._users < 0

    def sharer(self) -> "KvmSharer":
        """A user of it."""
        self._users += 1
        return KvmSharer(self)

    def allocate(self, length: int) -> Buffer:
        """Raises MachineCannot when it is used up."""
        return self._allocator.allocate(length)

    def release(self, buffer: Buffer) -> None:
        """Take it back."""
        self._allocator.release(buffer)

    def leave(self) -> None:
        """A user needs it no more."""
        self._users -= 1
        if self._users == 0:
            self._allocator.close()
            self._users = -1

    def _only_one(self, size: int) -> Region:
        if self._fd < 0 or size > self._size:
            raise MachineCannot(
                f"the VM's {self._size >> 20} MiB of video memory have no room for {size >> 10} KiB more",
                "close some windows, or give the VM more (guid vm create --videoram)",
            )
        fd, self._fd = self._fd, -1
        return _Bar(fd, self._size)


class KvmSharer(PageSharer):
    """Shares pages with whoever has the region on the host."""

    def __init__(self, memory: Memory) -> None:
        self._memory: Memory | None = memory
        self._shared: set[tuple[int, int]] = set()
        """Offset and length of what is not released yet."""
        self._region: Region | None = None
        self._adopted: set[Region] = set()

    def allocate(self, length: int) -> SharedPages:
        assert self._memory is not None, "it was closed"
        buffer = self._memory.allocate(length)
        self._shared.add((buffer.offset, buffer.length))
        self._region = buffer.region
        first = buffer.offset // PAGE_SIZE
        refs: Refs = np.arange(first, first + buffer.length // PAGE_SIZE, dtype=np.uint32)
        return SharedPages(buffer.region, buffer.offset, buffer.length, refs)

    def adopt(self, fd: int, offset: int, length: int) -> SharedPages:
        assert self._memory is not None, "it was closed"
        if self._memory.drawing is None:
            return super().adopt(fd, offset, length)
        region, refs = self._memory.drawing.adopt(fd, offset, length)
        self._adopted.add(region)
        return SharedPages(region, offset, len(refs) * PAGE_SIZE, refs)

    def release(self, pages: SharedPages) -> None:
        if pages.region in self._adopted:
            self._adopted.remove(pages.region)
            pages.region.close()
            return
        self._shared.remove((pages.offset, pages.length))
        if self._memory is not None:
            self._memory.release(Buffer(pages.region, pages.offset, pages.length))

    def close(self) -> None:
        while self._adopted:
            self._adopted.pop().close()
        memory, self._memory = self._memory, None
        if memory is not None:
            if self._region is not None:
                for offset, length in self._shared:
                    memory.release(Buffer(self._region, offset, length))
            memory.leave()
