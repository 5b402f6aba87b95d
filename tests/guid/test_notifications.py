"""The user is told, on a real session bus; never too often, and never in a VM's words."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from guid.notifications import Notifications, command_for, has_bus
from tests.xserver import wait_until


class Loop:
    """A clock and the timers of whoever shows notifications."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.now = 100.0
        self.timers: list[Callable[[], None]] = []
        self.notifications = Notifications(
            lambda: self.now, lambda _seconds, action: self.timers.append(action), environ
        )


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A notify-send that writes down its arguments; the file."""
    written = tmp_path / "shown"
    script = tmp_path / "bin" / "notify-send"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {written}.new\nmv {written}.new {written}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return written


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Loop]:
    made = Loop({**os.environ, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={tmp_path}/none"})
    yield made
    made.notifications.close()


def test_a_line_is_shown_under_the_vms_name(loop: Loop, program: Path) -> None:
    assert loop.notifications.show("-work", "more windows than <b>2000</b>\n\x1b[31m\u202e")
    wait_until(program.exists, "the program")
    assert program.read_text() == (
        "--app-name=Odyssey GUI|--expire-time=10000|--|-work|more windows than &lt;b&gt;2000&lt;/b&gt;??[31m?|"
    )


def test_a_text_is_not_longer_than_a_line_or_two(loop: Loop, program: Path) -> None:
    assert loop.notifications.show("work", "x" * 100_000)
    wait_until(program.exists, "the program")
    assert program.read_text().count("x") <= 210


def test_each_vm_may_say_a_few_things_at_once_and_then_one_now_and_then(loop: Loop, program: Path) -> None:  # noqa: ARG001
    show = loop.notifications.show
    assert [show("work", "x") for _ in range(5)] == [True, True, True, False, False]
    assert show("mail", "x"), "another VM's are its own"
    loop.now += 19
    assert not show("work", "x")
    loop.now += 2
    assert [show("work", "x") for _ in range(2)] == [True, False]
    for reap in loop.timers:
        reap()
    assert not loop.notifications._running


def test_without_a_bus_nothing_is_started(program: Path, tmp_path: Path) -> None:
    loop = Loop({"XDG_RUNTIME_DIR": str(tmp_path)})
    assert not loop.notifications.show("work", "x")
    assert not program.exists()
    (tmp_path / "bus").touch()
    assert has_bus({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_without_a_program_nothing_is_shown(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command_for("work", "x") is None
    assert not loop.notifications.show("work", "x")


@pytest.mark.skipif(
    not all(map(shutil.which, ("dbus-daemon", "dbus-monitor", "busctl"))), reason="no dbus-daemon, dbus-bin or systemd"
)
def test_the_desktops_bus_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which
    monkeypatch.setattr("guid.notifications.shutil.which", lambda name: None if name == "notify-send" else found(name))
    daemon = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address"], stdout=subprocess.PIPE, text=True
    )
    assert daemon.stdout is not None
    environ = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": daemon.stdout.readline().strip()}
    monitor = subprocess.Popen(
        ["dbus-monitor", "--session", "interface='org.freedesktop.Notifications'"],
        env=environ, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert monitor.stdout is not None
    loop = Loop(environ)
    try:
        while "member=NameLost" not in monitor.stdout.readline():
            pass  # from then on it sees everything
        assert loop.notifications.show("work", "its session ended: <unknown window>")
        while "member=Notify" not in (line := monitor.stdout.readline()):
            assert line
        told = [monitor.stdout.readline().strip() for _ in range(5)]
        assert told[0] == 'string "Odyssey GUI"'
        assert told[3:] == ['string "work"', 'string "its session ended: &lt;unknown window&gt;"']
    finally:
        loop.notifications.close()
        for process in (monitor, daemon):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
