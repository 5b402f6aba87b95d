"""Vchans and pages between dom0 and real domUs."""

import itertools
from functools import partial

import pytest

from backends.conformance import (
    PageEnds,
    VchanEnds,
    check_pages,
    check_scattered_pages,
    check_vchan,
    vchan_flow,
    vchans,
    waiting,
)
from backends.xen import factory, vchan
from tests.xen.inside.conftest import SECOND, Guests

PORTS = itertools.count(7000)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "DEADLINE", 400.0)
    monkeypatch.setattr(waiting, "PROMPT", 5.0)
    monkeypatch.setattr(vchan, "RING_BYTES", 1024)  # of servers here: as small as libxenvchan makes them
    monkeypatch.setattr(vchan_flow, "_TRANSFER_BYTES", 192 * 1024)  # three times around each ring
    monkeypatch.setattr(vchans, "_ECHO_BYTES", 128 * 1024)


@pytest.mark.parametrize("name", ["one"] if Guests.kinds["one"][0] == SECOND else ["one", "two"])
def test_vchan(guests: Guests, name: str) -> None:
    """The server is in the domain; and where rings are as small as possible, here. With a domain of each kind."""
    here, domid = factory({}), guests.domid(name)

    def make() -> VchanEnds:
        port = next(PORTS)
        return VchanEnds(far.server(domid, 0, port), partial(here.client, 0, domid, port))

    def make_clogged() -> VchanEnds:
        port = next(PORTS)
        return VchanEnds(partial(here.server, 0, domid, port), far.client(domid, 0, port))

    with guests.far(name) as far:
        check_vchan(make, make_clogged)


def test_pages(guests: Guests) -> None:
    """Pairs of domains are dom0 and the two guests in turn."""
    here = factory({})
    with guests.far("one") as one, guests.far("two") as two:
        pairs = itertools.cycle(
            PageEnds(far.sharer(domid, 0), partial(here.mapper, 0, domid))
            for domid, far in ((guests.domid("one"), one), (guests.domid("two"), two))
        )
        check_pages(lambda: next(pairs))
        check_scattered_pages(lambda: next(pairs))
