"""Windows are shared with a second GUI domain while the first still has them, and then with it alone."""

import random

from Xlib.ext import shape

from guiproto.messages import Create, Map, WmName
from tests.conformance.sources.guest import Guest, Program


def _paint(program: Program, window: object, dice: random.Random) -> None:
    for _ in range(40):
        x, y = dice.randrange(-10, 190), dice.randrange(-10, 90)
        program.fill(window, dice.randrange(1 << 24), x, y, dice.randrange(1, 40), dice.randrange(1, 40))
    program.sync()


def test_both_show_the_same_while_programs_paint(guest: Guest, program: Program) -> None:
    dice = random.Random(5)
    windows = [program.window(10 * n, 20 * n, 200, 100, background_pixel=n) for n in range(3)]
    for window in windows:
        window.map()
    for window in windows:
        guest.wait_same(program, window)
    guest.admit()
    for _ in range(10):
        for window in windows:
            _paint(program, window, dice)
        guest.turn(0)
    for window in windows:
        guest.wait_same(program, window)


def test_the_second_is_told_everything_that_the_first_knows(guest: Guest, program: Program) -> None:
    window = program.window(10, 20, 200, 100, background_pixel=1)
    window.set_wm_name("a title")
    window.map()
    menu = program.window(30, 40, 50, 60, background_pixel=2, override_redirect=True)
    menu.map()
    hidden = program.window(5, 6, 70, 80)
    guest.wait_same(program, window)
    guest.wait_same(program, menu)
    second = guest.admit()
    guest.wait_same(program, menu)
    said = [message for message in second.messages if message.window == window.id]
    assert Create(window.id, 10, 20, 200, 100, 0, 0) in said
    assert any(isinstance(message, WmName) and message.data.startswith(b"a title") for message in said)
    assert Map(menu.id, 0, 1) in second.messages
    assert Create(hidden.id, 5, 6, 70, 80, 0, 0) in second.messages
    assert Map(hidden.id, 0, 0) not in second.messages


def test_it_is_alone_when_the_first_has_left(guest: Guest, program: Program) -> None:
    window = program.window(10, 20, 200, 100, background_pixel=1)
    window.map()
    guest.wait_same(program, window)
    before = guest.canvas(window).copy()
    second = guest.admit()
    guest.wait_same(program, window)
    guest.leave_to(second)
    assert not guest.sharer.live
    program.fill(window, 0xABCDEF, 0, 0, 200, 100)
    window.configure(width=220, height=130)
    later = program.window(0, 0, 30, 30, background_pixel=3)
    later.map()
    guest.wait_same(program, window)
    guest.wait_same(program, later)
    assert (guest.canvas(window) == before).all(), "nothing goes to the first any more"


def test_the_first_goes_on_when_the_second_is_dismissed(guest: Guest, program: Program) -> None:
    window = program.window(10, 20, 200, 100, background_pixel=1)
    window.map()
    guest.wait_same(program, window)
    second = guest.admit()
    guest.wait_same(program, window)
    guest.source.dismiss(1)
    guest._viewers.remove(second)
    assert not second.sharer.live
    program.fill(window, 0xABCDEF, 0, 0, 100, 100)
    guest.wait_same(program, window)


def test_a_window_ends_while_both_watch_it(guest: Guest, program: Program) -> None:
    window = program.window(10, 20, 200, 100, background_pixel=1)
    window.map()
    guest.wait_same(program, window)
    guest.admit()
    number = window.id
    window.destroy()
    program.sync()
    guest.until(lambda: number not in guest.tracker.windows, "its end")
    other = program.window(10, 20, 60, 40, background_pixel=9)
    other.map()
    guest.wait_same(program, other)


def test_shaped_windows_are_the_same_for_the_second(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 60, 60, background_pixel=0x777777)
    mask = program.root.create_pixmap(60, 60, 1)
    gc = mask.create_gc(foreground=0)
    mask.fill_rectangle(gc, 0, 0, 60, 60)
    gc.change(foreground=1)
    mask.fill_rectangle(gc, 10, 10, 30, 30)
    window.shape_mask(shape.SO.Set, shape.SK.Bounding, 0, 0, mask)
    window.map()
    program.sync()
    guest.until(lambda: window.id in guest.shown and guest.shown[window.id].images, "its pixels")
    second = guest.admit()
    guest.until(lambda: window.id in second.shown and second.shown[window.id].images, "its pixels at the second")
    assert (second.shown[window.id].canvas == guest.canvas(window)).all()
