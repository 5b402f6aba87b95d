"""Pages of one Xen domain, mapped here read-only: granted ones by gntdev, any of them by their frames.

An X server cannot attach either device, so the display host copies what it shows, once, and says so (`copies`).
"""

from collections.abc import Callable
from typing import Any, Final

from backends.base import MachineCannot, MappedPages, PageMapper, PeerMisbehaved, Refs
from backends.runs import Once
from backends.xen.libxen import ffi, library, trouble
from guiproto.limits import MAX_REFS, PAGE_SIZE

_PROT_READ: Final = 1


class XenMapper(PageMapper):
    """Maps pages of domain `peer`. `frames`: whether also by frame number, which takes a privileged domain."""

    def __init__(self, peer: int, *, frames: bool) -> None:
        """Raises MachineCannot."""
        self._peer = peer
        self._frames = frames
        self._gnttab = library("gnttab").xengnttab_open(ffi().NULL, 0)
        if self._gnttab == ffi().NULL:
            raise MachineCannot(f"cannot map granted pages: {trouble()}", "is /dev/xen/gntdev there, and ours?")
        self._foreign: Any = None
        self._held = 0
        self._closed = False

    def map(self, refs: Refs) -> MappedPages:
        count = _checked(refs)
        wanted = ffi().new("uint32_t[]", refs.tolist())
        address = library("gnttab").xengnttab_map_domain_grant_refs(self._gnttab, count, self._peer, wanted, _PROT_READ)
        if address == ffi().NULL:
            raise PeerMisbehaved("page reference", f"{count} grants, not all of which are: {trouble()}")
        return self._mapped(address, count, lambda: library("gnttab").xengnttab_unmap(self._gnttab, address, count))

    def map_frames(self, refs: Refs) -> MappedPages:
        if not self._frames:
            return super().map_frames(refs)
        count = _checked(refs)
        foreign = library("foreignmemory")
        if self._foreign is None:
            self._foreign = foreign.xenforeignmemory_open(ffi().NULL, 0)
            if self._foreign == ffi().NULL:
                self._foreign = None
                raise MachineCannot(f"cannot map frames: {trouble()}", "is xen-privcmd loaded, and is this dom0?")
        errors = ffi().new("int[]", count)
        frames = ffi().new("uint64_t[]", refs.tolist())
        address = foreign.xenforeignmemory_map(self._foreign, self._peer, _PROT_READ, count, frames, errors)
        bad = [index for index in range(count) if errors[index]]
        if address == ffi().NULL or bad:
            if address != ffi().NULL:
                foreign.xenforeignmemory_unmap(self._foreign, address, count)
            raise PeerMisbehaved("frame number", f"{len(bad) or count} of {count} frames cannot be mapped")
        handle = self._foreign
        return self._mapped(address, count, lambda: foreign.xenforeignmemory_unmap(handle, address, count))

    def close(self) -> None:
        self._closed = True
        self._close_unless_held()

    def _mapped(self, address: Any, count: int, unmap: Callable[[], object]) -> MappedPages:
        view = memoryview(ffi().buffer(address, count * PAGE_SIZE)).toreadonly()
        self._held += 1

        def release() -> None:
            unmap()
            self._held -= 1
            self._close_unless_held()

        return MappedPages(None, 0, count * PAGE_SIZE, view, 1, Once(release))

    def _close_unless_held(self) -> None:
        if self._closed and not self._held and self._gnttab is not None:
            library("gnttab").xengnttab_close(self._gnttab)
            self._gnttab = None
            if self._foreign is not None:
                library("foreignmemory").xenforeignmemory_close(self._foreign)
                self._foreign = None


def _checked(refs: Refs) -> int:
    if not 0 < len(refs) <= MAX_REFS:
        raise PeerMisbehaved("page reference", f"{len(refs)} references at once")
    return len(refs)
