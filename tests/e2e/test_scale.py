"""Windows that are shown twice as large as their AppVM thinks, through both programs and two X servers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Xlib import X
from Xlib.protocol import event

from guid.config.labels import LABELS
from tests.e2e.rig import Pixels, Rig, wait_for
from tests.guid.hosts.x11.managed import start_openbox

SCALE, BORDER = 2, 3


@pytest.fixture
def rig(tmp_path: Path, source: str) -> Iterator[Rig]:
    with Rig(tmp_path, source=source) as made:
        made.start_agent()
        made.start_daemon("--scale", str(SCALE))
        yield made


def shown(rig: Rig, row: dict[str, Any]) -> Pixels:
    """What the desktop shows of the content, and its border."""
    place = rig.desk.window(row["local_id"]).get_geometry()
    return rig.desk.pixels(place.x, place.y, place.width, place.height)


def is_magnified(rig: Rig, row: dict[str, Any]) -> bool:
    """Whether the desktop shows the window's pixels as squares, in a border as wide as ever."""
    theirs = rig.guest.window_pixels(row["remote_id"])
    content = theirs.repeat(SCALE, 0).repeat(SCALE, 1)
    return np.array_equal(shown(rig, row), np.pad(content, BORDER, constant_values=LABELS["blue"].color))


def test_a_window_is_twice_as_large_and_has_the_users_input(rig: Rig, tmp_path: Path) -> None:
    written = tmp_path / "typed"
    script = f'read x; echo "$x" > {written}; sleep 600'
    rig.start_app("xterm", "-T", "large", "-geometry", "40x10+50+40", "-e", "sh", "-c", script)
    row = rig.wait_window("large")
    wait_for("its magnified pixels", lambda: is_magnified(rig, row))
    place = rig.desk.window(row["local_id"]).get_geometry()
    rig.desk.move_pointer(place.x + BORDER + 101, place.y + BORDER + 60)
    window = rig.guest.window(row["remote_id"])

    def pointer() -> tuple[int, int]:
        at = window.query_pointer()
        return at.win_x, at.win_y

    wait_for("the pointer", lambda: pointer() == (50, 30))
    rig.desk.focus(row["local_id"])
    rig.desk_server.run("xdotool", "type", "--delay", "5", "Hello")
    rig.desk_server.run("xdotool", "key", "Return")
    wait_for("the typed line", lambda: written.exists() and written.read_text() == "Hello\n")
    wait_for("the echo's magnified pixels", lambda: is_magnified(rig, row))


def test_resizing_from_either_side(rig: Rig) -> None:
    window = rig.guest.root.create_window(100, 80, 200, 150, 0, X.CopyFromParent, background_pixel=0x30A030)
    window.set_wm_name("plain")
    window.map()
    rig.guest.sync()
    row = rig.wait_window("plain")
    rig.desk.window(row["local_id"]).configure(width=501 + 2 * BORDER, height=301 + 2 * BORDER)
    rig.desk.sync()

    def size() -> tuple[int, int]:
        geometry = window.get_geometry()
        return geometry.width, geometry.height

    wait_for("the AppVM's window", lambda: size() == (251, 151))
    content = np.full((301, 501), 0x30A030, np.uint32)
    expected = np.pad(content, BORDER, constant_values=LABELS["blue"].color)
    wait_for("all of it", lambda: np.array_equal(shown(rig, row), expected))
    window.configure(width=120, height=90)
    rig.guest.sync()
    wait_for("the smaller window", lambda: shown(rig, row).shape == (180 + 2 * BORDER, 240 + 2 * BORDER))
    wait_for("its magnified pixels", lambda: is_magnified(rig, row))


def test_a_window_manager_maximizes_it_and_it_comes_to_rest(rig: Rig) -> None:
    start_openbox(rig.desk_server)
    window = rig.guest.root.create_window(100, 80, 201, 150, 0, X.CopyFromParent, background_pixel=0x30A030)
    window.set_wm_name("plain")
    window.map()
    rig.guest.sync()
    row = rig.wait_window("plain")
    local, display = rig.desk.window(row["local_id"]), rig.desk.display
    states = [display.intern_atom(f"_NET_WM_STATE_MAXIMIZED_{way}") for way in ("VERT", "HORZ")]
    message = event.ClientMessage(
        window=local, client_type=display.intern_atom("_NET_WM_STATE"), data=(32, [1, *states, 1, 0])
    )
    rig.desk.root.send_event(message, X.SubstructureRedirectMask | X.SubstructureNotifyMask)
    rig.desk.sync()

    def content() -> tuple[int, int]:
        geometry = local.get_geometry()
        return geometry.width - 2 * BORDER, geometry.height - 2 * BORDER

    def fills() -> bool:
        (width, height), theirs = content(), window.get_geometry()
        return width > 1900 and (theirs.width, theirs.height) == (-(-width // SCALE), -(-height // SCALE))

    wait_for("the maximized window", fills)
    wait_for("all of it", lambda: bool((shown(rig, row)[BORDER:-BORDER, BORDER:-BORDER] == 0x30A030).all()))
    seen = set()
    for _ in range(50):  # two sides that argue would be seen to
        place, theirs = local.get_geometry(), window.get_geometry()
        seen.add((place.x, place.y, *content(), theirs.x, theirs.y, theirs.width, theirs.height))
        rig.windows()
    assert len(seen) == 1
