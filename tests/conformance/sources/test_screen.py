"""Programs see the screen and the monitors that the desktop has, and the pointer reaches all of it."""

import re
from contextlib import closing
from typing import Any

import pytest
from Xlib import X

from guiagent.core.source_events import Mapped
from guiproto.messages import Crossing, Motion
from qubesdb.keys import Monitor
from tests.conformance.sources.guest import Guest, Program
from tests.xserver import SERVERS, XServer

ROOM = (1200, 900)


@pytest.fixture
def roomy(source_name: str) -> Any:
    """A server with room, a source that follows it, a program."""
    with SERVERS[source_name](*ROOM) as server, Guest(source_name, server.display) as guest:
        program = Program(server.display)
        program.root.change_attributes(event_mask=X.StructureNotifyMask)
        program.sync()
        yield server, guest, program
        program.close()


def monitors(server: XServer) -> list[str]:
    """Size and place of each monitor, the main one first, as xrandr prints them."""
    lines = server.run("xrandr", "--listmonitors").splitlines()[1:]
    return [line.split()[2] for line in lines]


def outputs(server: XServer) -> list[str]:
    """What xrandr says of each connected output behind its name."""
    return re.findall(r" connected (?:primary )?(\S+)", server.run("xrandr", "-q"))


def screen(program: Program) -> tuple[int, int]:
    size = program.root.get_geometry()
    return int(size.width), int(size.height)


def test_one_monitor(roomy: tuple[XServer, Guest, Program]) -> None:
    server, guest, program = roomy
    guest.source.arrange([Monitor(800, 600, 0, 0)])
    program.wait_events(lambda events: any(e.type == X.ConfigureNotify and e.width == 800 for e in events))
    assert screen(program) == (800, 600)
    assert monitors(server) == ["800/212x600/159+0+0"]
    assert outputs(server) == ["800x600+0+0"]


def test_several_monitors_and_fewer_again(roomy: tuple[XServer, Guest, Program]) -> None:
    server, guest, program = roomy
    guest.source.arrange([Monitor(500, 600, 300, 0, 50, 60), Monitor(300, 900, 0, 0)])
    assert screen(program) == (800, 900)
    assert monitors(server) == ["500/50x600/60+300+0", "300/79x900/238+0+0"]
    assert outputs(server) == ["800x900+0+0"]
    guest.source.arrange([Monitor(500, 600, 0, 0)])
    assert screen(program) == (500, 600)
    assert monitors(server) == ["500/132x600/159+0+0"]


def test_a_desktop_of_many_sizes_leaves_no_modes_behind(roomy: tuple[XServer, Guest, Program]) -> None:
    server, guest, program = roomy
    for width in (*range(400, 500, 5), ROOM[0], 640):
        guest.source.arrange([Monitor(width, 300, 0, 0)])
    assert screen(program) == (640, 300)
    assert len(re.findall(r"^ +\S+ +[0-9.]+", server.run("xrandr", "-q"), re.MULTILINE)) <= 2, "its first and ours"


@pytest.mark.parametrize(
    ("wished", "given", "size"),
    [
        ([Monitor(5000, 5000, 0, 0)], ["1200/318x900/238+0+0"], ROOM),
        ([Monitor(800, 9, 0, 0), Monitor(800, 9, 800, 0)], ["800/212x9/2+0+0", "400/106x9/2+800+0"], (1200, 64)),
        ([Monitor(10, 10, 32767, 0)], ["1200/318x900/238+0+0"], ROOM),
        ([Monitor(1, 1, 0, 0)], ["1/0x1/0+0+0"], (64, 64)),
    ],
)  # fmt: skip
def test_what_there_is_no_room_for_is_left_out(wished: list[Monitor], given: list[str], size: tuple[int, int]) -> None:
    with XServer(*ROOM) as server, Guest("x11", server.display) as guest, closing(Program(server.display)) as program:
        guest.source.arrange(wished)
        assert (monitors(server), screen(program)) == (given, size)


def test_the_pointer_reaches_what_has_come(roomy: tuple[XServer, Guest, Program]) -> None:
    _, guest, program = roomy
    guest.source.arrange([Monitor(300, 200, 0, 0)])
    guest.settle()
    guest.source.arrange([Monitor(1000, 800, 0, 0)])
    window = program.window(700, 500, 250, 250, event_mask=X.PointerMotionMask | X.LeaveWindowMask)
    window.map()
    program.sync()
    guest.wait_event(Mapped, window)
    guest.perform(Crossing(window.id, 7, 1, 1, 0, 0, 0, 0), Motion(window.id, 240, 245, 0, 0))
    program.wait_events(lambda events: any(e.type == X.MotionNotify and e.root_x == 940 for e in events))
    guest.perform(Crossing(window.id, 8, 260, 100, 0, 0, 0, 0))
    program.wait_events(lambda events: any(e.type == X.LeaveNotify and e.root_x == 960 for e in events))


def test_a_server_without_randr_stays_as_it_is() -> None:
    with XServer(400, 300, arguments=("-extension", "RANDR")) as server, Guest("x11", server.display) as guest:
        guest.source.arrange([Monitor(300, 200, 0, 0)])
        program = Program(server.display)
        assert screen(program) == (400, 300)
        program.close()


def test_a_program_that_grabs_the_server_does_not_stop_that(roomy: tuple[XServer, Guest, Program]) -> None:
    _, guest, program = roomy
    program.display.grab_server()
    program.sync()
    guest.source.arrange([Monitor(800, 600, 0, 0)])
    assert screen(program) == (800, 600)
    program.display.ungrab_server()
    program.sync()
