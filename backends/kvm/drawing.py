"""Memory that programs of a KVM guest draw into and the host sees: files of a DAX file system, without a copy.

Its device is a file of the host (virtio-pmem), and whoever maps one of its files writes to the device itself. So where
a file's blocks lie on the device, there the host's file has its bytes. The kernel says where that is (FIEMAP).

Blocks that nobody wrote to read as zero, whatever they hold; so they are made what they read as before they are named.
Blocks stay where they are as long as the file is open and nobody truncates it, punches holes or moves its extents. A
guest that does shows itself other bytes of this device, which are its own; the host's file neither shrinks nor moves.
"""

import fcntl
import mmap
import os
import stat
from pathlib import Path
from struct import Struct
from typing import Final

import numpy as np

from backends.base import MachineCannot, Refs
from guiproto.limits import PAGE_SIZE
from shm.region import Region

MAX_RUNS: Final = 1024
"""More scattered memory is refused by those who map it."""
EXTENT: Final = np.dtype(
    {
        "names": ["logical", "physical", "length", "flags"],
        "formats": ["u8", "u8", "u8", "u4"],
        "offsets": [0, 8, 16, 40],
        "itemsize": 56,
    }
)
"""struct fiemap_extent of linux/fiemap.h: bytes in the file, on the device, and how many."""
LAST: Final = 0x1
MERGED: Final = 0x1000
_REQUEST: Final = Struct("=QQIIII")
"""struct fiemap: start, length, flags, extents that were found, room for extents, 0."""
_FS_IOC_FIEMAP: Final = 0xC020660B
_MADV_POPULATE_WRITE: Final = 23


class Drawing:
    """The file system at `place`, whose device's pages are references from `first` on."""

    def __init__(self, place: Path, first: int) -> None:
        """Raises MachineCannot if it is not there."""
        self._first = first
        try:
            self._device = place.stat().st_dev
        except OSError as error:
            raise MachineCannot(f"{place} is not there: {error.strerror}", "start the VM again") from None

    def adopt(self, fd: int, offset: int, length: int) -> tuple[Region, Refs]:
        """A region that keeps the file, and references of its pages [offset, offset + length), rounded up.

        Raises MachineCannot for what is no file of this file system, not wholly there, or scattered too much.
        """
        status = os.fstat(fd)
        if status.st_dev != self._device or not stat.S_ISREG(status.st_mode):
            raise MachineCannot("memory outside of what the host sees cannot be shared", "copy it")
        length = -(-length // PAGE_SIZE) * PAGE_SIZE
        size = -(-status.st_size // PAGE_SIZE) * PAGE_SIZE
        if offset % PAGE_SIZE or offset < 0 or length <= 0 or offset + length > size:
            raise MachineCannot(f"cannot share bytes {offset} to {offset + length} of {size}", "give whole pages of it")
        try:
            with mmap.mmap(fd, status.st_size) as mapped:
                mapped.madvise(_MADV_POPULATE_WRITE, offset, length)
            answer = bytearray(_REQUEST.size + (MAX_RUNS + 1) * EXTENT.itemsize)
            _REQUEST.pack_into(answer, 0, offset, length, 0, 0, MAX_RUNS + 1, 0)
            fcntl.ioctl(fd, _FS_IOC_FIEMAP, answer)
        except (OSError, ValueError) as error:
            raise MachineCannot(f"where a file lies is not known: {error}", "copy it") from None
        found = _REQUEST.unpack_from(answer)[3]
        pages = pages_in(np.frombuffer(answer, EXTENT, found, _REQUEST.size), offset, length)
        return Region(os.dup(fd), status.st_size), self._first + pages


def pages_in(extents: np.ndarray[tuple[int], np.dtype[np.void]], offset: int, length: int) -> Refs:
    """Numbers of the device's pages that hold bytes [offset, offset + length) of a file, in order.

    `extents`: EXTENT [n], in the file's order. Raises MachineCannot unless they hold all of it, as written data.
    """
    if len(extents) > MAX_RUNS:
        raise MachineCannot(f"memory in {len(extents)} pieces cannot be shared", "close some windows")
    pages: list[Refs] = []
    at, end = offset, offset + length
    for logical, physical, size, flags in extents.tolist():
        if at >= end:
            break
        skipped = at - logical
        if flags & ~(LAST | MERGED) or not 0 <= skipped < size or (physical | logical | size) % PAGE_SIZE:
            break
        count = (min(logical + size, end) - at) // PAGE_SIZE
        first = (physical + skipped) // PAGE_SIZE
        pages.append(np.arange(first, first + count, dtype=np.uint32))
        at += count * PAGE_SIZE
    if at < end:
        raise MachineCannot(f"byte {at} of a file has no place of its own on its device", "copy it")
    return np.concatenate(pages)
