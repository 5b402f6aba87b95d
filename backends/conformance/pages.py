"""The half of the contract about sharing and mapping pages."""

import itertools
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import numpy as np

from backends.base import Backend, MappedPages, PageMapper, PageSharer, PeerMisbehaved, Refs, SharedPages
from backends.conformance.far import FarRegion
from backends.conformance.far_end import put
from backends.conformance.waiting import Child, hear, no_descriptor_leaks, seeded
from guiproto.limits import MAX_REFS, PAGE_SIZE


class PageEnds(NamedTuple):
    """How to make the sharer and the mapper of one pair of domains. A mapper is made while its sharer exists."""

    sharer: Callable[[], PageSharer]
    mapper: Callable[[], PageMapper]


PageMaker = Callable[[], PageEnds]
"""Gives the ends of a pair of domains, a different pair each time."""


def page_maker(backend: Backend, first_domid: int = 101, gui_domid: int = 0) -> PageMaker:
    """Ends of `backend`, for a new sharing domain each time."""
    domids = itertools.count(first_domid)

    def make() -> PageEnds:
        domid = next(domids)
        return PageEnds(lambda: backend.sharer(domid, gui_domid), lambda: backend.mapper(gui_domid, domid))

    return make


def check_pages(maker: PageMaker) -> None:
    """Everything that every backend must do."""
    with no_descriptor_leaks("page sharing"):
        check_contents(maker)
        check_parts(maker)
        check_read_only(maker)
        check_reuse(maker)
        check_sessions(maker)
        check_lifetime(maker)
        check_separation(maker)
        check_bad_references(maker)
        check_two_processes(maker)


@contextmanager
def paired(ends: PageEnds) -> Iterator[tuple[PageSharer, PageMapper]]:
    """A sharer and a mapper of it; closed afterwards."""
    sharer = ends.sharer()
    mapper = ends.mapper()
    try:
        yield sharer, mapper
    finally:
        mapper.close()
        sharer.close()


def write(sharer: PageSharer, pages: SharedPages, data: bytes, at: int = 0) -> None:
    """As the guest's display server does, and then its agent."""
    if isinstance(pages.region, FarRegion):
        pages.region.put(pages, at, data)
        return
    put(sharer, pages, data, at)


def seen(mapped: MappedPages) -> bytes:
    """What the GUI domain sees."""
    if mapped.region is None:
        assert mapped.view is not None, "a mapping without a region has no view either"
        return bytes(mapped.view[mapped.offset : mapped.offset + mapped.length])
    with mapped.region.view() as view:
        return bytes(view[mapped.offset : mapped.offset + mapped.length])


def check_contents(maker: PageMaker) -> None:
    """What is written is seen through the mapping, whenever it is written, for small and for large buffers."""
    choose = seeded(1)
    with paired(maker()) as (sharer, mapper):
        held = []
        for size in (1, PAGE_SIZE, PAGE_SIZE + 1, 1920 * 1080 * 4, 64 * 64 * 4):
            pages = sharer.allocate(size)
            _check_shape(pages, size)
            data = choose.randbytes(size)
            write(sharer, pages, data)
            sharer.publish()
            mapped = mapper.map(pages.refs)
            _check_mapping(mapped, pages)
            held.append((pages, mapped, data))
        for pages, mapped, data in held:
            assert seen(mapped)[: len(data)] == data, f"the mapping of {len(data)} bytes shows other bytes"
            later = choose.randbytes(len(data))
            write(sharer, pages, later)
            assert seen(mapped)[: len(data)] == later, "a write after mapping is not seen: the mapping is a copy"
        for pages, mapped, _ in held:
            mapped.release()
            mapped.release()
            sharer.release(pages)


def _check_shape(pages: SharedPages, size: int) -> None:
    assert pages.refs.dtype == np.uint32, f"references are {pages.refs.dtype}, not uint32"
    assert pages.refs.shape == (-(-size // PAGE_SIZE),), f"{size} bytes have references of shape {pages.refs.shape}"
    assert pages.length == len(pages.refs) * PAGE_SIZE, f"length {pages.length} is not that of {len(pages.refs)} pages"
    assert pages.offset % PAGE_SIZE == 0, f"offset {pages.offset} is not page-aligned"
    assert pages.offset + pages.length <= pages.region.size, "pages are outside of their region"


def _check_mapping(mapped: MappedPages, pages: SharedPages) -> None:
    assert mapped.length >= pages.length, f"{pages.length} bytes were referenced, {mapped.length} are mapped"
    if mapped.region is None:
        assert mapped.view is not None, "a mapping without a region has no view either"
        assert mapped.copies >= 1, "a display server that attaches no region gets its pixels copied: copies >= 1"
    else:
        assert mapped.offset + mapped.length <= mapped.region.size, "the mapping is outside of its region"


def check_parts(maker: PageMaker) -> None:
    """Any run of shared pages can be mapped, as often as wanted, and the same memory is the same region."""
    with paired(maker()) as (sharer, mapper):
        pages = sharer.allocate(10 * PAGE_SIZE)
        for index in range(10):
            write(sharer, pages, bytes([index]) * PAGE_SIZE, index * PAGE_SIZE)
        sharer.publish()
        whole = mapper.map(pages.refs)
        for first, end in ((0, 1), (9, 10), (3, 7), (0, 10)):
            part = mapper.map(pages.refs[first:end].copy())
            expected = b"".join(bytes([index]) * PAGE_SIZE for index in range(first, end))
            assert seen(part)[: len(expected)] == expected, f"pages {first} to {end} show other bytes"
            assert part.region is whole.region, "the same memory is another Region the second time"
            part.release()
        assert len(seen(whole)) >= 10 * PAGE_SIZE, "releasing one mapping broke another"
        whole.release()


def check_read_only(maker: PageMaker) -> None:
    """Nothing that a mapper gives can be used to write guest memory."""
    with paired(maker()) as (sharer, mapper):
        pages = sharer.allocate(PAGE_SIZE)
        sharer.publish()
        mapped = mapper.map(pages.refs)
        assert mapped.view is None or mapped.view.readonly, "the view can be written"
        if mapped.region is not None:
            try:
                mmap.mmap(mapped.region.fd, mapped.region.size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            except OSError:
                pass
            else:
                raise AssertionError("the region's descriptor can be mapped writable")
        mapped.release()


def check_reuse(maker: PageMaker) -> None:
    """Buffers come and go, as when a window is resized, without using anything up, and show their latest contents."""
    choose = seeded(2)
    with paired(maker()) as (sharer, mapper):
        for index in range(300):
            pages = sharer.allocate(choose.randint(1, 4 << 20))
            mark = index.to_bytes(4, "little")
            write(sharer, pages, mark, pages.length - 4)
            sharer.publish()
            mapped = mapper.map(pages.refs)
            last = mapper.map(pages.refs[-1:].copy())
            assert seen(last)[PAGE_SIZE - 4 : PAGE_SIZE] == mark, f"buffer {index} shows what an earlier one contained"
            last.release()
            mapped.release()
            sharer.release(pages)


def check_sessions(maker: PageMaker) -> None:
    """A sharer outlives mappers: each new one maps what was shared before it came, and what comes later."""
    ends = maker()
    sharer = ends.sharer()
    sharer.publish()
    early = sharer.allocate(PAGE_SIZE)
    write(sharer, early, b"early")
    sharer.publish()
    for turn in range(10):
        mapper = ends.mapper()
        late = sharer.allocate(8 << 20)
        write(sharer, late, b"late%d" % turn)
        sharer.publish()
        sharer.publish()
        for pages, word in ((late, b"late%d" % turn), (early, b"early")):
            mapped = mapper.map(pages.refs)
            assert seen(mapped)[: len(word)] == word, f"session {turn} sees other bytes"
            mapped.release()
        sharer.release(late)
        mapper.close()
        mapper.close()
    sharer.close()
    sharer.close()


def check_lifetime(maker: PageMaker) -> None:
    """A mapping in use outlives the buffer, its sharer, and its mapper; and gives everything up when released."""
    with no_descriptor_leaks("a mapping that outlived its mapper"):
        ends = maker()
        sharer, mapper = ends.sharer(), ends.mapper()
        pages = sharer.allocate(8 << 20)
        write(sharer, pages, b"still here")
        sharer.publish()
        mapped = mapper.map(pages.refs)
        sharer.close()
        assert seen(mapped)[:10] == b"still here", "the mapping did not outlive its sharer"
        # A sharer that is gone may make new references bad. It may not make the mapper fail in any other way.
        with suppress(PeerMisbehaved):
            mapper.map(pages.refs).release()
        mapper.close()
        assert seen(mapped)[:10] == b"still here", "the mapping did not outlive its mapper"
        mapped.release()


def check_separation(maker: PageMaker) -> None:
    """References of one domain never lead to memory of another."""
    with paired(maker()) as (sharer, mapper), paired(maker()) as (other_sharer, other_mapper):
        secret = sharer.allocate(64 * PAGE_SIZE)
        write(sharer, secret, b"SECRET.." * (secret.length // 8))
        others = other_sharer.allocate(PAGE_SIZE)
        write(other_sharer, others, b"public")
        sharer.publish()
        other_sharer.publish()
        for refs in (secret.refs, secret.refs[:1].copy(), secret.refs[-1:].copy()):
            try:
                mapped = other_mapper.map(refs)
            except PeerMisbehaved:
                continue
            assert b"SECRET" not in seen(mapped), "a domain's references show another domain's memory"
            mapped.release()
        mapper.map(secret.refs).release()


def check_bad_references(maker: PageMaker) -> None:
    """Whatever numbers a domain sends: they are its own pages, or PeerMisbehaved, and the good ones stay good."""
    choose = np.random.default_rng(3)
    with paired(maker()) as (sharer, mapper):
        pages = sharer.allocate(4 * PAGE_SIZE)
        write(sharer, pages, b"good")
        sharer.publish()
        last = int(pages.refs[-1])
        bad: list[Refs] = [
            np.empty(0, np.uint32),
            np.array([0xFFFFFFFF], np.uint32),
            np.array([0xFFFFFFFF, 0], np.uint32),
            np.arange(last, last + MAX_REFS, dtype=np.uint64).astype(np.uint32),
            np.full(MAX_REFS, last, np.uint32),
            np.zeros(MAX_REFS + 1, np.uint32),
            *(choose.integers(0, 1 << 32, count, np.uint32) for count in (1, 2, 100, 10_000) for _ in range(5)),
            *(np.array([last ^ 1 << bit, last], np.uint32) for bit in range(32)),
        ]
        refused = 0
        for refs in bad:
            try:
                mapper.map(refs).release()
            except PeerMisbehaved:
                refused += 1
        assert refused, "references that nobody shares are mapped"
        mapped = mapper.map(pages.refs)
        assert seen(mapped)[:4] == b"good", "after bad references, good ones show other bytes"
        mapped.release()


def check_scattered_pages(maker: PageMaker) -> None:
    """Pages in any order, of several buffers, are one range in that order, live and read-only.

    For backends whose references may come from allocators that scatter pages; others refuse with PeerMisbehaved.
    """
    with paired(maker()) as (sharer, mapper):
        buffers = [sharer.allocate(16 * PAGE_SIZE) for _ in range(2)]
        for number, pages in enumerate(buffers):
            for index in range(16):
                write(sharer, pages, bytes([16 * number + index]) * PAGE_SIZE, index * PAGE_SIZE)
        sharer.publish()
        order = [3, 4, 5, 31, 0, 0, 16, 17, 2, 1]
        refs = np.concatenate([pages.refs for pages in buffers])[order]
        mapped = mapper.map(refs)
        assert mapped.region is None, "scattered pages cannot be one range of a region"
        assert mapped.copies >= 1, "a display server that attaches no region gets its pixels copied: copies >= 1"
        assert mapped.view is not None, "scattered pages have no view"
        assert mapped.view.readonly, "the view of scattered pages can be written"
        expected = b"".join(bytes([value]) * PAGE_SIZE for value in order)
        assert seen(mapped) == expected, "scattered pages are not in the order of their references"
        write(sharer, buffers[1], b"new", 15 * PAGE_SIZE)
        assert seen(mapped)[3 * PAGE_SIZE :][:3] == b"new", "a write after mapping is not seen: the mapping is a copy"
        sharer.close()
        mapper.close()
        assert seen(mapped)[: 3 * PAGE_SIZE] == expected[: 3 * PAGE_SIZE], "the mapping did not outlive its sharer"
        mapped.release()


def check_two_processes(maker: PageMaker) -> None:
    """The sharer is in another process; what it wrote is seen here, also after it was killed."""
    ends = maker()
    news, tell = os.pipe()
    go, let_go = os.pipe()

    def guest() -> None:
        sharer = ends.sharer()
        os.write(tell, b"!")
        pages = sharer.allocate(5 << 20)
        hear(go, 1, "the GUI domain's mapper")
        sharer.publish()
        os.write(tell, pages.refs.tobytes())
        hear(go, 1, "the GUI domain's mapping")
        write(sharer, pages, b"from afar", pages.length - 9)
        os.write(tell, b"!")
        hear(go, 1, "the end, which comes by force")

    child = Child(guest)
    try:
        hear(news, 1, "a sharer in another process")
        mapper = ends.mapper()
        os.write(let_go, b".")
        refs = np.frombuffer(hear(news, 1 << 16, "references"), np.uint32)
        mapped = mapper.map(refs)
        os.write(let_go, b".")
        hear(news, 1, "a write")
        child.kill()
        assert seen(mapped)[(5 << 20) - 9 : 5 << 20] == b"from afar", "what another process wrote is not seen"
        mapper.close()
        mapped.release()
    finally:
        for fd in (news, tell, go, let_go):
            os.close(fd)
