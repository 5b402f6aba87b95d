"""The suite notices page sharing that does not keep the contract: each of these breaks one sentence of it."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backends.base import MachineCannot, MappedPages, Refs, SharedPages
from backends.conformance import PageEnds, PageMaker, check_pages, check_scattered_pages
from backends.local.mapping import LocalMapper
from backends.local.sharing import LocalSharer
from guiproto.errors import PeerMisbehaved
from guiproto.limits import PAGE_SIZE
from shm.region import Region


class Copies(LocalMapper):
    def map(self, refs: Refs) -> MappedPages:
        mapped = super().map(refs)
        if mapped.region is None:
            assert mapped.view is not None
            return dataclasses.replace(mapped, view=memoryview(bytes(mapped.view)))
        with mapped.region.view() as view:
            copy = bytes(view[mapped.offset : mapped.offset + mapped.length])
        return MappedPages(None, 0, len(copy), memoryview(copy), 1, mapped.release)


class Writable(LocalMapper):
    def map(self, refs: Refs) -> MappedPages:
        mapped = super().map(refs)
        if mapped.region is not None:
            reopened = os.open(f"/proc/self/fd/{mapped.region.fd}", os.O_RDWR)
            os.dup2(reopened, mapped.region.fd)
            os.close(reopened)
        return mapped


class AnotherRegionEachTime(LocalMapper):
    def map(self, refs: Refs) -> MappedPages:
        mapped = super().map(refs)
        assert mapped.region is not None
        return dataclasses.replace(mapped, region=Region(mapped.region.fd, mapped.region.size))


class OnePageOff(LocalMapper):
    def map(self, refs: Refs) -> MappedPages:
        mapped = super().map(refs)
        return dataclasses.replace(mapped, offset=mapped.offset + PAGE_SIZE)


class TooShort(LocalMapper):
    def map(self, refs: Refs) -> MappedPages:
        mapped = super().map(refs)
        return dataclasses.replace(mapped, length=mapped.length - PAGE_SIZE)


class DiesWithItsMapper(LocalMapper):
    def close(self) -> None:
        regions = list(self._regions.values())
        super().close()
        for region in regions:
            region.close()


class RaisesWhatItLikes(LocalMapper):
    def map(self, refs: Refs) -> MappedPages:
        try:
            return super().map(refs)
        except PeerMisbehaved:
            raise KeyError(len(refs)) from None


class MapsAnything(LocalMapper):
    def map(self, refs: Refs) -> MappedPages:
        return super().map(np.zeros_like(refs)[:1])


class SortsPages(LocalMapper):
    def map(self, refs: Refs) -> MappedPages:
        return super().map(np.sort(refs))


class PublishesNothing(LocalSharer):
    def publish(self) -> None: ...


class PublishesOnce(LocalSharer):
    def publish(self) -> None:
        if not self._known_to_peer:
            super().publish()


class NeverReuses(LocalSharer):
    allocated = 0

    def allocate(self, length: int) -> SharedPages:
        self.allocated += length
        if self.allocated > 256 << 20:
            raise MachineCannot("all is used up")
        return super().allocate(length)


class Leaks(LocalSharer):
    def close(self) -> None:
        LEAKED.append(os.eventfd(0))
        super().close()


LEAKED: list[int] = []


def maker_of(flaw: type[LocalMapper | LocalSharer], directory: Path) -> PageMaker:
    """Ends of the local backend, one of them with the flaw."""
    mapper = flaw if issubclass(flaw, LocalMapper) else LocalMapper
    sharer = flaw if issubclass(flaw, LocalSharer) else LocalSharer
    domids = iter(range(1, 100))

    def make() -> PageEnds:
        domid = next(domids)
        return PageEnds(lambda: sharer(directory, domid, 0), lambda: mapper(directory, 0, domid))

    return make


@pytest.mark.parametrize(
    ("flaw", "complaint", "check"),
    [
        (Copies, "is a copy", check_pages),
        (Copies, "is a copy", check_scattered_pages),
        (Writable, "mapped writable", check_pages),
        (AnotherRegionEachTime, "another Region", check_pages),
        (OnePageOff, "other bytes", check_pages),
        (TooShort, "are mapped", check_pages),
        (SortsPages, "order", check_scattered_pages),
        (DiesWithItsMapper, "did not outlive", check_pages),
        (MapsAnything, "are mapped", check_pages),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a check that fails closes little
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_flaw_is_noticed(
    flaw: type[LocalMapper], complaint: str, check: Callable[[PageMaker], None], socket_dir: Path
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check(maker_of(flaw, socket_dir))


@pytest.mark.parametrize(
    ("flaw", "error"),
    [
        (RaisesWhatItLikes, KeyError),
        (PublishesNothing, PeerMisbehaved),
        (PublishesOnce, PeerMisbehaved),
        (NeverReuses, MachineCannot),
        (Leaks, AssertionError),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a check that fails closes little
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_error_is_not_hidden(
    flaw: type[LocalMapper | LocalSharer], error: type[Exception], socket_dir: Path
) -> None:
    with pytest.raises(error):
        check_pages(maker_of(flaw, socket_dir))
    while LEAKED:
        os.close(LEAKED.pop())
