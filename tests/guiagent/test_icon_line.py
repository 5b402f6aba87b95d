"""A running agent tells icons over a vchan of their own, to whoever has its windows, and only what is new to him."""

import select
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from Xlib import Xatom

from backends.base import Vchan, VchanState
from backends.local import LocalBackend
from guiproto.icons import IconDecoder, WindowIcon
from guiproto.messages import Create, WmName
from guiproto.ports import ICON_PORT
from tests.conformance.sources.guest import Program
from tests.guiagent.daemon import DEADLINE, RawDaemon
from tests.guiagent.test_agent import DOMID, NEW, OLD, Running
from tests.xserver import XServer, wait_until

SIDE = 120


class IconClient:
    """What a daemon has for icons."""

    def __init__(self, directory: Path, gui_domid: int = OLD) -> None:
        self.vchan: Vchan = LocalBackend(directory).client(gui_domid, DOMID, ICON_PORT)
        self._decoder = IconDecoder()
        self.icons: list[WindowIcon] = []

    def until(self, condition: Callable[[], object]) -> None:
        """Read until it is true."""
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, [icon[:3] for icon in self.icons]
            select.select([self.vchan.fileno()], [], [], 0.05)
            self.vchan.update()
            while data := self.vchan.read(1 << 16):
                self._decoder.feed(data)
                self.icons += self._decoder.icons()

    def shades(self) -> list[int]:
        """What the icons are filled with, in their order."""
        return [icon.rgba[2] for icon in self.icons]

    def gone(self) -> bool:
        return self.vchan.update() is VchanState.DISCONNECTED


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="icons") as name:
        yield Path(name)


@pytest.fixture
def server() -> Iterator[XServer]:
    with XServer(800, 600) as server:
        yield server


@pytest.fixture
def program(server: XServer) -> Iterator[Program]:
    program = Program(server.display)
    yield program
    program.close()


@pytest.fixture
def running(directory: Path, server: XServer) -> Iterator[Running]:
    running = Running(directory, server.display)
    yield running
    running.close()


def give_icon(program: Program, window: Any, shade: int, side: int = SIDE) -> None:
    words = [side, side, *[0xFF000000 | shade] * side**2]
    window.change_property(program.atom("_NET_WM_ICON"), Xatom.CARDINAL, 32, words)
    program.sync()


def open_window(program: Program, shade: int) -> Any:
    window = program.window(10, 20, 20, 10)
    give_icon(program, window, shade)
    return window


@pytest.mark.usefixtures("running")
def test_icons_follow_their_windows(directory: Path, program: Program) -> None:
    early = open_window(program, 1)
    client = IconClient(directory)
    wait_until(lambda: client.vchan.update() is VchanState.CONNECTED)
    late = open_window(program, 2)
    daemon = RawDaemon(directory, DOMID)
    client.until(lambda: len(client.icons) == 2)
    assert {(icon.window, icon.width, icon.rgba[2]) for icon in client.icons} == {
        (early.id, SIDE, 1),
        (late.id, SIDE, 2),
    }
    daemon.turn(0)
    assert {message.window for message in daemon.of(Create)} >= {early.id, late.id}, "the windows were told before"
    give_icon(program, early, 3)
    client.until(lambda: client.shades()[2:] == [3])
    daemon.close()
    client.vchan.close()


@pytest.mark.usefixtures("running")
def test_whoever_comes_next_hears_everything_again(directory: Path, program: Program) -> None:
    open_window(program, 5)
    daemon = RawDaemon(directory, DOMID)
    for _ in range(3):
        client = IconClient(directory)
        client.until(lambda client=client: client.shades() == [5])  # type: ignore[misc] # mypy infers no lambda defaults
        client.vchan.close()
    daemon.close()


@pytest.mark.usefixtures("running")
def test_whoever_is_slow_gets_the_latest(directory: Path, program: Program) -> None:
    """The vchan holds some of them; of the others only the last is read at all."""
    client = IconClient(directory)
    daemon = RawDaemon(directory, DOMID)
    wait_until(lambda: client.vchan.update() is VchanState.CONNECTED)
    window = open_window(program, 0)
    for shade in range(1, 200):
        give_icon(program, window, shade)
    window.set_wm_name("over")
    program.sync()
    daemon.until(lambda: any(said.data.startswith(b"over") for said in daemon.of(WmName, window.id)), "the title")
    client.until(lambda: client.shades()[-1:] == [199])
    assert len(client.icons) < 100
    assert client.shades() == sorted(client.shades())
    daemon.close()
    client.vchan.close()


def test_both_gui_domains_hear_of_icons_while_windows_move(directory: Path, running: Running, program: Program) -> None:
    window = open_window(program, 1)
    old, new = IconClient(directory, OLD), IconClient(directory, NEW)
    daemon = RawDaemon(directory, DOMID)
    old.until(lambda: old.shades() == [1])
    running.call(lambda agent: agent.prepare(NEW))
    next_daemon = RawDaemon(directory, DOMID, gui_domid=NEW)
    new.until(lambda: new.shades() == [1])
    give_icon(program, window, 2)
    old.until(lambda: old.shades() == [1, 2])
    new.until(lambda: new.shades() == [1, 2])
    running.call(lambda agent: agent.move(NEW))
    wait_until(old.gone)
    give_icon(program, window, 3)
    new.until(lambda: new.shades() == [1, 2, 3])
    late = IconClient(directory, OLD)
    assert late.vchan.update() is VchanState.WAITING, "nobody listens for it any more"
    for daemon_ in (daemon, next_daemon):
        daemon_.close()
    for client in (old, new, late):
        client.vchan.close()


def test_nobody_is_told_while_no_daemon_is_served(directory: Path, running: Running, program: Program) -> None:
    open_window(program, 1)
    client = IconClient(directory)
    wait_until(lambda: client.vchan.update() is VchanState.CONNECTED)
    running.call(lambda agent: agent.serve(False))
    wait_until(client.gone)
    client.vchan.close()
    running.call(lambda agent: agent.serve(True))
    daemon, client = RawDaemon(directory, DOMID), IconClient(directory)
    client.until(lambda: client.shades() == [1])
    daemon.close()
    client.vchan.close()


@pytest.mark.usefixtures("running")
def test_what_the_daemon_says_there_is_nothing(directory: Path, program: Program) -> None:
    client, daemon = IconClient(directory), RawDaemon(directory, DOMID)
    wait_until(lambda: client.vchan.update() is VchanState.CONNECTED)
    for _ in range(20):
        client.vchan.write(bytes(50_000))
    window = open_window(program, 1)
    client.until(lambda: client.shades() == [1])
    window.set_wm_name("still there")
    window.map()
    program.sync()
    daemon.wait_window("still there")
    daemon.close()
    client.vchan.close()


def test_windows_are_told_where_icons_cannot_be(directory: Path, server: XServer, program: Program) -> None:
    taken = LocalBackend(directory).server(DOMID, OLD, ICON_PORT)
    running = Running(directory, server.display)
    window = open_window(program, 1)
    window.set_wm_name("without")
    window.map()
    program.sync()
    daemon = RawDaemon(directory, DOMID)
    daemon.wait_window("without")
    daemon.close()
    taken.close()
    running.close()


@pytest.mark.usefixtures("running")
def test_icons_of_windows_that_come_and_go(directory: Path, program: Program) -> None:
    client, daemon = IconClient(directory), RawDaemon(directory, DOMID)
    wait_until(lambda: client.vchan.update() is VchanState.CONNECTED)
    for shade in range(50):
        open_window(program, shade).destroy()
        program.sync()
    last = open_window(program, 77)
    client.until(lambda: client.shades()[-1:] == [77])
    assert client.icons[-1].window == last.id
    daemon.close()
    client.vchan.close()
