"""What a domain may do to one that maps its pages: every lie is refused, and no death costs more than its session."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from backends.base import PageMapper, Refs
from backends.conformance import FarDomain, PageAttack, check_hostile_pages, waiting
from backends.xen import factory
from guiproto.limits import MAX_REFS
from tests.e2e.rig import wait_for
from tests.xen.inside.conftest import Guests

PIECE = 8 << 20
LIMIT = "/sys/module/xen_gntalloc/parameters/limit"


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "DEADLINE", 120.0)
    monkeypatch.setattr(waiting, "PROMPT", 10.0)


def _attack(guests: Guests, far: FarDomain, change: Callable[[Refs], Refs], gui_domid: int = 0) -> PageAttack:
    """The first domain grants pages to `gui_domid`, and says that they are others."""

    @contextmanager
    def attack() -> Iterator[tuple[PageMapper, Refs]]:
        domid = guests.domid("one")
        sharer = far.sharer(domid, gui_domid)()
        refs = change(sharer.allocate(16 * 4096).refs)
        yield factory({}).mapper(0, domid), refs
        sharer.close()

    return attack


def _revoked(guests: Guests, far: FarDomain) -> PageAttack:
    """It had granted them."""

    @contextmanager
    def attack() -> Iterator[tuple[PageMapper, Refs]]:
        domid = guests.domid("one")
        sharer = far.sharer(domid, 0)()
        refs = sharer.allocate(64 * 4096).refs
        sharer.close()
        yield factory({}).mapper(0, domid), refs

    return attack


@contextmanager
def _nobody() -> Iterator[tuple[PageMapper, Refs]]:
    """There is no such domain."""
    yield factory({}).mapper(0, 0x7FEF), np.arange(8, 16, dtype=np.uint32)


def test_lies_about_grants(guests: Guests) -> None:
    def with_last(value: int) -> Callable[[Refs], Refs]:
        return lambda refs: np.append(refs[:-1], np.uint32(value))

    with guests.far("one") as far:
        attack = partial(_attack, guests, far)
        check_hostile_pages(
            {
                "one that is none": attack(with_last(0xFFFFFFFF)),
                "behind the table": attack(with_last(1 << 20)),
                "nothing": attack(lambda refs: refs[:0]),
                "too many": attack(lambda refs: np.resize(refs, MAX_REFS + 1)),
                "a whole screen of none": attack(lambda _: np.full(8192, 0xFFFFFFF0, np.uint32)),
                "pages for another domain": attack(lambda refs: refs, guests.domid("two")),
                "revoked": _revoked(guests, far),
                "a domain that is none": _nobody,
            }
        )


def _fill(far: FarDomain, domid: int) -> str:
    """Have the domain grant pages until it cannot; what it says then. Afterwards it can again."""
    sharer = far.sharer(domid, 0)()
    said, pieces = "", 0
    while not said:
        try:
            sharer.allocate(PIECE)
            pieces += 1
        except AssertionError as error:
            said = str(error)  # and the line ends, as by a death, with all grants
    assert pieces > 1

    def can_again() -> bool:
        with contextlib.suppress(AssertionError):
            sharer = far.sharer(domid, 0)()
            sharer.allocate(PIECE)
            sharer.close()
            return True
        return False

    wait_for("room for grants again", can_again, 60)
    return said


def test_limits_of_grants_are_named_and_passed_again(guests: Guests) -> None:
    domid = guests.domid("one")
    with guests.far("one") as far:
        guests.root("one", f"cat {LIMIT}; echo 7000 > {LIMIT}")
        said = _fill(far, domid)
        assert "MachineCannot: cannot grant 2048 pages" in said
        assert f"the kernel's limit of 7000 in {LIMIT}" in said
        guests.root("one", f"echo 131072 > {LIMIT}; echo done")
        said = _fill(far, domid)
        assert "MachineCannot: cannot grant 2048 pages" in said
        assert "Xen's own limit is the domain's max_grant_frames" in said
