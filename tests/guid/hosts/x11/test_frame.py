"""The border is there at every moment, also while this process is not looking."""

import numpy as np
import pytest
from Xlib import X

from guid.core.trusted import Geometry, WindowId
from guid.hosts.x11.frame import Frame
from tests.conformance.hosts.desktop import X11Desktop
from tests.conformance.hosts.pictures import noise

ONE = WindowId(1)
COLOR = 0x2040E0


@pytest.mark.parametrize("size", [(206, 106), (150, 306), (406, 90), (7, 7), (6, 6), (2, 2)])
@pytest.mark.parametrize("override_redirect", [False, True])
def test_nobody_can_make_the_content_cover_the_border(
    desktop: X11Desktop, size: tuple[int, int], override_redirect: bool
) -> None:
    picture = noise(400, 300)
    desktop.show(ONE, Geometry(103, 53, 300, 200), picture, override_redirect=override_redirect)
    desktop.settle()
    outer = desktop.display.create_resource_object("window", desktop.local[ONE])
    outer.configure(width=size[0], height=size[1])  # and the host does not look
    width, height = size
    image = desktop.root.get_image(100, 50, width, height, X.ZPixmap, 0xFFFFFFFF)
    pixels = np.frombuffer(image.data, "<u4").reshape(height, width) & 0xFFFFFF
    for side in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]):
        assert (side == COLOR).all()


def test_what_somebody_makes_larger_is_background_at_once(desktop: X11Desktop) -> None:
    picture = noise(100, 80)
    desktop.show(ONE, Geometry(103, 53, 100, 80), picture)
    desktop.settle()
    outer = desktop.display.create_resource_object("window", desktop.local[ONE])
    outer.configure(width=306, height=206)  # and the host does not look
    image = desktop.root.get_image(103, 53, 300, 200, X.ZPixmap, 0xFFFFFFFF)
    expected = np.full((200, 300), desktop.config.background, np.uint32)
    expected[:80, :100] = picture.pixels
    assert np.array_equal(np.frombuffer(image.data, "<u4").reshape(200, 300) & 0xFFFFFF, expected)


def test_a_frame_takes_any_geometry() -> None:
    frame = Frame(1, 2, 3, 4, 3)
    for edge in (-(2**31), -40000, -1, 0, 1, 16384, 32767, 40000, 2**31):
        for side in (0, 1, 16384, 32767, 65536, 2**31):
            place = frame.clamp(Geometry(edge, edge, side, side))
            assert place.width >= 1
            assert place.x - 3 >= -32768
            assert place.x + place.width + 3 <= 32767
            assert place.y - 3 >= -32768
            assert place.y + place.height + 3 <= 32767
            frame.place(Geometry(edge, edge, side, side))


def test_what_x_can_express_is_left_alone() -> None:
    frame = Frame(1, 2, 3, 4, 3)
    for place in (Geometry(0, 0, 1, 1), Geometry(-16384, -6144, 16384, 6144), Geometry(4000, 3000, 8192, 4320)):
        assert frame.clamp(place) == place
