"""Pages of this domain that one GUI domain may read: memfds, passed over `pages.<this id>.<GUI id>.sock`.

A page reference is a region's number (12 bits) and the index of a page in it (20 bits). The GUI domain connects when
its vchan has; from then on it is told of every region before a reference into it goes on the wire. The vchan and this
socket are two queues of one kernel, so what was sent here earlier is there when the reference arrives.
"""

import contextlib
import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import Final

import numpy as np

from backends.base import MachineCannot, PageSharer, Refs, SharedPages
from backends.rendezvous import Listener
from guiproto.limits import PAGE_SIZE
from shm.allocator import Allocator, Buffer
from shm.region import Region

PAGE_BITS: Final = 20
MAX_REGION_BYTES: Final = PAGE_SIZE << PAGE_BITS
MAX_REGION_NUMBER: Final = (1 << (32 - PAGE_BITS)) - 1
MAX_REGIONS: Final = 512
"""Live at a time: so many fit into a socket's buffer as kernels have it by default, with a descriptor each. Both ends
know the limits: the sharer keeps them, and the mapper ends a session that does not."""
MAX_TOTAL_BYTES: Final = 16 << 30

ANNOUNCEMENT: Final = struct.Struct("<4sIIIQ")
"""magic, operation, region number, 0, size in bytes (0 when removed): one SOCK_SEQPACKET message."""
MAGIC: Final = b"OGPS"
ADD: Final = 1
"""With one descriptor: the region's memory."""
REMOVE: Final = 2
"""Without any. References into the region are not valid any more; what is mapped stays."""

# A mapper connects once for each session of its vchan; we take connections only when there is something to say.
_BACKLOG: Final = 128


def socket_path(directory: Path, sharer: int, mapper: int) -> Path:
    """Where the sharer and the mapper of that pair of domains meet."""
    return directory / f"pages.{sharer}.{mapper}.sock"


class LocalSharer(PageSharer):
    """Shares memfds with domain `gui_domid`: those it allocates, and those it adopts."""

    def __init__(self, directory: Path, domid: int, gui_domid: int) -> None:
        """Listens when it returns. Raises MachineCannot when a live process shares for the same pair."""
        what = f"page sharing of domain {domid} with domain {gui_domid}"
        path = socket_path(directory, domid, gui_domid)
        self._listener = Listener(path, socket.SOCK_SEQPACKET, what, backlog=_BACKLOG)
        self._peer: socket.socket | None = None
        self._known_to_peer: set[Region] = set()
        self._removed: list[int] = []
        self._numbers: dict[Region, int] = {}
        self._next_number = 0
        self._total = 0
        self._allocator = Allocator(self._create)
        self._adopted: dict[tuple[int, int], Region] = {}
        self._adoptions: dict[Region, int] = {}

    def allocate(self, length: int) -> SharedPages:
        buffer = self._allocator.allocate(length)
        return self._shared(buffer.region, buffer.offset, buffer.length)

    def release(self, pages: SharedPages) -> None:
        region = pages.region
        if region not in self._adoptions:
            self._allocator.release(Buffer(region, pages.offset, pages.length))
            return
        self._adoptions[region] -= 1
        if self._adoptions[region] == 0:
            del self._adoptions[region]
            self._adopted = {key: other for key, other in self._adopted.items() if other is not region}
            region.close()

    def adopt(self, fd: int, offset: int, length: int) -> SharedPages:
        """Share pages [offset, offset + length) of somebody's memfd; each call needs its own `release`.

        The memory must be sealed against shrinking, or the GUI domain could be hit by SIGBUS. Sealing it against
        growing, and growing it to whole pages before, is done here: neither disturbs a program that has it mapped.
        Raises MachineCannot when the memory cannot be shared.
        """
        status = os.fstat(fd)
        key = status.st_dev, status.st_ino
        region = self._adopted.get(key)
        size = _fix_size(fd, status.st_size) if region is None else region.size
        length = -(-length // PAGE_SIZE) * PAGE_SIZE
        if offset % PAGE_SIZE or offset < 0 or length <= 0 or offset + length > size:
            raise MachineCannot(f"cannot share bytes {offset} to {offset + length} of {size}", "give whole pages of it")
        if region is None:
            region = Region(os.dup(fd), size)
            self._number(region)
            self._adopted[key] = region
            self._adoptions[region] = 0
        self._adoptions[region] += 1
        return self._shared(region, offset, length)

    def publish(self) -> None:
        """Tell the mapper of the latest session of every region that it does not know yet, and of those that are gone.

        Raises MachineCannot when the GUI domain takes no news, though it had room for hundreds.
        """
        while (connection := self._listener.accept()) is not None:
            self._forget_peer()
            # Room for all regions: each announcement costs the kernel about 1 KiB.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * 1024 * MAX_REGIONS)
            self._peer = connection
        if self._peer is None:
            return
        try:
            while self._removed:
                self._peer.send(ANNOUNCEMENT.pack(MAGIC, REMOVE, self._removed[-1], 0, 0), socket.MSG_NOSIGNAL)
                self._removed.pop()
            if len(self._known_to_peer) != len(self._numbers):
                for region, number in self._numbers.items():
                    if region not in self._known_to_peer:
                        self._announce(self._peer, region, number)
                        self._known_to_peer.add(region)
        except BlockingIOError:
            raise MachineCannot(
                "the GUI domain takes no news of shared pages", "is its guid stopped? Restart it"
            ) from None
        except OSError:
            self._forget_peer()  # it is gone, as its vchan will tell

    def close(self) -> None:
        self._listener.close()
        self._forget_peer()
        self._allocator.close()
        for region in list(self._adoptions):
            region.close()
        self._adoptions.clear()
        self._adopted.clear()

    @staticmethod
    def _announce(peer: socket.socket, region: Region, number: int) -> None:
        message = ANNOUNCEMENT.pack(MAGIC, ADD, number, 0, region.size)
        fd = region.read_only_fd()
        try:
            socket.send_fds(peer, [message], [fd], socket.MSG_NOSIGNAL)
        finally:
            os.close(fd)

    def _create(self, size: int) -> Region:
        region = Region.create(size)
        self._number(region)
        return region

    def _number(self, region: Region) -> None:
        """Give the region a number, or close it and raise MachineCannot."""
        problem, remedy = "", ""
        if region.size > MAX_REGION_BYTES:
            problem, remedy = f"a region of {region.size} bytes cannot be shared", "4 GiB is the limit"
        elif len(self._numbers) == MAX_REGIONS or self._total + region.size > MAX_TOTAL_BYTES:
            problem = f"{len(self._numbers)} regions of {self._total >> 20} MiB are shared already"
            remedy = "close some windows"
        if problem:
            region.close()
            raise MachineCannot(problem, remedy)
        taken = set(self._numbers.values())
        while self._next_number in taken:
            self._next_number = (self._next_number + 1) & MAX_REGION_NUMBER
        self._numbers[region] = self._next_number
        self._next_number = (self._next_number + 1) & MAX_REGION_NUMBER
        self._total += region.size
        region.on_close(self._unnumber)

    def _unnumber(self, region: Region) -> None:
        number = self._numbers.pop(region)
        self._total -= region.size
        if region in self._known_to_peer:
            self._known_to_peer.remove(region)
            self._removed.append(number)

    def _forget_peer(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None
        self._known_to_peer.clear()
        self._removed.clear()

    def _shared(self, region: Region, offset: int, length: int) -> SharedPages:
        first = self._numbers[region] << PAGE_BITS | offset // PAGE_SIZE
        refs: Refs = np.arange(first, first + length // PAGE_SIZE, dtype=np.uint32)
        return SharedPages(region, offset, length, refs)


def _fix_size(fd: int, size: int) -> int:
    """Seal a foreign memfd so that a mapper accepts it, and return its size then."""
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError:
        raise MachineCannot("memory that is not a memfd cannot be shared", "copy it") from None
    if not seals & fcntl.F_SEAL_SHRINK:
        raise MachineCannot("memory that may shrink cannot be shared", "seal it with F_SEAL_SHRINK, or copy it")
    whole = -(-size // PAGE_SIZE) * PAGE_SIZE
    if size == 0 or (size != whole and seals & fcntl.F_SEAL_GROW):
        raise MachineCannot(f"a memfd of {size} bytes cannot be shared", "it must consist of whole pages")
    if not seals & fcntl.F_SEAL_GROW:
        with contextlib.suppress(OSError):
            os.ftruncate(fd, whole)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
        if not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_GROW:
            raise MachineCannot("memory that may grow cannot be shared", "its seals are sealed; copy it")
    return whole
