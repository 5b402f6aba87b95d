"""What the daemon shows of a window is exactly what the window contains, however programs draw and resize it."""

import os
import random
import signal
from contextlib import closing

import numpy as np
import pytest
from Xlib import X
from Xlib.ext import shape

from guiagent.core.source_events import Configured, FrameReady, Mapped
from guiagent.sources.base import Source
from guiagent.sources.registry import load
from guiproto.errors import MachineCannot
from guiproto.messages import Close, Configure, Focus, KeyPress, WindowFlags
from tests.conformance.sources.guest import Guest, Program
from tests.guiagent.fakes import MemorySharer
from tests.xserver import XServer


def _storm(program: Program, window: object, dice: random.Random, count: int, width: int, height: int) -> None:
    for _ in range(count):
        x, y = dice.randrange(-10, width), dice.randrange(-10, height)
        program.fill(window, dice.randrange(1 << 24), x, y, dice.randrange(1, 40), dice.randrange(1, 40))
    program.sync()


@pytest.mark.parametrize("depth", [24, 32])
def test_draw_storms(guest: Guest, program: Program, depth: int) -> None:
    dice = random.Random(depth)
    window = program.window(20, 30, 320, 200, depth=depth)
    window.map()
    for _ in range(20):
        _storm(program, window, dice, dice.choice([1, 3, 40, 300]), 320, 200)
        guest.turn(0)
    guest.wait_same(program, window)
    assert len(np.unique(guest.canvas(window))) > 20


def test_translucent_pixels_keep_their_colours(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 8, 8, depth=32)
    guest.show(program, window)
    program.fill(window, 0x80FF00FF, 0, 0, 8, 8)
    guest.wait_same(program, window)
    assert guest.canvas(window)[0, 0] == 0xFF00FF


def test_children_are_part_of_the_picture(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 100, 100, background_pixel=0x123456)
    child = window.create_window(10, 10, 30, 30, 0, X.CopyFromParent, background_pixel=0xABCDEF)
    child.map()
    guest.show(program, window)
    program.fill(child, 0xFF0000, 5, 5, 10, 10)
    guest.wait_same(program, window)
    assert guest.canvas(window)[20, 20] == 0xFF0000
    assert guest.canvas(window)[12, 12] == 0xABCDEF
    child.configure(x=50)
    program.sync()
    guest.wait_same(program, window)
    assert guest.canvas(window)[12, 52] == 0xABCDEF


def test_a_border_that_comes_and_goes(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 100, 100, background_pixel=0x00FF00)
    window.map()
    guest.wait_same(program, window)
    window.configure(border_width=5)
    program.sync()
    guest.until(lambda: window.get_geometry().border_width == 0, "the border to go")
    program.fill(window, 0xFF0000, 0, 0, 10, 10)
    guest.wait_same(program, window)
    assert guest.canvas(window)[5, 5] == 0xFF0000


def test_shaped_windows_show_no_pixels_of_others(guest: Guest, program: Program) -> None:
    secret = program.window(0, 0, 100, 100, background_pixel=0x5EC4E7)
    secret.map()
    guest.wait_same(program, secret)
    secret.destroy()
    program.sync()
    guest.settle()
    window = program.window(0, 0, 100, 100, background_pixel=0x00FF00)
    window.shape_rectangles(shape.SO.Set, shape.SK.Bounding, 0, 0, 0, [{"x": 20, "y": 20, "width": 9, "height": 9}])
    window.map()
    guest.wait_same(program, window)
    assert guest.canvas(window)[25, 25] == 0x00FF00
    assert guest.canvas(window)[50, 50] == 0
    assert not (guest.canvas(window) == 0x5EC4E7).any()


def test_a_shape_that_changes(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 100, 100, background_pixel=0x00FF00)
    window.map()
    guest.wait_same(program, window)
    for x in (0, 30, 60):
        part = {"x": x, "y": 10, "width": 40, "height": 40}
        window.shape_rectangles(shape.SO.Set, shape.SK.Bounding, 0, 0, 0, [part])
        guest.wait_same(program, window)
        assert (guest.canvas(window)[10:50, x : x + 40] == 0x00FF00).all()
        assert (guest.canvas(window) == 0x00FF00).sum() == 40 * 40
    window.configure(width=150, height=120)
    guest.wait_same(program, window)
    window.shape_mask(shape.SO.Set, shape.SK.Bounding, 0, 0, X.NONE)
    guest.wait_same(program, window)
    assert (guest.canvas(window) == 0x00FF00).all()


def test_windows_do_not_hide_each_other(guest: Guest, program: Program) -> None:
    below, above = program.window(0, 0, 100, 100), program.window(0, 0, 100, 100, background_pixel=0xFF)
    below.map()
    above.map()
    program.sync()
    guest.wait_same(program, above)
    program.fill(below, 0x00FF00, 0, 0, 100, 100)
    program.sync()
    guest.wait_same(program, below)
    assert guest.canvas(below)[50, 50] == 0x00FF00


@pytest.mark.parametrize("position", [(-60, -70), (1000, 740), (5000, -3000)])
def test_windows_off_the_screen_are_whole(guest: Guest, program: Program, position: tuple[int, int]) -> None:
    window = program.window(*position, 100, 100, background_pixel=0x00FFFF)
    guest.show(program, window)
    program.fill(window, 0xFF00FF, 5, 5, 90, 10)
    program.sync()
    guest.wait_same(program, window)
    assert guest.canvas(window)[10, 50] == 0xFF00FF


def test_resizes_under_fire(guest: Guest, program: Program) -> None:
    dice = random.Random(3)
    window = program.window(0, 0, 200, 150, background_pixel=0x777777)
    window.map()
    width, height = 200, 150
    for _ in range(30):
        width, height = dice.randrange(1, 300), dice.randrange(1, 300)
        window.configure(width=width, height=height)
        _storm(program, window, dice, 5, width, height)
        guest.turn(0)
    guest.wait_same(program, window)
    assert guest.canvas(window).shape == (height, width)
    window.destroy()
    program.sync()
    guest.until(lambda: not guest.sharer.live, "all buffers to be free")


def test_a_resize_by_the_desktop_is_followed(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 50, background_pixel=0x777777)
    window.map()
    program.sync()
    guest.wait_same(program, window)
    guest.perform(Configure(window.id, 5, 5, 222, 111, 0))
    guest.wait_same(program, window)
    assert guest.canvas(window).shape == (111, 222)


def test_a_move_alone_needs_no_new_buffer(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 50, background_pixel=0x777777)
    window.map()
    program.sync()
    guest.wait_same(program, window)
    window.configure(x=77, y=88)
    program.sync()
    guest.wait_event(Configured, window)
    guest.settle()
    assert guest.shown[window.id].dumps == 1


def test_a_menu_that_opens_again_has_its_new_pixels(guest: Guest, program: Program) -> None:
    menu = program.window(0, 0, 60, 80, override_redirect=True, background_pixel=1)
    for color in range(1, 6):
        menu.change_attributes(background_pixel=color)
        menu.configure(x=color * 10)
        menu.map()
        program.sync()
        guest.wait_event(Mapped, menu, color)
        guest.wait_same(program, menu)
        assert (guest.canvas(menu) == color).all()
        menu.unmap()
        program.sync()
        guest.settle()


def test_a_frame_is_complete_when_it_is_announced(guest: Guest, program: Program) -> None:
    """The canvas is painted at the moment of the SHMIMAGE: never with what was there before."""
    window = program.window(0, 0, 640, 480, background_pixel=0)
    window.map()
    program.sync()
    guest.wait_same(program, window)
    for color in range(1, 40):
        images = guest.shown[window.id].images
        program.fill(window, color, 0, 0, 640, 480)
        program.sync()
        guest.wait_images(window, images + 1)
        assert (guest.canvas(window) == color).all()


def test_no_frame_is_announced_before_its_pixels_are_there(own_server: XServer, source_name: str) -> None:
    program = Program(own_server.display)
    window = program.window(0, 0, 100, 100, background_pixel=0)
    window.map()
    program.sync()
    with Guest(source_name, own_server.display) as guest:
        guest.wait_same(program, window)
        guest.reported.clear()
        os.kill(own_server.pid, signal.SIGSTOP)
        program.fill(window, 0xABCDEF, 0, 0, 100, 100)
        program.connection.flush()
        for _ in range(5):
            guest.turn(0.02)
        assert not guest.reported
        os.kill(own_server.pid, signal.SIGCONT)
        guest.wait_event(FrameReady, window)
        assert (guest.canvas(window) == 0xABCDEF).all()
    program.close()


def test_scrolling_and_pictures(guest: Guest, program: Program) -> None:
    dice = random.Random(9)
    window = program.window(0, 0, 200, 200, background_pixel=0)
    window.map()
    gc = program.gc(window)
    pixmap = program.root.create_pixmap(50, 50, 24)
    for _ in range(100):
        program.fill(pixmap, dice.randrange(1 << 24), 0, 0, 50, 50)
        window.copy_area(gc, pixmap, 0, 0, 50, 50, dice.randrange(200), dice.randrange(200))
        window.copy_area(gc, window, 0, 3, 200, 197, 0, 0)
        guest.turn(0)
    program.sync()
    guest.wait_same(program, window)


def test_nothing_is_captured_while_nobody_takes_frames(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 200, 200, background_pixel=0)
    window.map()
    program.sync()
    guest.wait_same(program, window)
    guest.source.hold(True)
    guest.reported.clear()
    dice = random.Random(1)
    for _ in range(50):
        _storm(program, window, dice, 100, 200, 200)
        guest.turn(0)
    program.fill(window, 0x5555, 0, 0, 200, 200)
    program.sync()
    # One round may have been under way.
    assert len(guest.events(FrameReady, window)) <= 1
    guest.source.hold(False)
    guest.wait_same(program, window)
    assert len(guest.events(FrameReady, window)) <= 3


def test_a_window_without_memory_is_shown_without_pixels(guest: Guest, program: Program) -> None:
    big = program.window(0, 0, 8000, 6000)
    big.map()
    small = program.window(0, 0, 50, 50, background_pixel=7)
    small.map()
    program.sync()
    guest.wait_same(program, small)
    assert guest.events(Mapped, big)
    assert not guest.events(FrameReady, big)
    big.configure(width=60, height=60)
    program.sync()
    guest.wait_same(program, big)


def test_a_window_larger_than_the_protocol_allows_is_shown_in_part(guest: Guest, program: Program) -> None:
    long = program.window(0, 0, 20000, 10, background_pixel=7)
    long.map()
    program.sync()
    frame = guest.wait_event(FrameReady, long)
    assert (frame.buffer.width, frame.buffer.height) == (16384, 10)


def _watch(source: Source) -> None:
    while True:
        source.events()
        source.flush()


def test_the_end_of_the_display_server_is_told(own_server: XServer, source_name: str) -> None:
    with closing(load(source_name)(own_server.display, MemorySharer(), keep_screen=False)) as source:
        own_server.kill()
        with pytest.raises(MachineCannot, match="gone"):
            _watch(source)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
def test_the_end_of_the_display_server_is_told_whatever_is_going_on(
    own_server: XServer, source_name: str, turns: int
) -> None:
    with closing(Program(own_server.display)) as program:
        guest = Guest(source_name, own_server.display)
        with closing(guest.source):
            window = program.window(0, 0, 50, 50, background_pixel=1)
            window.map()
            program.sync()
            for number in range(turns):
                guest.turn(0.01)
                window.set_wm_name(str(number))
                program.window(0, 0, 9, 9).map()
                program.fill(window, number, 0, 0, 50, 50)
                program.sync()
            own_server.kill()
            with pytest.raises(MachineCannot, match="gone"):
                _order_everything(guest, window.id)


def _order_everything(guest: Guest, window: int) -> None:
    while True:
        guest.turn(0.01)
        guest.perform(
            Focus(window, 9, 0, 0), Close(window), WindowFlags(window, 1, 0), Configure(window, 1, 1, 9, 9, 0),
            KeyPress(window, 2, 0, 0, 2, 38),
        )  # fmt: skip


def test_a_display_that_does_not_exist_is_named(source_name: str) -> None:
    with pytest.raises(MachineCannot, match=":54321"):
        load(source_name)(":54321", MemorySharer(), keep_screen=False)
