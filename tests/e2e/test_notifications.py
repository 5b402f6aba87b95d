"""What guid refuses a VM is told on the desktop, unless the user does not want that."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from Xlib import X

from tests.e2e.rig import Rig, wait_for

REFUSED = "a window that would cover the work area is not override-redirect"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """With a notify-send that writes its arguments into the file `shown`."""
    with Rig(tmp_path) as made:
        program = tmp_path / "bin" / "notify-send"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/shown\n')
        program.chmod(0o755)
        made.environ["PATH"] = f"{program.parent}:{os.environ['PATH']}"
        made.environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={tmp_path}/none"
        yield made


def shown(rig: Rig) -> str:
    file = rig.directory / "shown"
    return file.read_text() if file.exists() else ""


def cover_the_screen(rig: Rig) -> None:
    screen = rig.guest.display.screen()
    window = screen.root.create_window(0, 0, 2048, 1280, 0, screen.root_depth, X.InputOutput, override_redirect=1)
    window.map()
    rig.guest.sync()


def test_a_window_that_may_not_be_left_alone(rig: Rig) -> None:
    rig.start_agent()
    rig.start_daemon()
    wait_for("the agent", lambda: "the agent is there" in rig.log("guid"))
    cover_the_screen(rig)
    wait_for("the notification", lambda: f"-- work {REFUSED}\n" in shown(rig))
    assert f"work: {REFUSED}" in rig.log("guid")


def test_whoever_does_not_want_it_has_it_in_the_log_only(rig: Rig) -> None:
    (rig.directory / "guid.toml").write_text("[global]\nnotifications = false\n")
    rig.start_agent()
    rig.start_daemon()
    wait_for("the agent", lambda: "the agent is there" in rig.log("guid"))
    cover_the_screen(rig)
    wait_for("the line in the log", lambda: f"work: {REFUSED}" in rig.log("guid"))
    rig.windows()  # the worker has said everything by now that it said before it answers this
    assert not shown(rig)


def test_a_session_that_ends_for_a_violation(rig: Rig) -> None:
    agent = socket.socket(socket.AF_UNIX)
    agent.bind(str(rig.directory / "vchan" / f"vchan.{rig.domid}.0.6000.sock"))
    agent.listen()
    rig.start_daemon()
    connection, _ = agent.accept()
    connection.sendall((0x00090000).to_bytes(4, "little"))
    wait_for("the notification", lambda: "-- work its session ended: " in shown(rig))
    connection.close()
    agent.close()
