"""`guid run` and `guid demo` as a user types them: sandboxed AppVMs, their windows, and nothing left behind."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.e2e.rig import Screen, wait_for
from tests.xserver import XServer

ROUNDS = 10
BLUE = 0x3465A4


class Desk:
    """A desktop and the `guid` command on it, with a runtime directory of its own."""

    def __init__(self, directory: Path, server: XServer) -> None:
        self.directory = directory
        self.runtime = directory / "run"
        self.screen = Screen(server.display)
        self._started: list[subprocess.Popen[bytes]] = []
        self.environ = {
            **os.environ,
            "DISPLAY": server.display,
            "GUID_RUNTIME_DIR": str(self.runtime),
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


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with XServer(1600, 1000) as server:
        made = Desk(tmp_path, server)
        try:
            yield made
        finally:
            made.close()


XTERM = ("xterm", "-T", "inside", "-geometry", "60x10+100+100", "-e", "sh", "-c", "echo hello; exec sleep 600")


def test_a_command_in_an_appvm_is_shown_until_it_ends(desk: Desk) -> None:
    run = desk.start("run", "work", "--label", "blue", "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    (vm,) = desk.vms()
    assert (vm["name"], vm["label"], vm["state"]) == ("work", "blue", "connected")
    assert "taken" in desk.guid("run", "work", "--", "xterm", status=1)
    desk.guid("stop", "work")
    assert run.wait(30) is not None
    assert desk.vms() == []
    assert not desk.screen.root.query_tree().children


def test_the_exit_status_of_the_command_is_that_of_guid_run(desk: Desk) -> None:
    desk.guid("run", "work", "--", "sh", "-c", "exit 0")
    assert "work" in desk.guid("run", "work", "--", "sh", "-c", "exit 7", status=7)


def test_ctrl_c_ends_the_appvm(desk: Desk) -> None:
    run = desk.start("run", "work", "--label", "blue", "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    vm_pid = desk.vms()[0]["vm_pid"]
    run.send_signal(signal.SIGINT)
    run.wait(30)
    wait_for("the AppVM to end", lambda: not Path(f"/proc/{vm_pid}").exists())
    assert desk.vms() == []


def test_an_appvm_outlives_its_supervisor_and_its_windows_come_back(desk: Desk) -> None:
    run = desk.start("run", "work", "--label", "blue", "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    vm_pid = desk.vms()[0]["vm_pid"]
    for _ in range(ROUNDS):
        before = desk.vms()[0]["supervisor_pid"]
        os.kill(before, signal.SIGKILL)
        wait_for("another supervisor", partial(_another_supervisor, desk, before))
        wait_for("the window", partial(desk.painted, "inside"))
        assert desk.vms()[0]["vm_pid"] == vm_pid
    assert run.poll() is None
    desk.guid("stop", "work")
    run.wait(30)
    assert not Path(f"/proc/{vm_pid}").exists()


def test_an_appvm_whose_x_server_was_killed_starts_its_command_again(desk: Desk) -> None:
    desk.start("run", "work", "--label", "blue", "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    vm_pid = desk.vms()[0]["vm_pid"]
    for _ in range(ROUNDS):
        (server,) = _descendants(vm_pid, "Xvfb")
        (terminal,) = _descendants(vm_pid, "xterm")
        os.kill(server, signal.SIGKILL)
        wait_for("another terminal", partial(_another, vm_pid, "xterm", terminal))
        wait_for("the window", partial(desk.painted, "inside"))


def test_the_demo_runs_headless_and_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    shared_before = set(os.listdir("/dev/shm"))
    for how in (None, signal.SIGINT, signal.SIGTERM):
        picture, report = tmp_path / "demo.png", tmp_path / "demo.json"
        seconds = "5" if how is None else "60"
        demo = desk.start(
            "demo", "--headless", "--seconds", seconds, "--screenshot", str(picture), "--json", str(report)
        )
        wait_for("the report", report.exists)
        if how is None:
            rows = json.loads(report.read_text())
            assert {row["vm"] for row in rows["windows"]} == {"work", "untrusted"}
            with Image.open(picture) as image:
                colors = {color for _, color in image.getcolors(1 << 24) or ()}
            assert {(0x34, 0x65, 0xA4), (0xCC, 0, 0)} <= colors
        else:
            demo.send_signal(how)
        demo.wait(30)
        report.unlink()
        wait_for("its processes to go", lambda: not _mentions(str(desk.runtime)))
        assert not [*desk.runtime.glob("*.sock"), *desk.runtime.glob("demo-*")]
    assert set(os.listdir("/dev/shm")) <= shared_before


def _another_supervisor(desk: Desk, before: int) -> bool:
    return any(vm["supervisor_pid"] != before for vm in desk.vms())


def _another(pid: int, name: str, before: int) -> bool:
    return any(found != before for found in _descendants(pid, name))


def _descendants(pid: int, name: str) -> list[int]:
    found: list[int] = []
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return found  # it has just ended
    for child in map(int, children):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text().strip() == name:
                found.append(child)
            found += _descendants(child, name)
    return found


def _mentions(text: str) -> list[int]:
    """Processes whose command line contains `text`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if text in (entry / "cmdline").read_text(errors="replace"):
                    found.append(int(entry.name))
    return found
