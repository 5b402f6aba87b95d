"""`guid run` and `guid demo` as a user types them: sandboxed AppVMs, their windows, and nothing left behind."""

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.desk import Desk
from tests.e2e.rig import wait_for
from tests.xserver import XServer

ROUNDS = 10


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


@pytest.mark.parametrize(
    ("source", "killed"), [("x11", "Xvfb"), ("xwayland", "Xwayland"), ("xwayland", "xwayland-keeper")]
)
def test_an_appvm_whose_x_server_was_killed_starts_its_command_again(desk: Desk, source: str, killed: str) -> None:
    desk.start("run", "work", "--label", "blue", "--source", source, "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    vm_pid = desk.vms()[0]["vm_pid"]
    for _ in range(ROUNDS):
        (server,) = _descendants(vm_pid, killed)
        (terminal,) = _descendants(vm_pid, "xterm")
        os.kill(server, signal.SIGKILL)
        wait_for("another terminal", partial(_another, vm_pid, "xterm", terminal))
        wait_for("the window", partial(desk.painted, "inside"))


@pytest.mark.parametrize(("source", "copies"), [("x11", 1), ("xwayland", 0), ("auto", 0)])
def test_copies_inside_the_vm_are_counted(desk: Desk, source: str, copies: int) -> None:
    desk.start("run", "work", "--label", "blue", "--source", source, "--", *XTERM)
    wait_for("the window", partial(desk.painted, "inside"))
    (row,) = [row for row in json.loads(desk.guid("windows", "--json")) if row["title"] == "inside"]
    assert (row["guest_copies"], row["copies_per_frame"]) == (copies, copies)
    assert row["source"] == ("x11" if copies else "xwayland")
    assert f"/odyssey-source = {row['source']}" in desk.guid("db", "list", "work")
    desk.guid("db", "write", "work", "/odyssey-source", row["source"])
    assert "it is none of x11, xwayland" in desk.guid("db", "write", "work", "/odyssey-source", "elsewhere", status=1)


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
