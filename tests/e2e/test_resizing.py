"""While the user resizes a window its content stays at its place, what is new is background, and nothing else shows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Xlib import X

from guid.config.settings import VmSettings
from tests.e2e.rig import Pixels, Rig, wait_for

SIDE = 256
STRIP = 32
"""Rows of it that fit into one request."""
BORDER = 3
AREA = (100, 100, 1100, 900)
"""Of the desktop: where the window is, and some more."""


@pytest.fixture
def rig(tmp_path: Path, source: str) -> Iterator[Rig]:
    with Rig(tmp_path, source=source) as made:
        made.start_agent()
        made.start_daemon()
        yield made


def pattern(width: int, height: int) -> Pixels:
    """Every pixel says where it is."""
    y, x = np.arange(height, dtype=np.uint32) % SIDE, np.arange(width, dtype=np.uint32) % SIDE
    return np.asarray(x[None, :] << 16 | y[:, None] << 8 | 0x55, np.uint32)


def patterned(rig: Rig) -> tuple[Any, dict[str, Any]]:
    """A window of the AppVM whose content is `pattern`, whatever its size; and what guid says of it."""
    root = rig.guest.root
    tile = root.create_pixmap(SIDE, SIDE, 24)
    gc, whole = tile.create_gc(), pattern(SIDE, SIDE).astype("<u4")
    for y in range(0, SIDE, STRIP):
        tile.put_image(gc, 0, y, SIDE, STRIP, X.ZPixmap, 24, 0, whole[y : y + STRIP].tobytes())
    window = root.create_window(300, 200, 400, 300, 0, 24, background_pixmap=tile)
    window.set_wm_name("pattern")
    window.map()
    rig.guest.sync()
    return window, rig.wait_window("pattern")


def strange(screen: Pixels, place: Any, background: int) -> int:
    """How many pixels of the content are neither the pattern's, where they belong, nor background."""
    left, top = place.x - AREA[0] + BORDER, place.y - AREA[1] + BORDER
    content = screen[top : top + place.height - 2 * BORDER, left : left + place.width - 2 * BORDER]
    height, width = content.shape
    return int(((content != pattern(width, height)) & (content != background)).sum())


@pytest.mark.parametrize("busy", [False, True])
def test_a_window_that_is_being_resized_shows_its_content_or_background(rig: Rig, busy: bool) -> None:
    background = VmSettings().background_rgb
    window, row = patterned(rig)
    if busy:
        rig.start_app("xterm", "-geometry", "40x20+1250+500", "-e", "sh", "-c", "while :; do echo busy; done")
    local = rig.desk.window(row["local_id"])
    sizes = np.random.default_rng(1).integers((200, 150), (900, 700), (60, 2)).tolist()
    wrong = []
    for width, height in sizes:
        local.configure(x=200, y=150, width=width, height=height)
        for _ in range(4):
            # One grab, so that place and pixels are of one moment.
            rig.desk.display.grab_server()
            place, screen = local.get_geometry(), rig.desk.pixels(*AREA)
            rig.desk.display.ungrab_server()
            rig.desk.sync()
            wrong.append(strange(screen, place, background))
    assert wrong == [0] * len(wrong)

    def complete() -> bool:
        place = local.get_geometry()
        shown = rig.desk.pixels(place.x + BORDER, place.y + BORDER, place.width - 6, place.height - 6)
        return np.array_equal(shown, pattern(place.width - 6, place.height - 6))

    wait_for("the last size's content", complete)
    assert window.get_geometry().width == width - 2 * BORDER
