"""The backend between this machine and real guests: vchans and pages do what every backend's must."""

import itertools
from functools import partial

import pytest

from backends.conformance import PageEnds, VchanEnds, check_pages, check_vchan, waiting
from tests.kvm.rig import CHECKS_PORT, NAMES, Guests, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no virtual machines here: {why_not()}"),
    pytest.mark.timeout(1200),
]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call in the guest is a message there and back, through an emulated processor."""
    monkeypatch.setattr(waiting, "DEADLINE", 120.0)


def test_vchan(rig: Guests) -> None:
    here = rig.backend_for("one")
    with rig.far("one") as guest:
        check_vchan(lambda: VchanEnds(guest.server(1, 0, CHECKS_PORT), lambda: here.client(0, 1, CHECKS_PORT)))


def test_pages(rig: Guests) -> None:
    """Pairs of domains are the two guests in turn."""
    here = [rig.backend_for(name) for name in NAMES]
    with rig.far("one") as one, rig.far("two") as two:
        pairs = itertools.cycle(
            PageEnds(guest.sharer(domid, 0), partial(backend.mapper, 0, domid))
            for domid, guest, backend in zip((1, 2), (one, two), here, strict=True)
        )
        check_pages(lambda: next(pairs))
