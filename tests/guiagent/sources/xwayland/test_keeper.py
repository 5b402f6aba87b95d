"""An Xwayland outlives its agents, whoever comes finds all windows, and no program makes its keeper give up."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from Xlib import X

from guiagent.processes import below
from guiagent.sources.registry import load
from guiagent.sources.xwayland.memory import ORDER, SOCKET_PROPERTY, Keeper
from guiagent.sources.xwayland.source import keeper_of
from guiproto.errors import MachineCannot
from tests.conformance.sources.guest import Guest, Program
from tests.guiagent.fakes import MemorySharer
from tests.xserver import XwaylandServer, wait_until


@pytest.fixture
def server() -> Iterator[XwaylandServer]:
    with XwaylandServer(800, 600) as made:
        yield made


@pytest.fixture
def program(server: XwaylandServer) -> Iterator[Program]:
    made = Program(server.display)
    yield made
    made.close()


def keeper_pid(server: XwaylandServer) -> int:
    return server._process.pid


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def show(program: Program, window: Any) -> None:
    """With whoever manages windows, and no agent that this test would have to run."""
    window.map()
    program.sync()
    wait_until(lambda: window.get_attributes().map_state == X.IsViewable, "the window to be mapped")


def test_windows_are_mapped_moved_and_restacked_without_an_agent(program: Program) -> None:
    below_, above = (program.window(0, 0, 50, 50) for _ in range(2))
    show(program, below_)
    show(program, above)
    below_.configure(x=30, y=40, width=60, height=70, stack_mode=X.Above)
    program.sync()
    wait_until(lambda: below_.get_geometry().width == 60, "its size")
    assert (below_.get_geometry().x, below_.get_geometry().y) == (30, 40)
    assert [window.id for window in program.root.query_tree().children][-1] == below_.id


def test_an_agent_after_another_finds_what_there_was_and_what_came_meanwhile(
    server: XwaylandServer, program: Program
) -> None:
    early = program.window(0, 0, 50, 50, background_pixel=1)
    with Guest("xwayland", server.display) as guest:
        guest.show(program, early)
        guest.wait_same(program, early)
    between = program.window(0, 0, 70, 50, background_pixel=2)
    show(program, between)
    with Guest("xwayland", server.display) as guest:
        guest.wait_same(program, early)
        guest.wait_same(program, between)
        program.fill(early, 0xABCDEF, 0, 0, 20, 20)
        guest.wait_same(program, early)


def test_windows_that_come_while_agents_change_are_shown(server: XwaylandServer, program: Program) -> None:
    windows = []
    for number in range(12):
        with Guest("xwayland", server.display):
            windows.append(program.window(0, 0, 40 + number, 40, background_pixel=number))
            windows[-1].map()
            program.sync()
        windows.append(program.window(0, 0, 40 + number, 60, background_pixel=number))
        windows[-1].map()
        program.sync()
    with Guest("xwayland", server.display) as guest:
        for window in windows:
            guest.wait_same(program, window)


def test_of_two_agents_the_later_one_has_the_windows(server: XwaylandServer) -> None:
    with Guest("xwayland", server.display), pytest.raises(MachineCannot, match=r"manages the windows|let us manage"):
        load("xwayland")(server.display, MemorySharer(), keep_screen=False)


def test_another_x_server_is_refused_with_a_remedy() -> None:
    from tests.xserver import XServer

    with XServer(300, 200) as other, pytest.raises(MachineCannot, match=r"no Xwayland .*choose the source x11"):
        load("xwayland")(other.display, MemorySharer(), keep_screen=False)


def test_a_screen_cannot_be_kept(server: XwaylandServer) -> None:
    with pytest.raises(MachineCannot, match=r"has no screen .*choose the source x11"):
        load("xwayland")(server.display, MemorySharer(), keep_screen=True)


def test_a_flood_of_pixmaps_costs_no_descriptors_and_ends_nothing(server: XwaylandServer, program: Program) -> None:
    with Guest("xwayland", server.display) as guest:
        window = program.window(0, 0, 50, 50, background_pixel=1)
        guest.show(program, window)
        guest.wait_same(program, window)
        before = descriptors(keeper_pid(server))
        kept = [program.root.create_pixmap(20, 20, 24) for _ in range(3000)]
        for _ in range(3000):
            program.root.create_pixmap(20, 20, 24).free()
        program.sync()
        program.fill(window, 0xABCDEF, 0, 0, 20, 20)
        guest.wait_same(program, window)
        wait_until(lambda: descriptors(keeper_pid(server)) <= before + 70, "the keeper's descriptors to be closed")
        for pixmap in kept:
            pixmap.free()
        window.configure(width=90, height=80)
        program.fill(window, 0xABCDEF, 0, 0, 20, 20)
        guest.wait_same(program, window)


def test_hundreds_of_windows(server: XwaylandServer, program: Program) -> None:
    with Guest("xwayland", server.display) as guest:
        windows = [program.window(0, 0, 10 + n % 7, 10, background_pixel=n) for n in range(300)]
        for window in windows:
            window.map()
        program.sync()
        for window in windows:
            guest.wait_same(program, window)
        for window in windows:
            window.destroy()
        program.sync()
        guest.until(lambda: not guest.sharer.live, "all memory to be given back")
    wait_until(lambda: descriptors(keeper_pid(server)) < 150, "the keeper's descriptors to be closed")


@pytest.mark.parametrize(
    "nonsense", [b"", b"x", ORDER.pack(99, 1, 2, 3), ORDER.pack(2, 5, 6, 7), ORDER.pack(3, 5, 6, 7)]
)
def test_nonsense_on_its_socket_is_nobodys_business(server: XwaylandServer, program: Program, nonsense: bytes) -> None:
    path = keeper_of(program.display)
    assert path is not None
    assert path.parent.stat().st_mode & 0o077 == 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(str(path))
        connection.send(nonsense)
    window = program.window(0, 0, 50, 50, background_pixel=1)
    with Guest("xwayland", server.display) as guest:
        guest.show(program, window)
        guest.wait_same(program, window)


def test_messages_that_programs_make_up_are_not_believed(server: XwaylandServer, program: Program) -> None:
    from Xlib.protocol import event

    victim, thief = program.window(0, 0, 50, 50, background_pixel=1), program.window(0, 0, 50, 50, background_pixel=2)
    with Guest("xwayland", server.display) as guest:
        guest.show(program, victim)
        guest.show(program, thief)
        for surface in range(3, 40):
            made_up = event.ClientMessage(
                window=thief, client_type=program.atom("WL_SURFACE_ID"), data=(32, [surface, 0, 0, 0, 0])
            )
            program.root.send_event(made_up, event_mask=X.SubstructureRedirectMask)
        program.sync()
        program.fill(victim, 0xABCDEF, 0, 0, 20, 20)
        program.fill(thief, 0xFEDCBA, 0, 0, 20, 20)
        guest.wait_same(program, victim)
        guest.wait_same(program, thief)


def test_it_ends_with_its_xwayland_and_leaves_nothing(server: XwaylandServer, program: Program) -> None:
    path = keeper_of(program.display)
    assert path is not None
    os.kill(server.pid, signal.SIGKILL)
    assert server._process.wait(20) != 0
    assert not path.parent.exists()


def test_told_to_end_it_ends_with_0() -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "guiagent.sources.xwayland.keeper", "300", "200", str(writer)], pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writer)
    with open(reader) as pipe:
        number = pipe.readline().strip()
    with closing(Program(f":{number}")) as program:
        assert program.root.get_full_property(program.atom(SOCKET_PROPERTY), X.AnyPropertyType)
        (xwayland,) = below(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    wait_until(lambda: not Path(f"/proc/{xwayland}").exists(), "Xwayland to end")


def test_nobody_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(MachineCannot, match="does not answer"):
        Keeper(tmp_path / "nobody")


def test_a_program_may_move_the_pointer(server: XwaylandServer, program: Program) -> None:
    """Xwayland tells its compositor's seat of that; without one it would end."""
    with Guest("xwayland", server.display) as guest:
        window = program.window(100, 100, 200, 200, background_pixel=1)
        guest.show(program, window)
        window.warp_pointer(30, 40)
        program.sync()
        where = program.root.query_pointer()
        assert (where.root_x, where.root_y) == (130, 140)
        program.fill(window, 0xABCDEF, 0, 0, 20, 20)
        guest.wait_same(program, window)
