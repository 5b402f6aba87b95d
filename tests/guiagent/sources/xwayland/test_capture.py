"""However programs draw, the daemon shows in the end what there is; floods of reports are not taken as they come."""

import random
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from guiagent.sources.xwayland.capture import LiveCapture
from guiagent.sources.xwayland.source import XwaylandSource
from tests.conformance.sources.guest import Guest, Program
from tests.xserver import XwaylandServer


@pytest.fixture
def server() -> Iterator[XwaylandServer]:
    with XwaylandServer(800, 600) as made:
        yield made


@pytest.fixture
def guest(server: XwaylandServer) -> Iterator[Guest]:
    with Guest("xwayland", server.display) as made:
        yield made


def capture_of(guest: Guest) -> LiveCapture:
    assert isinstance(guest.source, XwaylandSource)
    (capture,) = guest.source._capture
    assert isinstance(capture, LiveCapture)
    return capture


def fill(program: Program, window: Any, gcs: list[Any], dice: random.Random, count: int) -> None:
    """Overlapping rectangles, as fast as they can be asked for."""
    for _ in range(count):
        window.fill_rectangle(dice.choice(gcs), dice.randrange(-20, 300), dice.randrange(-20, 200), 60, 40)
    program.connection.flush()


def test_no_draw_is_missed_between_quiet_and_storm(server: XwaylandServer, guest: Guest) -> None:
    dice = random.Random(12)
    with closing(Program(server.display)) as one, closing(Program(server.display)) as other:
        window = one.window(0, 0, 320, 240, background_pixel=0)
        guest.show(one, window)
        theirs = other.display.create_resource_object("window", window.id)
        colors = [dice.randrange(1 << 24) for _ in range(8)]
        gcs = [[each.create_gc(foreground=color) for color in colors] for each in (window, theirs)]
        ways = set()
        for _ in range(60):
            for _ in range(dice.choice([1, 1, 2, 20])):
                fill(one, window, gcs[0], dice, dice.choice([1, 2, 30, 400]))
                fill(other, theirs, gcs[1], dice, dice.choice([0, 1, 200]))
                guest.turn(0)
                ways.add(capture_of(guest)._surfaces[window.id].raw)
            other.sync()
            guest.wait_same(one, window)
        assert ways == {True, False}, "both ways of being told were in use"


def test_a_storm_is_few_frames(server: XwaylandServer, guest: Guest) -> None:
    with closing(Program(server.display)) as program:
        window = program.window(0, 0, 320, 240, background_pixel=0)
        guest.show(program, window)
        guest.wait_same(program, window)
        gcs = [window.create_gc(foreground=color) for color in (1, 2)]
        fill(program, window, gcs, random.Random(1), 20_000)
        guest.wait_same(program, window)
        assert guest.shown[window.id].images < 4000


def test_reports_are_few_while_nobody_takes_frames(server: XwaylandServer, guest: Guest) -> None:
    with closing(Program(server.display)) as program:
        window = program.window(0, 0, 320, 240, background_pixel=0)
        guest.show(program, window)
        guest.wait_same(program, window)
        guest.source.hold(True)
        gcs = [window.create_gc(foreground=color) for color in (1, 2)]
        for _ in range(20):
            fill(program, window, gcs, random.Random(1), 200)
            program.sync()
            guest.turn(0)
        surface = capture_of(guest)._surfaces[window.id]
        assert not surface.raw
        assert len(surface.pending) <= 256
        guest.source.hold(False)
        guest.wait_same(program, window)


def test_windows_that_end_while_they_are_drawn(server: XwaylandServer, guest: Guest) -> None:
    dice = random.Random(5)
    with closing(Program(server.display)) as program:
        for _ in range(40):
            windows = [program.window(0, 0, 60, 60, override_redirect=True, background_pixel=7) for _ in range(5)]
            for window in windows:
                window.map()
                gc = window.create_gc(foreground=dice.randrange(1 << 24))
                for _ in range(30):
                    window.fill_rectangle(gc, dice.randrange(50), dice.randrange(50), 20, 20)
            guest.turn(0)
            for window in windows:
                window.destroy()
            program.connection.flush()
        last = program.window(0, 0, 60, 60, background_pixel=9)
        guest.show(program, last)
        guest.wait_same(program, last)
        assert len(capture_of(guest)._buffers) == 1


def test_menus_come_and_go_with_the_right_pixels(server: XwaylandServer, guest: Guest) -> None:
    with closing(Program(server.display)) as program:
        below = program.window(0, 0, 300, 300, background_pixel=0x112233)
        guest.show(program, below)
        for number in range(30):
            menu = program.window(10, 10, 80 + number, 120, override_redirect=True, background_pixel=number * 1000)
            guest.show(program, menu)
            program.fill(menu, 0xFF00FF, 0, 0, 10, number + 1)
            guest.wait_same(program, menu)
            menu.unmap()
            guest.wait_same(program, below)


def test_a_wide_window_is_made_narrower(server: XwaylandServer, guest: Guest) -> None:
    with closing(Program(server.display)) as program:
        window = program.window(0, 0, 17000, 20, background_pixel=3)
        guest.show(program, window)
        guest.until(lambda: window.get_geometry().width == 16384, "the window to fit")
        guest.wait_same(program, window)


def test_a_program_that_keeps_a_windows_pixmap(server: XwaylandServer, guest: Guest) -> None:
    """As screen recorders do: the pixmap of the old size stays when the window gets another."""
    with closing(Program(server.display)) as program:
        program.display.composite_query_version()
        window = program.window(0, 0, 100, 100, background_pixel=3)
        guest.show(program, window)
        guest.wait_same(program, window)
        for size in (120, 90, 140):
            window.composite_name_window_pixmap()
            window.configure(width=size, height=size)
            program.sync()
            guest.until(lambda size=size: guest.canvas(window).shape == (size, size), "the new size")  # type: ignore[misc] # mypy infers no lambda defaults
            program.fill(window, size, 5, 5, 50, 50)
            guest.wait_same(program, window)


def test_windows_beyond_what_can_be_shared_are_copied(server: XwaylandServer, guest: Guest) -> None:
    guest.sharer.most_adopted = 2
    with closing(Program(server.display)) as program:
        windows = [program.window(0, 0, 50 + n, 40, background_pixel=n) for n in range(5)]
        for window in windows:
            guest.show(program, window)
            program.fill(window, 0xABCDEF, 5, 5, 20, 20)
        for window in windows:
            guest.wait_same(program, window)
            program.fill(window, 0xFEDCBA, 15, 15, 20, 20)
        for window in windows:
            guest.wait_same(program, window)
        assert len(guest.sharer.adopted) == 2
        windows[-1].unmap()
        program.sync()
        guest.until(lambda: len(guest.sharer.live) == 4, "its memory to be given back")
