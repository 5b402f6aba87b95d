"""dom0's X server with guid on it, as a user in dom0 has them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from Xlib import XK, X
from Xlib.ext import xtest

from tests.e2e.rig import Screen, wait_for

GUID = [sys.executable, "-m", "guid.cli.main"]
PATIENCE = 180.0


class Desk:
    """dom0's X server, with guid showing both AppVMs on it."""

    def __init__(self, display: str, directory: Path, names: Iterable[str]) -> None:
        self.screen = Screen(display)
        self.environ = {**os.environ, "DISPLAY": display, "GUID_RUNTIME_DIR": str(directory / "run")}
        self.shown = [
            subprocess.Popen([*GUID, "attach", name], env=self.environ, stdin=subprocess.DEVNULL) for name in names
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
