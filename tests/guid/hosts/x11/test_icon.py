"""The padlock is the label's colour wherever it is opaque and inside; a VM's own icon has the label's hue."""

import numpy as np
import pytest
from numpy.typing import NDArray

from guid.config.labels import LABELS
from guid.core.trusted import Geometry, Icon, WindowId
from guid.hosts.x11.icon import label_icon
from guid.hosts.x11.tint import tinted
from tests.conformance.hosts.desktop import X11Desktop

ONE, TWO = WindowId(1), WindowId(2)
PLACE = Geometry(100, 100, 200, 150)


def icons(data: bytes) -> list[NDArray[np.uint32]]:
    words = np.frombuffer(data, np.uint32)
    found = []
    while len(words):
        width, height = words[:2].tolist()
        found.append(words[2 : 2 + width * height].reshape(height, width))
        words = words[2 + width * height :]
    return found


@pytest.mark.parametrize("color", [label.color for label in LABELS.values()])
def test_it_has_the_labels_colour_on_nothing(color: int) -> None:
    made = icons(label_icon(color))
    assert [icon.shape for icon in made] == [(16, 16), (32, 32), (48, 48)]
    for icon in made:
        size = len(icon)
        assert icon[0, 0] >> 24 == 0
        assert icon[size * 3 // 4, size // 2] == 0xFF000000 | color
        assert np.array_equal(icon, icon[:, ::-1])
        assert 0.3 < (icon >> 24).mean() / 255 < 0.7


def shown(desktop: X11Desktop, window: WindowId) -> bytes | None:
    """_NET_WM_ICON on the desktop."""
    desktop.settle()
    outer = desktop.display.create_resource_object("window", desktop.local[window])
    found = outer.get_full_property(desktop.display.get_atom("_NET_WM_ICON"), 0)
    return None if found is None else np.asarray(found.value, np.uint32).tobytes()


@pytest.mark.parametrize("early", [True, False])
def test_a_vms_own_in_the_labels_colours(desktop: X11Desktop, early: bool) -> None:
    host, color = desktop.host, desktop.config.label.color
    icon = Icon(np.array([[0xFF7F0000, 0x80FFFFFF, 0x00123456]], np.uint32))
    if early:
        desktop.local[ONE] = host.create(ONE, PLACE, override_redirect=False)
        host.set_icon(ONE, icon)
        host.map(ONE, override_redirect=False, transient_for=None)
    else:
        desktop.show(ONE, PLACE)
        host.set_icon(ONE, icon)
    data = shown(desktop, ONE)
    assert data is not None
    width, height, dark, white, clear = np.frombuffer(data, np.uint32).tolist()
    assert (width, height) == (3, 1)
    assert dark == 0xFF000000 | int(tinted(np.array([0x7F0000], np.uint32), color)[0])
    assert white == 0x80FFFFFF
    assert clear >> 24 == 0
    host.set_icon(ONE, None)
    assert shown(desktop, ONE) == label_icon(color)


def test_menus_have_none_whatever_the_vm_says(desktop: X11Desktop) -> None:
    desktop.show(TWO, PLACE, override_redirect=True)
    desktop.host.set_icon(TWO, Icon(np.array([[0xFF7F0000]], np.uint32)))
    assert shown(desktop, TWO) is None


def test_managed_windows_have_it_and_menus_do_not(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.show(TWO, PLACE, override_redirect=True)
    desktop.settle()
    name = desktop.display.get_atom("_NET_WM_ICON")
    outer, menu = (desktop.display.create_resource_object("window", desktop.local[number]) for number in (ONE, TWO))
    found = np.asarray(outer.get_full_property(name, 0).value, np.uint32)
    assert found.tobytes() == label_icon(desktop.config.label.color)
    assert menu.get_full_property(name, 0) is None
