"""Thirty windows of three AppVMs move back and forth under repainting programs, while the user types."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import Xlib.error
from Xlib import X
from Xlib.ext import composite, xtest

from guid.control import Client
from tests.e2e.desk import Desk
from tests.e2e.rig import Screen, wait_for
from tests.xserver import XServer

VMS = ("red", "green", "blue")
ROUNDS = 10
PROGRAM = (Path(__file__).parent / "many_windows.py").read_text()
KEYCODES = range(24, 34)
BORDER = 3
SIDES = ("dom0", "wall")


@pytest.fixture
def displays() -> Iterator[dict[str, str]]:
    """By GUI domain, each with a tray. Windows keep their pixels when they are covered, for comparisons."""
    with ExitStack() as stack:
        names = {}
        for side in SIDES:
            names[side] = stack.enter_context(XServer(1600, 1000)).display
            screen = Screen(names[side])
            stack.callback(screen.close)
            screen.display.query_extension("Composite")
            screen.root.composite_redirect_subwindows(composite.RedirectAutomatic)
            screen.sync()
            tray = subprocess.Popen([sys.executable, "-m", "tests.tray", names[side]], stdout=subprocess.PIPE)
            stack.callback(tray.wait)
            stack.callback(tray.kill)
            assert tray.stdout is not None
            stack.callback(tray.stdout.close)
            assert tray.stdout.readline() == b"ready\n"
        yield names


class User:
    """Types on whichever display has the window, one key after another, and notes what was typed."""

    def __init__(self, desk: Desk, displays: dict[str, str]) -> None:
        self._client = Client(desk.runtime / "supervisor.sock")
        self._screens = {side: Screen(display) for side, display in displays.items()}
        self.typed: list[int] = []
        self._going = True
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            side, window = "dom0", 0
            while self._going:
                if not window or not self._type(self._screens[side], window):
                    side, window = self._look()
                time.sleep(0.01)
        except BaseException as problem:
            self._problem = problem

    def _look(self) -> tuple[str, int]:
        """Where the window is, and the keyboard given to it."""
        row = next(row for row in self._client.request("ps")["vms"] if row["name"] == VMS[0])
        windows = self._client.request("windows")["windows"]
        found = [w for w in windows if w["vm"] == VMS[0] and w["title"] == "keys" and w["mapped"]]
        if found:
            try:
                self._screens[row["gui_domain"]].focus(found[0]["local_id"])
            except Xlib.error.XError:
                return "dom0", 0
            return row["gui_domain"], int(found[0]["local_id"])
        return "dom0", 0

    def _type(self, screen: Screen, window: int) -> bool:
        """Type a key if the window has the keyboard, which nobody can change meanwhile."""
        display = screen.display
        display.grab_server()
        try:
            focus = display.get_input_focus().focus
            if getattr(focus, "id", 0) != window:
                return False
            keycode = KEYCODES[len(self.typed) % len(KEYCODES)]
            for kind in (X.KeyPress, X.KeyRelease):
                xtest.fake_input(display, kind, keycode)
            self.typed.append(keycode)
            return True
        finally:
            display.ungrab_server()
            screen.sync()

    def stop(self) -> None:
        self._going = False
        self._thread.join()
        for screen in self._screens.values():
            screen.close()
        self._client.close()
        if self._problem is not None:
            raise self._problem


class Homes:
    """What the programs write."""

    def __init__(self, desk: Desk) -> None:
        self._places = {name: desk.runtime / "vms" / name / "home" for name in VMS}

    def pause(self) -> dict[str, dict[str, str]]:
        """Nothing is repainted from now on: the sums of all windows."""
        for place in self._places.values():
            (place / "pause").touch()
        return {
            name: json.loads(wait_for("the sums", lambda p=place: (p / "sums").exists() and (p / "sums").read_text()))  # type: ignore[misc] # mypy infers no lambda defaults
            for name, place in self._places.items()
        }

    def go_on(self) -> None:
        for place in self._places.values():
            (place / "pause").unlink()
            (place / "sums").unlink()

    def starts(self) -> list[int]:
        return [len((place / "starts").read_text().splitlines()) for place in self._places.values()]

    def keys(self) -> list[int]:
        return [int(line) for line in (self._places[VMS[0]] / "keys").read_text().split()]


def _shown(client: Client, screens: dict[str, Screen]) -> dict[str, dict[str, str]]:
    """The sums of what the displays show inside of the borders."""
    sides = {row["name"]: row["gui_domain"] for row in client.request("ps")["vms"]}
    found: dict[str, dict[str, str]] = {name: {} for name in VMS}
    for row in client.request("windows")["windows"]:
        if not (row["mapped"] or row["docked"]) or row["buffer_width"] is None:
            continue
        found[row["vm"]][row["title"]] = _sum(screens[sides[row["vm"]]], row)
    return found


def _sum(screen: Screen, row: dict[str, Any]) -> str:
    try:
        pixels = screen.window_pixels(row["local_id"])
    except Xlib.error.XError:
        return "it is not there"
    border = 1 if row["docked"] else BORDER
    if pixels.shape == (row["buffer_height"] + 2 * border, row["buffer_width"] + 2 * border):
        pixels = pixels[border:-border, border:-border]
    return hashlib.sha256(np.ascontiguousarray(pixels, "<u4").tobytes()).hexdigest()


@pytest.mark.timeout(900)
def test_back_and_forth(tmp_path: Path, displays: dict[str, str]) -> None:
    config = tmp_path / "guid.toml"
    config.write_text(f'[gui-domain.wall]\nid = 32\ndisplay = "{displays["wall"]}"\n')
    with ExitStack() as stack:
        desk = Desk.on(tmp_path, displays["dom0"])
        stack.callback(desk.close)
        desk.environ |= {"GUID_CONFIG": str(config), "XDG_STATE_HOME": str(tmp_path / "state")}
        for number, name in enumerate(VMS):
            desk.guid("run", name, "--label", name, "--detach", "--", sys.executable, "-c", PROGRAM, str(number))
        screens = {side: Screen(display) for side, display in displays.items()}
        for screen in screens.values():
            stack.callback(screen.close)
        client = stack.enter_context(Client(desk.runtime / "supervisor.sock"))
        homes = Homes(desk)
        wait_for("thirty windows", lambda: sum(map(len, _shown(client, screens).values())) == 30, 120)
        user = User(desk, displays)
        try:
            for round_ in range(2 * ROUNDS):
                target = SIDES[(round_ + 1) % 2]
                typed = len(user.typed)
                desk.guid("swap", "--all", "--to", target)
                assert {row["gui_domain"] for row in client.request("ps")["vms"]} == {target}
                sums = homes.pause()
                wait_for(f"equal pixels in round {round_}", lambda sums=sums: _shown(client, screens) == sums)  # type: ignore[misc] # mypy infers no lambda defaults
                homes.go_on()
                wait_for("some keys", lambda typed=typed: len(user.typed) > typed + 5)  # type: ignore[misc] # as above
        finally:
            user.stop()
        assert homes.starts() == [1, 1, 1], "no program lost its connection"
        wait_for("the last key", lambda: len(homes.keys()) >= len(user.typed))
        assert homes.keys() == user.typed
        assert len(user.typed) > 200
        assert all(row["restarts"] == 0 for row in client.request("ps")["vms"])
