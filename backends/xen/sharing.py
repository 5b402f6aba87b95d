"""Pages that a Xen domain grants to one other: memory of gntalloc's, by grant references.

An X server cannot attach that memory: MIT-SHM wants a file that has a size, and gntalloc's device has none. So it
draws into a memfd beside it, and what it drew is copied from there, rectangle by rectangle (`written`). That is one
copy more than elsewhere, in the AppVM.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backends.base import MachineCannot, PageSharer, Refs, SharedPages
from backends.xen.libxen import ffi, library, trouble
from guiproto.limits import BYTES_PER_PIXEL, PAGE_SIZE
from shm.allocator import Allocator, Buffer
from shm.region import Region

_KEEP_PAGES: Final = 4096
"""Grants that nobody uses and that are kept for the next buffer of the same size."""
LIMIT: Final = Path("/sys/module/xen_gntalloc/parameters/limit")
"""The kernel's limit of pages that all processes of this domain grant, together."""


def grant_limit() -> int | None:
    """The kernel's limit, in pages; None where it grants none, or does not say."""
    try:
        return int(LIMIT.read_text())
    except (OSError, ValueError):
        return None


class _Grant:
    """Granted pages in a row, mapped here."""

    def __init__(self, handle: Any, address: Any, refs: Refs) -> None:
        self.address = address
        self.refs = refs
        self.pixels: NDArray[np.uint32] = np.frombuffer(ffi().buffer(address, len(refs) * PAGE_SIZE), np.uint32)
        self._handle = handle

    def give_back(self) -> None:
        """End the grant. Pages that the other domain still maps are freed when it does no more."""
        library("gnttab").xengntshr_unshare(self._handle, self.address, len(self.refs))


class XenSharer(PageSharer):
    """Grants pages to domain `gui_domid`, read-only."""

    def __init__(self, gui_domid: int) -> None:
        """Raises MachineCannot."""
        self._gui_domid = gui_domid
        self._handle = library("gnttab").xengntshr_open(ffi().NULL, 0)
        if self._handle == ffi().NULL:
            raise MachineCannot(f"cannot grant pages: {trouble()}", "is /dev/xen/gntalloc there, and ours?")
        self._allocator = Allocator(lambda size: Region.create(size, "window-buffers"))
        self._views: dict[Region, NDArray[np.uint32]] = {}
        self._grants: dict[tuple[Region, int], _Grant] = {}
        self._idle: list[_Grant] = []
        self._idle_pages = 0

    def allocate(self, length: int) -> SharedPages:
        buffer = self._allocator.allocate(length)
        try:
            grant = self._grant(buffer.length // PAGE_SIZE)
        except MachineCannot:
            self._allocator.release(buffer)
            raise
        self._grants[buffer.region, buffer.offset] = grant
        return SharedPages(buffer.region, buffer.offset, buffer.length, grant.refs)

    def release(self, pages: SharedPages) -> None:
        grant = self._grants.pop((pages.region, pages.offset))
        self._allocator.release(Buffer(pages.region, pages.offset, pages.length))
        self._idle.append(grant)
        self._idle_pages += len(grant.refs)
        while self._idle_pages > _KEEP_PAGES:
            self._forget_idle(0)

    def written(self, pages: SharedPages, width: int, rects: Sequence[tuple[int, int, int, int]]) -> None:
        grant = self._grants[pages.region, pages.offset]
        view = self._views.get(pages.region)
        if view is None:
            view = self._views[pages.region] = np.frombuffer(pages.region.view(), np.uint32)
            pages.region.on_close(self._forget_view)
        rows = pages.length // BYTES_PER_PIXEL // width
        start = pages.offset // BYTES_PER_PIXEL
        source = view[start : start + rows * width].reshape(rows, width)
        target = grant.pixels[: rows * width].reshape(rows, width)
        for x, y, columns, lines in rects:
            target[y : y + lines, x : x + columns] = source[y : y + lines, x : x + columns]

    def close(self) -> None:
        if self._handle is None:
            return
        for grant in (*self._grants.values(), *self._idle):
            grant.give_back()
        self._grants.clear()
        self._idle.clear()
        self._views.clear()
        self._allocator.close()
        library("gnttab").xengntshr_close(self._handle)
        self._handle = None

    def _forget_view(self, region: Region) -> None:
        self._views.pop(region, None)

    def _grant(self, count: int) -> _Grant:
        for at in reversed(range(len(self._idle))):
            if len(self._idle[at].refs) == count:
                self._idle_pages -= count
                return self._idle.pop(at)
        refs = ffi().new("uint32_t[]", count)
        while (address := self._share(count, refs)) == ffi().NULL:
            if not self._idle:
                raise MachineCannot(f"cannot grant {count} pages: {trouble()}", self._remedy(count))
            self._forget_idle(0)
        return _Grant(self._handle, address, np.frombuffer(ffi().buffer(refs), np.uint32).copy())

    def _share(self, count: int, refs: Any) -> Any:
        return library("gnttab").xengntshr_share_pages(self._handle, self._gui_domid, count, refs, 0)

    def _forget_idle(self, at: int) -> None:
        grant = self._idle.pop(at)
        self._idle_pages -= len(grant.refs)
        grant.give_back()

    def _remedy(self, count: int) -> str:
        """Which of the two limits it was. Both are of the whole domain; we know of our own grants only."""
        used = sum(len(grant.refs) for grant in self._grants.values())
        limit = grant_limit()
        if limit is not None and used + count > limit:
            return f"{used} are granted, and the kernel's limit of {limit} in {LIMIT} would be passed"
        return (
            f"{used} are granted; Xen's own limit is the domain's max_grant_frames, the kernel's is {limit} in {LIMIT}"
        )
