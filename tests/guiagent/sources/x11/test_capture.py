"""Frames are announced when the X server has copied them, not when it was told to."""

import os
import signal
from collections.abc import Iterator

import pytest

from guiagent.core.source_events import FrameReady
from tests.conformance.sources.guest import Guest, Program
from tests.xserver import XServer


@pytest.fixture
def server() -> Iterator[XServer]:
    with XServer(300, 200) as server:
        yield server


def test_no_frame_is_announced_before_it_is_copied(server: XServer) -> None:
    program = Program(server.display)
    window = program.window(0, 0, 100, 100, background_pixel=0)
    window.map()
    program.sync()
    with Guest("x11", server.display) as guest:
        guest.wait_same(program, window)
        guest.source.hold(True)
        program.fill(window, 0xABCDEF, 0, 0, 100, 100)
        program.sync()
        guest.turn(0.2)
        guest.reported.clear()
        os.kill(server.pid, signal.SIGSTOP)
        guest.source.hold(False)
        for _ in range(5):
            guest.turn(0.02)
        assert not guest.reported
        os.kill(server.pid, signal.SIGCONT)
        guest.wait_event(FrameReady, window)
        assert (guest.canvas(window) == 0xABCDEF).all()
    program.close()
