"""Pages of one KVM guest, mapped here read-only: parts of files that the host made, so their sizes are no guest's word.

References are page numbers in the VM's region. Frame numbers, of agents that know no references, are the guest's own
and can be mapped where the VM shares its memory; see `ram`.
"""

import os
from pathlib import Path

from backends.base import MachineCannot, MappedPages, PageMapper, PeerMisbehaved, Refs
from backends.kvm.layout import BUFFERS_AT, open_region
from backends.kvm.ram import locate
from backends.runs import Once, ScatteredPages, runs_of
from guiproto.limits import PAGE_SIZE
from shm.region import Region


class KvmMapper(PageMapper):
    """Maps pages of the VM whose region it is, without copies where they lie in a row."""

    def __init__(self, region: Path, ram: Path | None = None) -> None:
        """Raises MachineCannot."""
        fd, size = open_region(region, os.O_RDONLY)
        self._region = Region(fd, size)
        self._ram: Region | None = None
        if ram is not None:
            try:
                fd = os.open(ram, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                self._region.close()
                raise MachineCannot(f"cannot open the VM's memory {ram}: {error.strerror}", "does it run?") from None
            self._ram = Region(fd, os.fstat(fd).st_size)
        self._scattered = ScatteredPages()
        self._held = 0
        self._closed = False

    def map(self, refs: Refs) -> MappedPages:
        return self._mapped([(self._region, *self._resolve(first, count)) for first, count in runs_of(refs)])

    def map_frames(self, refs: Refs) -> MappedPages:
        if self._ram is None:
            return super().map_frames(refs)
        ram = self._ram
        return self._mapped([(ram, *locate(first, count, ram.size)) for first, count in runs_of(refs)])

    def _mapped(self, runs: list[tuple[Region, int, int]]) -> MappedPages:
        if len(runs) > 1:
            return self._scattered.map(runs)
        ((region, offset, length),) = runs
        self._held += 1
        return MappedPages(region, offset, length, None, 0, Once(self._let_go))

    def close(self) -> None:
        self._closed = True
        self._close_unless_held()

    def _resolve(self, first: int, count: int) -> tuple[int, int]:
        """Offset and length. Raises PeerMisbehaved."""
        offset, length = first * PAGE_SIZE, count * PAGE_SIZE
        if offset < BUFFERS_AT or offset + length > self._region.size:
            raise PeerMisbehaved(
                "page reference",
                f"pages {first} to {first + count}; buffers are in {BUFFERS_AT // PAGE_SIZE} "
                f"to {self._region.size // PAGE_SIZE}",
            )
        return offset, length

    def _let_go(self) -> None:
        self._held -= 1
        self._close_unless_held()

    def _close_unless_held(self) -> None:
        if self._closed and not self._held:
            self._region.close()
            if self._ram is not None:
                self._ram.close()
