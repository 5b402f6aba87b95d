"""The user copies in one AppVM and pastes in another, by the keys that are the daemon's; nothing else moves a text."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from Xlib import XK, X
from Xlib.ext import xtest

from tests.e2e.desk import Desk
from tests.e2e.rig import wait_for
from tests.xserver import XServer

PROGRAM = (Path(__file__).parent / "copier.py").read_text()
SIZES = ("--max-clipboard-size", "256000")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with XServer(1600, 1000) as server:
        made = Desk(tmp_path, server)
        made.environ |= {"GUID_CONFIG": str(tmp_path / "guid.toml"), "XDG_STATE_HOME": str(tmp_path / "state")}
        try:
            yield made
        finally:
            made.close()


def start(desk: Desk, vm: str, label: str, x: int, size: int, *options: str) -> None:
    program = (sys.executable, "-c", PROGRAM, vm, str(x), "100", str(size))
    desk.guid("run", vm, "--label", label, *options, "--detach", "--", *program)
    wait_for(f"the window of {vm}", lambda: window(desk, vm))


def window(desk: Desk, vm: str) -> dict[str, Any] | None:
    rows = [w for w in desk.windows() if w["vm"] == vm and w["title"].startswith(f"{vm} ") and w["mapped"]]
    return rows[0] if rows else None


def says(desk: Desk, vm: str) -> tuple[list[int], str]:
    """The keycodes that its window heard, and the text that it has."""
    found = window(desk, vm)
    assert found is not None
    match = re.fullmatch(r"\S+ keys=([\d,]*) pasted=(.*)", found["title"])
    assert match is not None
    return [int(code) for code in match[1].split(",") if code], match[2]


def press(desk: Desk, vm: str, *names: str) -> None:
    """Give the window the keyboard and press keys in it, all down and then all up."""
    found = window(desk, vm)
    assert found is not None
    desk.screen.focus(found["local_id"])
    display = desk.screen.display
    codes = [display.keysym_to_keycode(XK.string_to_keysym(name)) for name in names]
    for code in codes:
        xtest.fake_input(display, X.KeyPress, code)
    for code in codes:
        xtest.fake_input(display, X.KeyRelease, code)
    desk.screen.sync()


def copy(desk: Desk, vm: str) -> None:
    press(desk, vm, "Control_L", "Shift_L", "c")


def paste(desk: Desk, vm: str) -> None:
    press(desk, vm, "Control_L", "Shift_L", "v")


def arrived(desk: Desk, vm: str) -> str:
    """What a program there finds when it pastes: the user types a letter into it."""
    press(desk, vm, "a")
    wait_for("the program to have pasted", lambda: (found := says(desk, vm)[1]) not in ("", "wait") and found)
    return says(desk, vm)[1]


def log(desk: Desk) -> str:
    return (desk.runtime / "supervisor.log").read_text()


def said(desk: Desk, text: str) -> None:
    wait_for(f"the user to be told: {text}", lambda: text in log(desk))


@pytest.mark.parametrize("size", [5, 200_000])
def test_what_is_copied_in_one_vm_is_pasted_in_another(desk: Desk, size: int) -> None:
    start(desk, "work", "blue", 100, size, *SIZES)
    start(desk, "mail", "green", 500, 0)
    copy(desk, "work")
    said(desk, f"work: {size} bytes are copied")
    assert f"work  {size}" in desk.guid("clipboard", "status")
    assert arrived(desk, "mail").startswith("0:"), "nothing arrives without the second key"
    paste(desk, "mail")
    said(desk, f"mail: {size} bytes copied from work are pasted")
    wait_for("the text", lambda: arrived(desk, "mail") == says(desk, "work")[1])
    assert "nothing is copied" in desk.guid("clipboard", "status"), "it is pasted once"
    keys = says(desk, "work")[0] + says(desk, "mail")[0]
    letter = desk.screen.display.keysym_to_keycode(XK.XK_a)
    assert set(keys) == {letter}, "the VMs never saw our keys"
    paste(desk, "mail")
    said(desk, "mail: nothing was pasted: nothing is copied")
