"""Pages of one local domain, mapped here read-only: what `sharing` announces, distrusted in every byte.

Nothing that the domain sends makes this process block, hold more than a fixed number of descriptors and mappings, or
raise anything but PeerMisbehaved. The memory itself cannot shrink under its readers, see `Region.adopt_untrusted`.
"""

import socket
from pathlib import Path
from typing import Final

from backends.base import MappedPages, PageMapper, PeerMisbehaved, Refs
from backends.local.approach import Door
from backends.local.sharing import (
    ADD,
    ANNOUNCEMENT,
    MAGIC,
    MAX_REGION_BYTES,
    MAX_REGION_NUMBER,
    MAX_REGIONS,
    MAX_TOTAL_BYTES,
    PAGE_BITS,
    REMOVE,
    socket_path,
)
from backends.rendezvous import ANCILLARY_BYTES, connect, hang_up, received_descriptors
from backends.runs import Once, ScatteredPages, runs_of
from guiproto.limits import PAGE_SIZE
from shm.region import Region, close_untrusted

_PAGE_MASK: Final = (1 << PAGE_BITS) - 1
_NEWS_AT_ONCE: Final = 4096
"""Announcements read before one mapping; an honest sharer cannot have as many on the way."""


class LocalMapper(PageMapper):
    """Maps pages that domain `peer` shares with domain `domid`, for one session of the vchan between them."""

    def __init__(self, directory: Path, domid: int, peer: int, door: Door | None = None) -> None:
        """Connects if the peer shares pages at all; a domain that does not is found out by its first reference."""
        path = socket_path(directory, peer, domid)
        self._socket = connect(path, socket.SOCK_SEQPACKET) if door is None else door.pages()
        self._shares = self._socket is not None
        self._closed = False
        self._regions: dict[int, Region] = {}
        self._mappings: dict[Region, int] = {}
        self._total = 0
        self._scattered = ScatteredPages()

    def map(self, refs: Refs) -> MappedPages:
        self._take_news()
        # References may also run from the last page of one region number into the next; the bounds catch that.
        runs = [(*self._resolve(first, count), count * PAGE_SIZE) for first, count in runs_of(refs)]
        if len(runs) > 1:
            return self._scattered.map(runs)
        ((region, offset, length),) = runs
        self._hold(region)
        return MappedPages(region, offset, length, None, 0, Once(lambda: self._let_go(region)))

    def close(self) -> None:
        self._closed = True
        if self._socket is not None:
            hang_up(self._socket)
            self._socket = None
        for number in list(self._regions):
            self._remove(number)

    def _resolve(self, first: int, count: int) -> tuple[Region, int]:
        number, page = first >> PAGE_BITS, first & _PAGE_MASK
        region = self._regions.get(number)
        if region is None:
            why = f"region {number} is not shared" if self._shares else "the domain shares no pages"
            raise PeerMisbehaved("page reference", why)
        if (page + count) * PAGE_SIZE > region.size:
            raise PeerMisbehaved("page reference", f"pages {page} to {page + count} of {region.size // PAGE_SIZE}")
        return region, page * PAGE_SIZE

    # --- what the sharer says ---

    def _take_news(self) -> None:
        for _ in range(_NEWS_AT_ONCE):
            if self._socket is None:
                return
            try:
                message, ancillary, flags, _ = self._socket.recvmsg(
                    ANNOUNCEMENT.size, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                message, ancillary, flags = b"", [], 0
            fds = received_descriptors(ancillary)
            if not message and not fds:
                self._socket.close()  # the sharer is gone; what it shared stays mapped
                self._socket = None
                return
            if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) or len(message) != ANNOUNCEMENT.size or len(fds) > 1:
                for fd in fds:
                    close_untrusted(fd)
                raise PeerMisbehaved("page sharing", f"a message of {len(message)} bytes, flags {flags:#x}")
            self._take(message, fds)
        raise PeerMisbehaved("page sharing", f"more than {_NEWS_AT_ONCE} messages at once")

    def _take(self, message: bytes, fds: list[int]) -> None:
        magic, operation, number, zero, size = ANNOUNCEMENT.unpack(message)
        if magic == MAGIC and zero == 0 and operation == ADD and len(fds) == 1:
            self._add(number, size, fds[0])
        elif magic == MAGIC and zero == 0 and operation == REMOVE and not fds and size == 0:
            if number not in self._regions:
                raise PeerMisbehaved("page sharing", f"removes region {number}, which is not shared")
            self._remove(number)
        else:
            for fd in fds:
                close_untrusted(fd)
            raise PeerMisbehaved("page sharing", f"operation {operation} with {len(fds)} descriptors")

    def _add(self, number: int, size: int, fd: int) -> None:
        held = len(self._regions) + len(self._mappings)
        problem = (
            f"region number {number}" if number > MAX_REGION_NUMBER
            else f"region {number} twice" if number in self._regions
            else f"a region of {size} bytes" if size > MAX_REGION_BYTES
            else f"more than {MAX_REGIONS} regions" if len(self._regions) >= MAX_REGIONS or held >= 2 * MAX_REGIONS
            else f"more than {MAX_TOTAL_BYTES} bytes" if self._total + size > MAX_TOTAL_BYTES
            else ""
        )  # fmt: skip
        if problem:
            close_untrusted(fd)
            raise PeerMisbehaved("page sharing", problem)
        self._regions[number] = Region.adopt_untrusted(fd, size)
        self._total += size

    def _remove(self, number: int) -> None:
        region = self._regions.pop(number)
        self._total -= region.size
        if region not in self._mappings:
            region.close()

    def _hold(self, region: Region) -> None:
        self._mappings[region] = self._mappings.get(region, 0) + 1

    def _let_go(self, region: Region) -> None:
        self._mappings[region] -= 1
        if self._mappings[region] == 0:
            del self._mappings[region]
            if region not in self._regions.values():
                region.close()
