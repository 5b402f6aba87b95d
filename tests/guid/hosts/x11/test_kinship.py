"""Window managers see what windows are to each other, and nothing of windows that are gone."""

import pytest

from tests.conformance.hosts.desktop import X11Desktop
from tests.guid.hosts.x11.test_properties import ONE, PLACE, TWO, property_of


def test_no_window_belongs_to_one_that_is_gone(desktop: X11Desktop) -> None:
    desktop.show(TWO, PLACE)
    desktop.show(ONE, PLACE)
    desktop.host.set_transient_for(ONE, TWO)
    assert property_of(desktop, "WM_TRANSIENT_FOR") == ("WINDOW", 32, [desktop.local[TWO]])
    desktop.host.destroy(TWO)
    with pytest.raises(AssertionError, match="missing"):
        property_of(desktop, "WM_TRANSIENT_FOR")


def test_types_follow_from_what_a_window_is_to_others(desktop: X11Desktop) -> None:
    def is_a(kind: str) -> bool:
        wanted = desktop.display.get_atom(f"_NET_WM_WINDOW_TYPE_{kind}")
        return property_of(desktop, "_NET_WM_WINDOW_TYPE") == ("ATOM", 32, [wanted])

    desktop.show(TWO, PLACE)
    desktop.show(ONE, PLACE)
    assert is_a("NORMAL")
    desktop.host.set_transient_for(ONE, TWO)
    assert is_a("DIALOG")
    desktop.host.destroy(TWO)
    assert is_a("NORMAL")
    desktop.host.unmap(ONE)
    desktop.host.map(ONE, override_redirect=True, transient_for=None)
    assert is_a("POPUP_MENU")
