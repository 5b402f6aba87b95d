"""Dom0 as both ends: the backend's checks without a second domain, for what needs none."""

from backends.conformance import PageEnds, check_scattered_pages, check_vchan, vchan_maker
from backends.xen import factory


def test_vchan() -> None:
    check_vchan(vchan_maker(factory({}), 0, 0))


def test_scattered_pages() -> None:
    backend = factory({})
    check_scattered_pages(lambda: PageEnds(lambda: backend.sharer(0, 0), lambda: backend.mapper(0, 0)))
