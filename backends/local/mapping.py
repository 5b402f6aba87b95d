"""Pages of one local domain, mapped here read-only: what `sharing` announces, distrusted in every byte.

Nothing that the domain sends makes this process block, hold more than a fixed number of descriptors and mappings, or
raise anything but PeerMisbehaved. The memory itself cannot shrink under its readers, see `Region.adopt_untrusted`.
"""

import socket
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backends.base import MappedPages, PageMapper, PeerMisbehaved, Refs
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
from guiproto.limits import MAX_REFS, PAGE_SIZE
from shm.region import Region, close_untrusted, joined_view

_PAGE_MASK: Final = (1 << PAGE_BITS) - 1
_NEWS_AT_ONCE: Final = 4096
"""Announcements read before one mapping; an honest sharer cannot have as many on the way."""
_MAX_RUNS: Final = 1024
_MAX_RUNS_TOTAL: Final = 16384
"""Every run of scattered pages is a mapping of its own, and Linux gives a process 65530."""


class LocalMapper(PageMapper):
    """Maps pages that domain `peer` shares with domain `domid`, for one session of the vchan between them."""

    def __init__(self, directory: Path, domid: int, peer: int) -> None:
        """Connects if the peer shares pages at all; a domain that does not is found out by its first reference."""
        self._socket = connect(socket_path(directory, peer, domid), socket.SOCK_SEQPACKET)
        self._shares = self._socket is not None
        self._closed = False
        self._regions: dict[int, Region] = {}
        self._mappings: dict[Region, int] = {}
        self._total = 0
        self._runs = 0

    def map(self, refs: Refs) -> MappedPages:
        self._take_news()
        if not 0 < len(refs) <= MAX_REFS:
            raise PeerMisbehaved("page reference", f"{len(refs)} references at once")
        starts = np.flatnonzero(refs[1:] - refs[:-1] != 1) + 1
        # References may also run from the last page of one region number into the next; the bounds catch that.
        if len(starts) == 0:
            region, offset = self._resolve(int(refs[0]), len(refs))
            self._hold(region)
            return MappedPages(region, offset, len(refs) * PAGE_SIZE, None, 0, _Once(lambda: self._let_go(region)))
        return self._map_scattered(refs, starts)

    def close(self) -> None:
        self._closed = True
        if self._socket is not None:
            hang_up(self._socket)
            self._socket = None
        for number in list(self._regions):
            self._remove(number)

    def _map_scattered(self, refs: Refs, starts: NDArray[np.intp]) -> MappedPages:
        count = len(starts) + 1
        if count > _MAX_RUNS or self._runs + count > _MAX_RUNS_TOTAL:
            raise PeerMisbehaved("page reference", f"pages scattered over {count} runs")
        bounds = [0, *starts.tolist(), len(refs)]
        runs = [
            (*self._resolve(int(refs[start]), end - start), (end - start) * PAGE_SIZE)
            for start, end in pairwise(bounds)
        ]
        try:
            view = joined_view(runs)
        except OSError as error:
            raise PeerMisbehaved("page reference", f"the pages cannot be mapped: {error.strerror}") from None
        self._runs += count

        def release() -> None:
            self._runs -= count

        return MappedPages(None, 0, len(view), view, 1, _Once(release))

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


class _Once:
    """Calls `action` the first time it is called."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    def __call__(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()
