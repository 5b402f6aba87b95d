"""Who presses what where is reported in the content's coordinates and in order."""

from struct import Struct
from typing import Any

import pytest
from Xlib import X
from Xlib.ext import xtest

from guid.core.host_events import CrossingEvent, FocusEvent, HostEvent, KeyEvent, MotionEvent
from guid.core.trusted import Geometry, WindowId
from guid.hosts.x11.frame import Frame
from guid.hosts.x11.input import Input
from guid.hosts.x11.window import HostWindow, WindowTable
from tests.conformance.hosts.desktop import X11Desktop
from tests.guid.hosts.x11.managed import ManagedDesktop

ONE, TWO = WindowId(1), WindowId(2)
PLACE = Geometry(100, 100, 200, 150)
A, SHIFT = 38, 50
EVENT = Struct("=BBHIIIIhhhhHBB")


def table() -> WindowTable:
    windows = WindowTable()
    for number in (ONE, TWO):
        frame = Frame(10 * number, 10 * number + 1, 10 * number + 2, 10 * number + 3, 3)
        windows.add(HostWindow(number, frame, PLACE, False, PLACE))
    return windows


def motions(*at: tuple[int, int]) -> bytes:
    return b"".join(EVENT.pack(6, 0, 0, 0, 1, window, 0, x, 0, x, 0, 0, 1, 0) for window, x in at)


def motion(number: WindowId, x: int) -> MotionEvent:
    return MotionEvent(number, x, 0, 0)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([motions((11, 5))], [motion(ONE, 5)]),
        ([motions((11, 1), (11, 2), (11, 3))], [motion(ONE, 3)]),
        ([motions((11, 1)), motions((11, 2))], [motion(ONE, 2)]),
        ([motions((11, 1), (21, 2), (21, 3), (11, 4))], [motion(ONE, 1), motion(TWO, 3), motion(ONE, 4)]),
        ([motions((11, 1), (99, 2), (11, 3))], [motion(ONE, 3)]),
        ([motions((99, 2))], []),
    ],
)
def test_of_a_burst_of_motion_the_last_remains(runs: list[bytes], expected: list[HostEvent]) -> None:
    decoder = Input(table(), lambda _time, _window: None)
    out: list[HostEvent] = []
    for run in runs:
        decoder.handlers[6](run, out)
    assert out == expected


def test_motion_does_not_jump_over_a_key() -> None:
    decoder = Input(table(), lambda _time, _window: None)
    out: list[HostEvent] = []
    decoder.handlers[6](motions((11, 1)), out)
    decoder.handlers[2](EVENT.pack(2, A, 0, 0, 1, 10, 0, 0, 0, 8, 9, 4, 1, 0), out)
    decoder.handlers[6](motions((11, 2)), out)
    assert out == [motion(ONE, 1), KeyEvent(ONE, True, A, 5, 6, 4), motion(ONE, 2)]


def test_focus_without_its_keys_is_reported_all_the_same() -> None:
    decoder = Input(table(), lambda _time, _window: None)
    out: list[HostEvent] = []
    decoder.handlers[9](Struct("=BBHIB23x").pack(9, 3, 0, 10, 0), out)
    assert out == []
    decoder.settle(6, out)
    assert out == [FocusEvent(ONE, True, 3, bytes(32))]


@pytest.mark.parametrize("mode", [1, 2])
def test_grabs_are_no_change_of_focus(mode: int) -> None:
    decoder = Input(table(), lambda _time, _window: None)
    out: list[HostEvent] = []
    for code in (9, 10):
        decoder.handlers[code](Struct("=BBHIB23x").pack(code, 3, 0, 10, mode), out)
    decoder.handlers[11](bytes(32), out)
    assert out == []


def of(kind: type[Any], events: list[HostEvent]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_focus_comes_with_the_keys_that_are_down(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.settle()
    desktop.point(700, 500)
    xtest.fake_input(desktop.display, X.KeyPress, SHIFT)
    try:
        desktop.display.set_input_focus(desktop.local[ONE], X.RevertToPointerRoot, X.CurrentTime)
        (got,) = of(FocusEvent, desktop.settle())
    finally:
        xtest.fake_input(desktop.display, X.KeyRelease, SHIFT)
    expected = bytearray(32)
    expected[SHIFT // 8] |= 1 << SHIFT % 8
    assert got == FocusEvent(ONE, True, X.NotifyNonlinear, bytes(expected))
    desktop.display.set_input_focus(X.PointerRoot, X.RevertToPointerRoot, X.CurrentTime)
    (lost,) = of(FocusEvent, desktop.settle())
    assert lost == FocusEvent(ONE, False, X.NotifyNonlinear, bytes(32))


def test_focused_keys_arrive_wherever_the_pointer_is(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.settle()
    desktop.display.set_input_focus(desktop.local[ONE], X.RevertToPointerRoot, X.CurrentTime)
    for x, y in ((700, 500), (150, 160), (98, 99)):
        desktop.type_key(x, y, A)
        keys = of(KeyEvent, desktop.settle())
        assert keys == [KeyEvent(ONE, pressed, A, x - 100, y - 100, 0) for pressed in (True, False)]
    desktop.display.set_input_focus(X.PointerRoot, X.RevertToPointerRoot, X.CurrentTime)
    desktop.settle()


def test_the_pointer_is_followed_on_the_content_only(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.settle()
    desktop.point(98, 150)  # on the border
    desktop.settle()
    desktop.point(100, 150)
    desktop.point(110, 151)
    desktop.point(299, 249)
    events = desktop.settle()
    entered, *rest = of(CrossingEvent, events)
    assert (entered.window, entered.entered, entered.x, entered.y) == (ONE, True, 0, 50)
    assert not rest
    assert of(MotionEvent, events)[-1] == MotionEvent(ONE, 199, 149, 0)
    desktop.point(301, 249)
    (left,) = of(CrossingEvent, desktop.settle())
    assert (left.window, left.entered, left.x, left.y) == (ONE, False, 201, 149)


def test_a_click_gives_the_focus_under_a_window_manager(managed: ManagedDesktop) -> None:
    managed.show(ONE, Geometry(20, 50, 200, 150))
    managed.show(TWO, Geometry(400, 300, 200, 150))
    managed.until_quiet()
    for number in (ONE, TWO, ONE):
        managed.seen.clear()
        place = managed.geometry(number)
        managed.click(place.x + 5, place.y + 5, 1)
        managed.until_quiet()
        assert not managed.seen or of(FocusEvent, managed.seen)[-1].window == number
        managed.type_key(place.x + 5, place.y + 5, A)
        managed.until(lambda: len(of(KeyEvent, managed.seen)) == 2, "the key")
        assert [key.window for key in of(KeyEvent, managed.seen)] == [number, number]
