"""AppVM windows on a desktop, through both programs and two real X servers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from Xlib import XK, X

from guid.config.labels import LABELS
from tests.e2e.rig import Rig, wait_for

BLUE = LABELS["blue"].color


@pytest.fixture
def rig(tmp_path: Path, source: str) -> Iterator[Rig]:
    with Rig(tmp_path, source=source) as made:
        made.start_agent()
        made.start_daemon()
        yield made


def xterm(rig: Rig, title: str, script: str, geometry: str = "60x12+200+150") -> dict[str, Any]:
    rig.start_app("xterm", "-T", title, "-geometry", geometry, "-e", "sh", "-c", script)
    return rig.wait_window(title)


def outer(rig: Rig, title: str) -> dict[str, Any]:
    return next(row for row in rig.windows() if row["title"] == title)


def test_an_xterm_appears_with_equal_pixels_inside_a_border_of_the_label_colour(rig: Rig) -> None:
    row = xterm(rig, "hello", "echo in the AppVM; sleep 600")
    wait_for("equal pixels", lambda: rig.same_pixels(row["remote_id"]))
    row = outer(rig, "hello")
    assert rig.border_is(row, BLUE)
    assert row["copies_per_frame"] == 0
    assert (row["vm"], row["domid"], row["override_redirect"]) == ("work", 7, False)
    assert row["label_color"] == f"0x{BLUE:06x}"


def test_text_typed_on_the_desktop_reaches_the_shell_in_the_appvm(rig: Rig, tmp_path: Path) -> None:
    written = tmp_path / "typed"
    row = xterm(rig, "shell", f'read line; echo "$line" > {written}; sleep 600')
    rig.desk.focus(row["local_id"])
    wait_for("the focus in the AppVM", lambda: rig.guest.display.get_input_focus().focus not in (0, 1))
    rig.desk_server.run("xdotool", "type", "--delay", "5", "Hello, World 42!")
    rig.desk_server.run("xdotool", "key", "Return")
    wait_for("the typed line", lambda: written.exists() and written.read_text())
    assert written.read_text() == "Hello, World 42!\n"


def test_a_menu_opens_at_the_right_place_with_its_border(rig: Rig) -> None:
    row = xterm(rig, "menu", "sleep 600")
    rig.desk.focus(row["local_id"])
    rig.desk.move_pointer(row["x"] + 60, row["y"] + 40)
    control = rig.desk.display.keysym_to_keycode(XK.XK_Control_L)
    from Xlib.ext import xtest

    xtest.fake_input(rig.desk.display, X.KeyPress, control)
    rig.desk.button(1, release=False)

    def menu() -> dict[str, Any] | None:
        rows = [r for r in rig.windows() if r["override_redirect"] and r["mapped"] and r["damage_rects"]]
        return rows[0] if rows else None

    found = wait_for("the menu", menu)
    geometry = rig.guest.window(found["remote_id"]).get_geometry()
    assert (found["x"], found["y"]) == (geometry.x, geometry.y)
    wait_for("the menu's pixels", lambda: rig.same_pixels(found["remote_id"]))
    assert rig.border_is(found, BLUE)
    rig.desk.button(1, press=False)
    xtest.fake_input(rig.desk.display, X.KeyRelease, control)
    rig.desk.sync()
    wait_for("the menu to go", lambda: menu() is None)


def test_moving_and_resizing_from_either_side_ends_with_both_sides_equal(rig: Rig) -> None:
    row = xterm(rig, "sizes", "while :; do date +%N; sleep 0.1; done")
    remote, local = rig.guest.window(row["remote_id"]), rig.desk.window(row["local_id"])

    def agree(width: int | None = None, x: int | None = None) -> bool:
        ours, theirs = outer(rig, "sizes"), remote.get_geometry()
        return (
            (ours["x"], ours["y"], ours["width"], ours["height"]) == (theirs.x, theirs.y, theirs.width, theirs.height)
            and width in (None, ours["width"])
            and x in (None, ours["x"])
        )

    remote.configure(x=400, y=300, width=500, height=260)
    rig.guest.sync()
    wait_for("both sides to agree on the AppVM's wish", lambda: agree(500, 400))
    local.configure(x=600, y=500, width=406, height=306)
    rig.desk.sync()
    wait_for("both sides to agree on the desktop's wish", lambda: agree(400, 603))
    for step in range(20):
        remote.configure(width=300 + 7 * step, height=200 + 3 * step)
        local.configure(x=100 + 10 * step)
        rig.guest.sync()
        rig.desk.sync()
    wait_for("both sides to agree after a fight", agree)
    wait_for("equal pixels", lambda: rig.same_pixels(row["remote_id"]))
    assert rig.border_is(outer(rig, "sizes"), BLUE)


def test_closing_on_the_desktop_closes_in_the_appvm(rig: Rig) -> None:
    row = xterm(rig, "closing", "sleep 600")
    _close(rig, row["local_id"])
    wait_for("the window to go", lambda: not [r for r in rig.windows() if r["title"] == "closing"])


def _close(rig: Rig, window: int) -> None:
    from Xlib.protocol import event

    display = rig.desk.display
    message = event.ClientMessage(
        window=rig.desk.window(window),
        client_type=display.intern_atom("WM_PROTOCOLS"),
        data=(32, [display.intern_atom("WM_DELETE_WINDOW"), X.CurrentTime, 0, 0, 0]),
    )
    rig.desk.window(window).send_event(message)
    rig.desk.sync()
