"""A host finds the keys that the user types a keysym with, and says when they may have moved."""

from guid.core.host_events import KeyboardEvent
from tests.conformance.hosts.desktop import Desktop


def test_a_key_has_keycodes_and_a_name_that_is_none_has_not(desktop: Desktop) -> None:
    desktop.give_keys({"c": 54, "F12": 96})
    desktop.settle()
    assert 54 in desktop.host.keycodes("c")
    assert 96 in desktop.host.keycodes("F12")
    assert desktop.host.keycodes("nonsense") == frozenset()


def test_a_key_that_moves_is_told_and_found(desktop: Desktop) -> None:
    desktop.give_keys({"c": 54, "Greek_psi": 55})
    desktop.settle()
    assert desktop.host.keycodes("Greek_psi") == {55}
    desktop.give_keys({"c": 55, "Greek_psi": 54})
    assert KeyboardEvent() in desktop.settle()
    assert desktop.host.keycodes("Greek_psi") == {54}
    assert 55 in desktop.host.keycodes("c")
    desktop.give_keys({"c": 54})
    desktop.settle()
