"""What a user in dom0 sees and does: windows of real domUs on dom0's X server, through the commands that users type."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Xlib import XK, X
from Xlib.ext import xtest

from backends.base import PeerMisbehaved
from backends.xen import factory
from tests.e2e.rig import Screen, wait_for
from tests.xen.inside.conftest import BOOT_SECONDS, Guests
from tests.xserver import XServer

GUID = [sys.executable, "-m", "guid.cli.main"]
PATIENCE = 90.0


class Desk:
    """dom0's X server, with guid showing both AppVMs on it."""

    def __init__(self, display: str, directory: Path) -> None:
        self.screen = Screen(display)
        self.environ = {**os.environ, "DISPLAY": display, "GUID_RUNTIME_DIR": str(directory / "run")}
        self.shown = [
            subprocess.Popen([*GUID, "attach", name], env=self.environ, stdin=subprocess.DEVNULL)
            for name in Guests.kinds
        ]

    def json(self, *command: str) -> list[dict[str, Any]]:
        """What a command of guid says."""
        done = subprocess.run([*GUID, *command, "--json"], env=self.environ, stdout=subprocess.PIPE, check=True)
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def state(self, name: str) -> str:
        """Of the VM, "" if nobody shows it."""
        time.sleep(1.0)
        return next((str(row["state"]) for row in self.json("ps") if row["name"] == name), "")

    def window(self, vm: str, title: str, timeout: float = PATIENCE) -> dict[str, Any]:
        """The painted window whose title contains that."""

        def look() -> dict[str, Any] | None:
            time.sleep(0.5)
            for row in self.json("windows"):
                if row["vm"] == vm and row["mapped"] and title in str(row["title"]) and row["damage_rects"]:
                    return row
            return None

        return wait_for(f"a window {title!r} of {vm}", look, timeout)

    def type(self, text: str) -> None:
        """With the keyboard, into whatever has the focus."""
        display = self.screen.display
        shift = display.keysym_to_keycode(XK.XK_Shift_L)
        for char in text:
            keysym = XK.XK_Return if char == "\n" else ord(char)
            keycode = display.keysym_to_keycode(keysym)
            shifted = display.keycode_to_keysym(keycode, 0) != keysym
            if shifted:
                xtest.fake_input(display, X.KeyPress, shift)
            xtest.fake_input(display, X.KeyPress, keycode)
            xtest.fake_input(display, X.KeyRelease, keycode)
            if shifted:
                xtest.fake_input(display, X.KeyRelease, shift)
            self.screen.sync()

    def close(self) -> None:
        """End guid; the AppVMs run on."""
        for process in self.shown:
            process.terminate()
            process.wait()
        self.screen.close()


@pytest.fixture(scope="module")
def desk(guests: Guests, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:  # noqa: ARG001 - they have to run
    with XServer(1600, 1000) as server:
        made = Desk(server.display, tmp_path_factory.mktemp("desk"))
        for name in Guests.kinds:
            wait_for(f"the agent in {name}", lambda name=name: made.state(name) == "connected", BOOT_SECONDS)  # type: ignore[misc]
        yield made
        made.close()


def test_doctor_knows_that_this_is_dom0(desk: Desk) -> None:
    said = subprocess.run([*GUID, "doctor"], env=desk.environ, capture_output=True, text=True, check=False).stdout
    section = said.split("xen", 1)[1]
    assert "dom0" in section
    assert "copied once" in section


def test_typed_text_reaches_a_shell_in_a_domu(desk: Desk) -> None:
    window = desk.window("one", "shell")
    assert window["copies_per_frame"] == 1, "an X server cannot attach grants"
    assert int(desk.screen.pixels(window["x"] - 1, window["y"] + 5, 1, 1)[0, 0]) == 0x3465A4, "the border is blue"
    desk.screen.focus(window["local_id"])
    desk.type("printf '\\033]0;%s-%s\\007' $(hostname) $((6*7))\n")
    desk.window("one", "one-42")


def test_pixels_are_those_of_the_domus_own_window(desk: Desk) -> None:
    window = desk.window("one", "sum ")
    title = re.search(r"sum ([0-9a-f]{64})", window["title"])
    assert title is not None

    def look() -> bool:
        shown = desk.screen.pixels(window["x"], window["y"], window["width"], window["height"])
        return len(np.unique(shown)) > 1000 and hashlib.sha256(shown.astype("<u4").tobytes()).hexdigest() == title[1]

    wait_for("equal pixels", look, 20)


def test_an_agent_that_is_killed_comes_back(desk: Desk) -> None:
    window = desk.window("one", "one-42")
    desk.screen.focus(window["local_id"])
    before = desk.screen.root.query_tree().children
    desk.type("pkill guiagent\n")

    def come_back() -> bool:
        return desk.screen.root.query_tree().children != before and desk.state("one") == "connected"

    wait_for("new windows", come_back, PATIENCE)
    desk.window("one", "sum ")


def test_one_domus_grants_are_nothing_to_another(guests: Guests) -> None:
    backend = factory({})
    with guests.far("one") as far:
        sharer = far.sharer(guests.domid("one"), 0)()
        pages = sharer.allocate(4096)
        mine, others = backend.mapper(0, guests.domid("one")), backend.mapper(0, guests.domid("two"))
        mine.map(pages.refs).release()
        # The same numbers of the other domain are its own affair: an error, or its own pages.
        try:
            mapped = others.map(pages.refs)
        except PeerMisbehaved:
            pass
        else:
            mapped.release()
        mine.close()
        others.close()
        sharer.close()


def test_a_domu_that_is_destroyed_while_it_paints(desk: Desk, guests: Guests) -> None:
    desk.window("two", "busy")
    guests.driver.stop("two", 0.0)
    wait_for("its windows to go", lambda: not [row for row in desk.json("windows") if row["vm"] == "two"], PATIENCE)
    assert desk.state("one") == "connected", "nobody else noticed"
    guests.start("two")
    wait_for("its agent", lambda: desk.state("two") == "connected", BOOT_SECONDS)
    desk.window("two", "busy")
