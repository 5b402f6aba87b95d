"""A user at a desktop: the `guid` command there, with a runtime directory of its own, and eyes on the screen."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import numpy as np

from tests.e2e.rig import Pixels, Screen
from tests.xserver import XServer

BLUE = 0x3465A4


class Desk:
    """A desktop and the `guid` command on it, with a runtime directory of its own."""

    def __init__(self, directory: Path, server: XServer) -> None:
        self.server = server
        self._begin(directory, server.display)

    @classmethod
    def on(cls, directory: Path, display: str) -> Self:
        """At a display that somebody else takes care of."""
        made = cls.__new__(cls)
        made._begin(directory, display)
        return made

    def _begin(self, directory: Path, display: str) -> None:
        self.directory = directory
        self.runtime = directory / "run"
        self.screen = Screen(display)
        self._started: list[subprocess.Popen[bytes]] = []
        self.environ = {
            **os.environ,
            "DISPLAY": display,
            "GUID_RUNTIME_DIR": str(self.runtime),
            "GUID_CONFIG": str(directory / "guid.toml"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.directory / "guid.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "guid.cli.main", *arguments],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
            )
        self._started.append(process)
        return process

    def close(self) -> None:
        with contextlib.suppress(AssertionError):
            self.guid("stop", "--all")
        for process in self._started:
            process.terminate()
            process.wait(30)
        self.screen.close()

    def guid(self, *arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "guid.cli.main", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            cwd=self.directory,
        )
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    def log(self) -> str:
        """What commands that were started, and not waited for, have said."""
        return (self.directory / "guid.log").read_text()

    def windows(self) -> list[dict[str, Any]]:
        return list(json.loads(self.guid("windows", "--json")))

    def vms(self) -> list[dict[str, Any]]:
        return list(json.loads(self.guid("ps", "--json")))

    def shown(self, title: str) -> dict[str, Any] | None:
        return next((w for w in self.windows() if w["title"] == title and w["mapped"] and w["damage_rects"]), None)

    def painted(self, title: str) -> bool:
        """Whether the window is on the desktop with its border and more than one colour inside."""
        window = self.shown(title)
        if window is None:
            return False
        x, y, width, height = (window[key] for key in ("x", "y", "width", "height"))
        frame = self.screen.pixels(x - 3, y - 3, width + 6, height + 6)
        ring = np.concatenate((frame[:3].ravel(), frame[-3:].ravel(), frame[:, :3].ravel(), frame[:, -3:].ravel()))
        return bool((ring == BLUE).all()) and len(np.unique(frame[3:-3, 3:-3])) > 1

    def content(self, title: str) -> Pixels:
        """What the screen shows inside the border of that window."""
        window = self.shown(title)
        assert window is not None
        return self.screen.pixels(window["x"], window["y"], window["width"], window["height"])

    def look_at(self, screen: Screen) -> None:
        """Turn to another screen; whoever made it closes it."""
        self.screen.close()
        self.screen = Screen(screen.name)
