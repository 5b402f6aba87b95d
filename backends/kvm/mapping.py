"""Pages of one KVM guest, mapped here read-only: parts of a file that the host made, so its size is no guest's word."""

import os
from pathlib import Path

from backends.base import MachineCannot, MappedPages, PageMapper, PeerMisbehaved, Refs
from backends.kvm.layout import BUFFERS_AT, checked_size
from backends.runs import Once, ScatteredPages, runs_of
from guiproto.limits import PAGE_SIZE
from shm.region import Region


class KvmMapper(PageMapper):
    """Maps pages of the VM whose region it is, without copies where they lie in a row."""

    def __init__(self, region: Path) -> None:
        """Raises MachineCannot."""
        try:
            fd = os.open(region, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise MachineCannot(
                f"cannot open the VM's shared memory {region}: {error.strerror}", "does the VM run, and is it yours?"
            ) from None
        try:
            size = checked_size(region, os.fstat(fd).st_size)
        except BaseException:
            os.close(fd)
            raise
        self._region = Region(fd, size)
        self._scattered = ScatteredPages()
        self._held = 0
        self._closed = False

    def map(self, refs: Refs) -> MappedPages:
        runs = [(self._region, *self._resolve(first, count)) for first, count in runs_of(refs)]
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
