"""AppVM windows under a real window manager: what programs wish, what the user does with it, and where clicks go."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from Xlib import X, Xatom
from Xlib.protocol import event

from tests.e2e.rig import Rig, Screen, wait_for
from tests.guid.hosts.x11.managed import start_openbox


@pytest.fixture
def rig(tmp_path: Path, source: str) -> Iterator[Rig]:
    with Rig(tmp_path, guest_size=(2048, 1280), source=source) as made:
        start_openbox(made.desk_server)
        made.start_agent()
        made.start_daemon()
        wait_for("the agent", lambda: made.vm()["state"] == "connected" if list(tmp_path.glob("run/*.sock")) else None)
        yield made


def window(rig: Rig, title: str, x: int, y: int, width: int = 300, height: int = 200) -> Any:
    """A program's window in the AppVM."""
    made = rig.guest.root.create_window(
        x, y, width, height, 0, X.CopyFromParent, background_pixel=0x123456, event_mask=X.ButtonPressMask
    )
    made.set_wm_name(title)
    made.set_wm_normal_hints(flags=1, x=x, y=y)
    made.map()
    rig.guest.sync()
    return made


def states(screen: Screen, window: Any) -> set[str]:
    """_NET_WM_STATE without its prefix."""
    found = window.get_full_property(screen.display.intern_atom("_NET_WM_STATE"), Xatom.ATOM)
    names = [screen.display.get_atom_name(atom) for atom in found.value] if found is not None else []
    return {name.removeprefix("_NET_WM_STATE_") for name in names}


def ask(screen: Screen, window: Any, kind: str, *words: int) -> None:
    """A message to the window manager."""
    data = (32, [*words, 0, 0, 0, 0, 0][:5])
    message = event.ClientMessage(window=window, client_type=screen.display.intern_atom(kind), data=data)
    screen.root.send_event(message, X.SubstructureRedirectMask | X.SubstructureNotifyMask)
    screen.sync()


def size(window: Any) -> tuple[int, int]:
    geometry = window.get_geometry()
    return geometry.width, geometry.height


def test_a_program_that_wants_to_be_fullscreen_is_told_that_it_is_and_shown_in_its_frame(rig: Rig) -> None:
    program = window(rig, "video", 100, 100)
    row = rig.wait_window("video")
    outer = rig.desk.window(row["local_id"])
    fullscreen = rig.guest.display.intern_atom("_NET_WM_STATE_FULLSCREEN")
    ask(rig.guest, program, "_NET_WM_STATE", 1, fullscreen)
    wait_for("the word to the program", lambda: "FULLSCREEN" in states(rig.guest, program))
    wait_for("the window manager", lambda: {"MAXIMIZED_VERT", "MAXIMIZED_HORZ"} <= states(rig.desk, outer))
    assert "FULLSCREEN" not in states(rig.desk, outer)
    wait_for("a larger window in the AppVM", lambda: size(program)[0] == 2048 - 6 and size(program)[1] > 1200)
    ask(rig.guest, program, "_NET_WM_STATE", 0, fullscreen)
    wait_for("the end of it in the AppVM", lambda: "FULLSCREEN" not in states(rig.guest, program))
    wait_for("the old size", lambda: size(program) == (300, 200))


def test_a_program_hears_that_the_user_has_restored_its_window(rig: Rig) -> None:
    program = window(rig, "video", 100, 100)
    outer = rig.desk.window(rig.wait_window("video")["local_id"])
    ask(rig.guest, program, "_NET_WM_STATE", 1, rig.guest.display.intern_atom("_NET_WM_STATE_FULLSCREEN"))
    wait_for("the window manager", lambda: "MAXIMIZED_VERT" in states(rig.desk, outer))
    wait_for("the word to the program", lambda: "FULLSCREEN" in states(rig.guest, program))
    both = [rig.desk.display.intern_atom(f"_NET_WM_STATE_MAXIMIZED_{side}") for side in ("VERT", "HORZ")]
    ask(rig.desk, outer, "_NET_WM_STATE", 0, *both)
    wait_for("the end of it in the AppVM", lambda: "FULLSCREEN" not in states(rig.guest, program))
    wait_for("the old size", lambda: size(program) == (300, 200))


def test_the_user_makes_a_window_fullscreen(rig: Rig) -> None:
    program = window(rig, "game", 100, 100)
    outer = rig.desk.window(rig.wait_window("game")["local_id"])
    ask(rig.desk, outer, "_NET_WM_STATE", 1, rig.desk.display.intern_atom("_NET_WM_STATE_FULLSCREEN"))
    wait_for("the word to the program", lambda: "FULLSCREEN" in states(rig.guest, program))
    wait_for("its size", lambda: size(program) == (2048 - 6, 1280 - 6))


def test_what_the_user_starts_is_newer_than_what_was_there(rig: Rig) -> None:
    def used(title: str) -> int:
        window = rig.desk.window(rig.wait_window(title)["local_id"])
        found = window.get_full_property(rig.desk.display.intern_atom("_NET_WM_USER_TIME"), Xatom.CARDINAL)
        return int(found.value[0])

    window(rig, "by itself", 100, 100)
    before = used("by itself")
    rig.request("used", name="work")
    numbers = count()

    def another_is_newer() -> bool:
        title = f"asked for {next(numbers)}"
        window(rig, title, 500, 100)
        return used(title) > before

    wait_for("a newer window, once the worker has heard of it", another_is_newer)


def test_a_menu_keeps_off_a_panel_that_comes_later(rig: Rig) -> None:
    menu = rig.guest.root.create_window(
        50, 0, 100, 80, 0, X.CopyFromParent, background_pixel=0x123456, override_redirect=True
    )
    menu.map()
    rig.guest.sync()
    wait_for("the menu at the top", lambda: [row for row in rig.windows() if row["mapped"] and row["y"] == 3])
    panel = rig.desk.root.create_window(0, 0, 2048, 40, 0, X.CopyFromParent)
    atom = rig.desk.display.intern_atom
    panel.change_property(atom("_NET_WM_WINDOW_TYPE"), Xatom.ATOM, 32, [atom("_NET_WM_WINDOW_TYPE_DOCK")])
    strut = [0, 0, 40, 0, 0, 0, 0, 0, 0, 2047, 0, 0]
    panel.change_property(atom("_NET_WM_STRUT_PARTIAL"), Xatom.CARDINAL, 32, strut)
    panel.map()
    rig.desk.sync()
    wait_for("the menu below the panel", lambda: [row for row in rig.windows() if row["mapped"] and row["y"] == 43])
    wait_for("the AppVM to know", lambda: menu.get_geometry().y == 43)


def test_a_click_goes_to_the_window_that_the_user_sees(rig: Rig) -> None:
    """The desktop has one window above, the AppVM the other; then the other way round."""
    windows = [window(rig, f"window {number}", 300 + 50 * number, 300 + 50 * number) for number in range(2)]
    rows = [rig.wait_window(f"window {number}") for number in range(2)]
    for upper, lower in ((0, 1), (1, 0), (0, 1)):
        ask(rig.desk, rig.desk.window(rows[upper]["local_id"]), "_NET_ACTIVE_WINDOW", 2)
        places = [next(row for row in rig.windows() if row["remote_id"] == one.id) for one in windows]
        x, y = max(row["x"] for row in places) + 40, max(row["y"] for row in places) + 40
        active = rig.guest.display.intern_atom("_NET_ACTIVE_WINDOW")
        wait_for(
            "the focus in the AppVM",
            lambda upper=upper, active=active: (
                rig.guest.root.get_full_property(active, Xatom.WINDOW).value[0]  # type: ignore[misc] # mypy infers no lambda defaults
                == windows[upper].id
            ),
        )
        rig.desk.move_pointer(x, y)
        windows[lower].configure(stack_mode=X.Above)
        rig.guest.sync()
        rig.desk.button(1)
        assert _pressed(rig) == windows[upper].id


def _pressed(rig: Rig) -> int:
    """The window of the next press that a program hears of."""

    def look() -> int:
        presses = [event for event in rig.guest.events() if event.type == X.ButtonPress]
        return int(presses[0].window.id) if presses else 0

    return wait_for("a press", look)
