"""The user copies in one AppVM and pastes in another, by the keys that are the daemon's; nothing else moves a text."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from Xlib import XK, X
from Xlib.ext import xtest

from guid.config.settings import VmSettings
from guid.control import Client
from guid.spec import ViewSpec, VmSpec
from guid.supervisor.question import YES
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
            assert not any(row["restarts"] for row in made.vms())
        finally:
            made.close()


def start(desk: Desk, vm: str, label: str, x: int, size: int, *options: str) -> None:
    program = (sys.executable, "-c", PROGRAM, vm, str(x), "100", str(size))
    desk.guid("run", vm, "--label", label, *options, "--detach", "--", *program)
    wait_for(f"the window of {vm}", lambda: window(desk, vm))


def window(desk: Desk, vm: str) -> dict[str, Any] | None:
    rows = [w for w in windows(desk) if w["vm"] == vm and w["title"].startswith(f"{vm} ") and w["mapped"]]
    return rows[0] if rows else None


def windows(desk: Desk) -> list[dict[str, Any]]:
    """As `guid windows`, without starting it: this is asked often."""
    with Client(desk.runtime / "supervisor.sock") as client:
        return list(client.request("windows")["windows"])


def says(desk: Desk, vm: str) -> tuple[list[int], str]:
    """The keycodes that its window heard, and the text that it has."""
    found = wait_for(f"the window of {vm}", lambda: window(desk, vm))
    match = re.fullmatch(r"\S+ keys=([\d,]*) pasted=(.*)", found["title"])
    assert match is not None
    return [int(code) for code in match[1].split(",") if code], match[2]


def press(desk: Desk, vm: str, *names: str) -> None:
    """Give the window the keyboard and press keys in it, all down and then all up."""
    found = wait_for(f"the window of {vm}", lambda: window(desk, vm))
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
    """What the user was told so far, wherever that is kept."""
    places = (desk.runtime, desk.runtime / "log")
    return "".join(path.read_text() for place in places for path in sorted(place.glob("*.log")))


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


def deny(desk: Desk, source: str, target: str, action: str = "deny") -> None:
    path = Path(desk.environ["GUID_CONFIG"])
    path.write_text(f'[[clipboard]]\nfrom = "{source}"\nto = "{target}"\naction = "{action}"\n')


def test_a_rule_keeps_a_text_from_a_vm_and_not_from_its_own(desk: Desk) -> None:
    deny(desk, "work", "*")
    start(desk, "work", "blue", 100, 5)
    start(desk, "mail", "green", 500, 0)
    copy(desk, "work")
    said(desk, "work: 5 bytes are copied")
    paste(desk, "mail")
    said(desk, "mail: nothing was pasted: a rule denies it to what was copied from work")
    assert arrived(desk, "mail").startswith("0:")
    paste(desk, "work")
    said(desk, "work: 5 bytes copied from work are pasted")


def test_more_than_a_vm_may_give_is_told_and_leaves_nothing_to_paste(desk: Desk) -> None:
    start(desk, "work", "blue", 100, 70_000)
    start(desk, "mail", "green", 500, 5)
    copy(desk, "mail")
    said(desk, "mail: 5 bytes are copied")
    copy(desk, "work")
    said(desk, "work: nothing was copied: it is more than the 64000 bytes that this VM may give")
    paste(desk, "work")
    said(desk, "work: nothing was pasted: nothing is copied")


def test_the_modifiers_may_go_up_first(desk: Desk) -> None:
    start(desk, "work", "blue", 100, 5)
    found = window(desk, "work")
    assert found is not None
    desk.screen.focus(found["local_id"])
    display = desk.screen.display
    names = ("Control_L", "Shift_L", "c")
    control, shift, letter = (display.keysym_to_keycode(XK.string_to_keysym(name)) for name in names)
    for kind, code in (
        (X.KeyPress, control), (X.KeyPress, shift), (X.KeyPress, letter),
        (X.KeyRelease, shift), (X.KeyRelease, control), (X.KeyRelease, letter),
    ):  # fmt: skip
        xtest.fake_input(display, kind, code)
    desk.screen.sync()
    said(desk, "work: 5 bytes are copied")
    press(desk, "work", "a")
    heard = wait_for("a key that is not ours", lambda: says(desk, "work")[0])
    assert heard == [display.keysym_to_keycode(XK.XK_a)]


def test_the_keys_move_with_the_layout_of_the_desktops_keyboard(desk: Desk) -> None:
    start(desk, "work", "blue", 100, 5)
    before = desk.screen.display.keysym_to_keycode(XK.XK_c)
    desk.server.run("setxkbmap", "dvorak")
    desk.look_at(desk.screen)
    assert desk.screen.display.keysym_to_keycode(XK.XK_c) != before
    copy(desk, "work")
    said(desk, "work: 5 bytes are copied")
    press(desk, "work", "Control_L", "Shift_L", "j")  # where c was
    wait_for("the VM's own key", lambda: says(desk, "work")[0] == [before])


def test_what_is_copied_can_be_forgotten(desk: Desk) -> None:
    start(desk, "work", "blue", 100, 5)
    copy(desk, "work")
    said(desk, "work: 5 bytes are copied")
    assert "5 bytes from work are forgotten" in desk.guid("clipboard", "clear")
    assert "nothing is copied" in desk.guid("clipboard", "status")


def test_the_user_is_asked_on_the_desktop(desk: Desk) -> None:
    deny(desk, "work", "mail", "ask")
    start(desk, "work", "blue", 100, 5)
    start(desk, "mail", "green", 500, 0)
    copy(desk, "work")
    said(desk, "work: 5 bytes are copied")
    paste(desk, "mail")

    def click() -> bool:
        for shown in desk.screen.root.query_tree().children:
            if shown.get_wm_name() == "guid: paste?":
                place = shown.get_geometry()
                desk.screen.move_pointer(place.x + YES.x + 10, place.y + YES.y + 10)
                desk.screen.button(1)
        return "mail: 5 bytes copied from work are pasted" in log(desk)

    wait_for("the user to be asked and to allow it", click)
    wait_for("the text", lambda: arrived(desk, "mail") == says(desk, "work")[1])


def test_the_clipboard_of_a_gui_domain_in_an_appvm_is_its_own(desk: Desk) -> None:
    """Keys that the user presses in its window go to it, and on to the worker inside: both are the desktop's keys."""
    Path(desk.environ["GUID_CONFIG"]).write_text('[gui-domain.sys-gui]\nvm = "sys-gui"\n')
    off = {"secure_copy_sequence": "none", "secure_paste_sequence": "none"}
    start(desk, "work", "blue", 100, 5)
    _run_with(desk, "sys-gui", off)
    start(desk, "inner", "green", 100, 300, "--gui-domain", "sys-gui")
    start(desk, "other", "red", 500, 0, "--gui-domain", "sys-gui")
    copy(desk, "work")
    said(desk, "work: 5 bytes are copied")
    _inside(desk, "other", "v")
    said(desk, "other: nothing was pasted: nothing is copied")
    _inside(desk, "inner", "c")
    said(desk, "inner: 300 bytes are copied")
    rows = {row["gui_domain"]: row["source"] for row in json.loads(desk.guid("clipboard", "status", "--json"))}
    assert rows == {"dom0": "work", "sys-gui": "inner"}
    _inside(desk, "other", "v")
    said(desk, "other: 300 bytes copied from inner are pasted")
    _inside(desk, "inner", "c")
    wait_for("another copy", lambda: log(desk).count("inner: 300 bytes are copied") == 2)
    desk.guid("swap", "inner", "--to", "dom0")
    rows = {row["gui_domain"]: row["source"] for row in json.loads(desk.guid("clipboard", "status", "--json"))}
    assert rows == {"dom0": "work"}, "a VM that leaves takes its text with it"


def _run_with(desk: Desk, vm: str, chosen: dict[str, Any]) -> None:
    """As `guid run`, with settings for which there are no options."""
    spec = VmSpec(
        vm, 40, "gray", view=ViewSpec(display=desk.server.display, chosen=chosen),
        settings=VmSettings().but(chosen), environ={"DISPLAY": desk.server.display}, python_path=tuple(sys.path),
    )  # fmt: skip
    domain = {"name": vm, "domid": 40, "gui_domid": 0, "command": ["sleep", "600"], "screen": [1600, 1000],
              "network": False, "sandbox": True, "outlive_parent": True}  # fmt: skip
    with Client(desk.runtime / "supervisor.sock") as client:
        client.request("run", vm=json.loads(spec.to_json()), domain=domain, kept=True)
    wait_for(vm, lambda: any(row["name"] == vm and row["state"] == "connected" for row in desk.vms()))


def _inside(desk: Desk, vm: str, letter: str) -> None:
    """Press a key in the window, of the GUI domain in an AppVM, that shows that VM's."""
    outer = next(w for w in windows(desk) if w["vm"] == "sys-gui" and w["title"].startswith(f"[{vm}] "))
    display = desk.screen.display
    desk.screen.focus(outer["local_id"])
    desk.screen.move_pointer(outer["x"] + 20, outer["y"] + 20)
    codes = [display.keysym_to_keycode(XK.string_to_keysym(name)) for name in ("Control_L", "Shift_L", letter)]
    for kind in (X.KeyPress, X.KeyRelease):
        for code in codes:
            xtest.fake_input(display, kind, code)
    desk.screen.sync()
