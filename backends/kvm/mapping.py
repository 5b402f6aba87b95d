"""Pages of one KVM guest, mapped here read-only: parts of files that the host made, so their sizes are no guest's word.

References are page numbers in the VM's region, and behind its end in the file of the memory that programs draw into, if
there is one; see `drawing`. Frame numbers, of agents that know no references, are the guest's own
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

    def __init__(self, region: Path, ram: Path | None = None, drawing: Path | None = None) -> None:
        """Raises MachineCannot."""
        fd, size = open_region(region, os.O_RDONLY)
        self._region = Region(fd, size)
        self._ram: Region | None = None
        self._drawing: Region | None = None
        try:
            self._ram = None if ram is None else _memory(ram)
            self._drawing = None if drawing is None else _memory(drawing)
        except MachineCannot:
            self._close()
            raise
        self._scattered = ScatteredPages()
        self._held = 0
        self._closed = False

    def map(self, refs: Refs) -> MappedPages:
        return self._mapped([self._resolve(first, count) for first, count in runs_of(refs)])

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

    def _resolve(self, first: int, count: int) -> tuple[Region, int, int]:
        """Region, offset and length. Raises PeerMisbehaved."""
        offset, length = first * PAGE_SIZE, count * PAGE_SIZE
        behind = offset - self._region.size
        if self._drawing is not None and 0 <= behind <= self._drawing.size - length:
            return self._drawing, behind, length
        if offset < BUFFERS_AT or offset + length > self._region.size:
            raise PeerMisbehaved(
                "page reference",
                f"pages {first} to {first + count}; buffers are in {BUFFERS_AT // PAGE_SIZE} "
                f"to {self._region.size // PAGE_SIZE}",
            )
        return self._region, offset, length

    def _let_go(self) -> None:
        self._held -= 1
        self._close_unless_held()

    def _close_unless_held(self) -> None:
        if self._closed and not self._held:
            self._close()

    def _close(self) -> None:
        for region in (self._region, self._ram, self._drawing):
            if region is not None:
                region.close()


def _memory(path: Path) -> Region:
    """Memory of the VM that is a file of this machine. Raises MachineCannot."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MachineCannot(f"cannot open the VM's memory {path}: {error.strerror}", "does it run?") from None
    return Region(fd, os.fstat(fd).st_size)
