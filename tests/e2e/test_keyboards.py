"""What is typed on the desktop arrives in an AppVM as the letters that are on the desktop's keys."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from Xlib import X
from Xlib.ext import xtest

from tests.e2e.desk import Desk
from tests.e2e.rig import wait_for
from tests.e2e.test_qubesdb import Vm
from tests.xserver import XServer

ALT_L, SHIFT_L, CAPS, RETURN, Z_OR_Y, E, DEAD_ACUTE = 64, 50, 66, 36, 29, 26, 21


@pytest.fixture
def server() -> Iterator[XServer]:
    with XServer(1600, 1000) as made:
        yield made


@pytest.fixture
def desk(tmp_path: Path, server: XServer) -> Iterator[Desk]:
    made = Desk(tmp_path, server)
    yield made
    made.close()


def key(desk: Desk, *keycodes: int) -> None:
    """Press these keys of the desktop's keyboard, and then release them."""
    display = desk.screen.display
    for keycode in keycodes:
        xtest.fake_input(display, X.KeyPress, keycode)
    for keycode in reversed(keycodes):
        xtest.fake_input(display, X.KeyRelease, keycode)
    desk.screen.sync()


def leave(desk: Desk) -> None:
    """Nobody has the keyboard."""
    desk.screen.display.set_input_focus(X.NONE, X.RevertToNone, X.CurrentTime)
    desk.screen.sync()


class Line:
    """A terminal in the VM that has the keyboard and reads one line."""

    def __init__(self, desk: Desk, vm: Vm) -> None:
        self._typed = vm.home / "typed"
        self._typed.unlink(missing_ok=True)
        vm.run("LC_ALL=C.UTF-8 xterm -u8 -T line -e sh -c 'read line; echo \"$line\" > part; mv part typed' &")
        window = wait_for("the terminal", lambda: desk.shown("line"))
        desk.screen.move_pointer(window["x"] + 20, window["y"] + 20)
        desk.screen.focus(window["local_id"])

    def text(self) -> str:
        wait_for("the typed line", self._typed.exists)
        return self._typed.read_text().rstrip("\n")


def test_a_vm_has_the_desktops_layout_and_follows_it(server: XServer, desk: Desk) -> None:
    server.run("setxkbmap", "de", "nodeadkeys", "-option", "ctrl:nocaps")
    work = Vm(desk, "work")
    wait_for("the desktop's layout", lambda: "layout:     de" in work.run("setxkbmap -query"))
    found = work.run("setxkbmap -query")
    assert "variant:    nodeadkeys" in found
    assert "options:    ctrl:nocaps" in found
    server.run("setxkbmap", "fr", "-option", "")
    wait_for("the desktop's new layout", lambda: "layout:     fr" in work.run("setxkbmap -query"))
    found = work.run("setxkbmap -query")
    assert "variant" not in found
    assert "options" not in found


def test_a_layout_that_somebody_wrote_stands_until_the_desktop_has_another(server: XServer, desk: Desk) -> None:
    work = Vm(desk, "work")
    wait_for("the desktop's layout", lambda: "/keyboard-layout = us" in desk.guid("db", "list", "work"))
    desk.guid("db", "write", "work", "/keyboard-layout", "fr")
    wait_for("that layout", lambda: "layout:     fr" in work.run("setxkbmap -query"))
    worker = work.row()["worker_pid"]
    assert isinstance(worker, int)
    os.kill(worker, 9)
    wait_for("another worker", lambda: work.row()["worker_pid"] not in (None, worker) and work.is_shown())
    assert desk.guid("db", "read", "work", "/keyboard-layout") == "fr\n"
    database = work.row()["qubesdb_pid"]
    assert isinstance(database, int)
    os.kill(database, 9)
    wait_for("its death to be noticed", lambda: work.row()["qubesdb_pid"] != database)
    server.run("setxkbmap", "es")
    wait_for("the desktop's layout", lambda: "layout:     es" in work.run("setxkbmap -query"))


def test_both_layouts_of_a_desktop_arrive_whoever_had_the_keyboard_when_it_changed(server: XServer, desk: Desk) -> None:
    server.run("setxkbmap", "us,de", "-option", "grp:alt_shift_toggle")
    work = Vm(desk, "work")
    wait_for("the desktop's layouts", lambda: "layout:     us,de" in work.run("setxkbmap -query"))
    line = Line(desk, work)
    window = desk.shown("line")
    assert window is not None
    key(desk, Z_OR_Y)
    key(desk, ALT_L, SHIFT_L)  # the VM hears of this
    key(desk, Z_OR_Y)
    leave(desk)
    key(desk, ALT_L, SHIFT_L)  # and not of this
    desk.screen.focus(window["local_id"])
    key(desk, Z_OR_Y)
    leave(desk)
    key(desk, ALT_L, SHIFT_L)
    desk.screen.focus(window["local_id"])
    key(desk, Z_OR_Y)
    key(desk, RETURN)
    assert line.text() == "yzyz"


def test_locks_and_modifiers_of_elsewhere_count(desk: Desk) -> None:
    work = Vm(desk, "work")
    line = Line(desk, work)
    window = desk.shown("line")
    assert window is not None
    for changed_elsewhere in (CAPS, CAPS):
        key(desk, Z_OR_Y)
        leave(desk)
        key(desk, changed_elsewhere)
        desk.screen.focus(window["local_id"])
    leave(desk)
    xtest.fake_input(desk.screen.display, X.KeyPress, SHIFT_L)
    desk.screen.focus(window["local_id"])
    key(desk, Z_OR_Y)
    leave(desk)
    xtest.fake_input(desk.screen.display, X.KeyRelease, SHIFT_L)
    desk.screen.focus(window["local_id"])
    key(desk, Z_OR_Y)
    key(desk, RETURN)
    assert line.text() == "yYYy"


def test_dead_keys_compose(server: XServer, desk: Desk) -> None:
    server.run("setxkbmap", "de")
    work = Vm(desk, "work")
    wait_for("the desktop's layout", lambda: "layout:     de" in work.run("setxkbmap -query"))
    line = Line(desk, work)
    key(desk, DEAD_ACUTE)
    key(desk, E)
    key(desk, Z_OR_Y)
    key(desk, RETURN)
    assert line.text() == "éz"
