"""The icon is the label's colour wherever it is opaque and inside."""

import numpy as np
import pytest
from numpy.typing import NDArray

from guid.config.labels import LABELS
from guid.core.trusted import Geometry, WindowId
from guid.hosts.x11.icon import label_icon
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


def test_managed_windows_have_it_and_menus_do_not(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.show(TWO, PLACE, override_redirect=True)
    desktop.settle()
    name = desktop.display.get_atom("_NET_WM_ICON")
    outer, menu = (desktop.display.create_resource_object("window", desktop.local[number]) for number in (ONE, TWO))
    found = np.asarray(outer.get_full_property(name, 0).value, np.uint32)
    assert found.tobytes() == label_icon(desktop.config.label.color)
    assert menu.get_full_property(name, 0) is None
