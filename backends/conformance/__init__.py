"""What a backend must do, as functions that fail with AssertionError and a sentence. No test framework is needed.

A check takes a *maker*, because it needs many fresh pairs of ends:

    from backends.conformance import check_pages, check_vchan, page_maker, vchan_maker

    check_vchan(vchan_maker(backend))
    check_pages(page_maker(backend))

Both ends are made in this process, and in some checks one of them in a forked child. A backend whose ends cannot live
in one domain needs makers of its own, whose ends in the other domain `far_domain` provides. `clogged_maker` makes ends
whose buffers are as small as can be.
"""

from backends.conformance.far import FarDomain, far_domain
from backends.conformance.hostile import PageAttack, check_hostile_pages
from backends.conformance.pages import PageEnds, PageMaker, check_pages, check_scattered_pages, page_maker
from backends.conformance.vchan_ends import VchanEnds, VchanMaker, vchan_maker
from backends.conformance.vchans import check_vchan

if not __debug__:
    raise RuntimeError("the checks are assertions, which `python -O` removes")

__all__ = [
    "FarDomain",
    "PageAttack",
    "PageEnds",
    "PageMaker",
    "VchanEnds",
    "VchanMaker",
    "check_hostile_pages",
    "check_pages",
    "check_scattered_pages",
    "check_vchan",
    "far_domain",
    "page_maker",
    "vchan_maker",
]
