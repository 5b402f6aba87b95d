"""A guest's own memory as a file of this machine: the closest to mapping foreign pages that there is without Xen.

QEMU keeps the memory of a VM that was made so (`guid vm create --map-ram`) in a memfd that it shares. Frame numbers of
the guest are then offsets in it, but for the hole that a PC has below 4 GiB. Whoever opens it sees all of the guest's
memory, which is this machine's owner's anyway; another guest cannot.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

from backends.base import PeerMisbehaved
from guiproto.limits import PAGE_SIZE

_NAME: Final = "/memfd:memory-backend-memfd"
_FOUR_GIB: Final = 1 << 32
_HOLE_OF_SMALL: Final = 0xB0000000
_HOLE_OF_LARGE: Final = 0x80000000
"""Where the memory below 4 GiB ends on a q35 machine (QEMU, pc_q35_init): one with more than fits below the first has
it end at the second, so that what remains is aligned."""


def ram_of(pid: int) -> Path | None:
    """The file of the memory of a QEMU; None if it has none that can be shared, or is not ours to look at."""
    with contextlib.suppress(OSError):
        for entry in sorted(Path(f"/proc/{pid}/fd").iterdir(), key=lambda entry: int(entry.name)):
            with contextlib.suppress(OSError):
                target = os.readlink(entry)
                if target.startswith(_NAME):
                    return entry
    return None


def locate(first: int, count: int, size: int) -> tuple[int, int]:
    """Offset and length in the file of `size` bytes, of `count` frames from `first` on. Raises PeerMisbehaved."""
    start, end = first * PAGE_SIZE, (first + count) * PAGE_SIZE
    low = min(size, _HOLE_OF_LARGE if size >= _HOLE_OF_SMALL else _HOLE_OF_SMALL)
    if end <= low:
        return start, end - start
    if start >= _FOUR_GIB and end - _FOUR_GIB <= size - low:
        return low + start - _FOUR_GIB, end - start
    raise PeerMisbehaved("frame number", f"frames {first} to {first + count}; the VM has {size >> 20} MiB")
