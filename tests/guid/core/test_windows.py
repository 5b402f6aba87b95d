"""The table's own bookkeeping, where a conversation would take too long to get there."""

import pytest

from guid.core.config import Quotas
from guid.core.placement import Placement
from guid.core.trusted import Geometry, WindowId
from guid.core.windows import Window, WindowTable
from guiproto.errors import PeerMisbehaved

PLACE = Geometry(0, 0, 5, 5)


def table(count: int, quotas: Quotas | None = None) -> WindowTable:
    windows = WindowTable(quotas or Quotas())
    for number in range(1, count + 1):
        assert windows.has_room(number)
        windows.add(Window(WindowId(number), Placement(PLACE, PLACE), override_redirect=False))
    return windows


def known(windows: WindowTable, number: int) -> Window:
    window = windows.find(number)
    assert window is not None
    return window


def test_a_chain_of_owners_is_followed_to_a_bound() -> None:
    windows = table(50)
    for number in range(1, 50):
        window = known(windows, number + 1)
        window.transient_for = windows.owner(window, number)
    assert [number for number in range(1, 51) if known(windows, number).transient_for is None] == [1, 34]


def test_owners_never_form_a_circle() -> None:
    windows = table(3)
    for number, owner in ((1, 2), (2, 3), (3, 1)):
        window = known(windows, number)
        window.transient_for = windows.owner(window, owner)
    assert [known(windows, number).transient_for for number in (1, 2, 3)] == [2, 3, None]


def test_pages_are_given_back() -> None:
    windows = table(2, Quotas(pages=10))
    one, two = known(windows, 1), known(windows, 2)
    windows.attach(one, (1, 1), 8)
    assert not windows.has_pages(two, 3)
    assert windows.has_pages(one, 10)
    windows.attach(one, None, 0)
    assert windows.has_pages(two, 10)
    windows.attach(two, (1, 1), 10)
    windows.remove(2)
    assert windows.has_pages(one, 10)


def test_refused_ids_are_known_until_destroyed() -> None:
    windows = table(1, Quotas(windows=1, refused=1))
    assert not windows.has_room(2)
    assert windows.get(2) is None
    with pytest.raises(PeerMisbehaved, match=r"^quota: windows"):
        windows.has_room(3)
    windows.remove(2)
    assert not windows.knows(2)
    assert not windows.has_room(3)


class Counted(int):
    """A window's number that counts how often it is compared."""

    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return int(self) == other

    __hash__ = int.__hash__


def test_a_window_is_found_without_looking_at_all_the_others() -> None:
    windows = table(1500)
    Counted.comparisons = 0
    for number in range(1, 1500, 100):
        assert windows.find(Counted(number)) is windows.get(Counted(number)) is not None
    assert 0 < Counted.comparisons < 15 * 2 * 20
