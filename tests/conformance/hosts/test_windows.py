"""Windows come, move, change and go as they are told; the desktop's own wishes are reported."""

from dataclasses import replace

import numpy as np
import pytest

from guid.core.host_events import ButtonEvent, ConfiguredEvent, KeyEvent, MappedEvent, MaximizedEvent
from guid.core.trusted import CursorName, Geometry, HintFlags, SizeHints, StateFlags, Title, WindowClass, WindowId
from tests.conformance.hosts.desktop import DESKTOP, Desktop, Shown
from tests.conformance.hosts.pictures import noise
from tests.conformance.hosts.test_painting import ONE, TWO, WHITE, around, framed

THREE = WindowId(3)
PLACE = Geometry(100, 100, 120, 90)


def test_the_screen_is_known(desktop: Desktop) -> None:
    screen = desktop.host.screen()
    assert (screen.width, screen.height, screen.depth) == (800, 600, 24)
    assert screen.work_area == Geometry(0, 0, 800, 600)


@pytest.mark.parametrize(
    "place",
    [Geometry(300, 250, 120, 90), Geometry(100, 100, 60, 30), Geometry(20, 30, 160, 110), Geometry(-40, -30, 120, 90)],
)
def test_configure_moves_and_resizes(desktop: Desktop, place: Geometry) -> None:
    picture = noise(160, 110)
    desktop.show(ONE, PLACE, picture)
    desktop.screenshot()
    desktop.host.configure(ONE, place)
    assert ConfiguredEvent not in map(type, desktop.settle())
    expected = np.full((600 + 400, 800 + 400), DESKTOP, np.uint32)
    frame = framed(picture.pixels[: place.height, : place.width], 3)
    top, left = place.y + 200 - 4, place.x + 200 - 4
    expected[top : top + frame.shape[0], left : left + frame.shape[1]] = frame
    assert np.array_equal(desktop.screenshot(), expected[200:800, 200:1000])


def test_growing_past_the_buffer_shows_background(desktop: Desktop) -> None:
    picture = noise(120, 90)
    desktop.show(ONE, PLACE, picture)
    place = Geometry(100, 100, 200, 150)
    desktop.host.configure(ONE, place)
    expected = np.full((150, 200), WHITE, np.uint32)
    expected[:90, :120] = picture.pixels
    assert np.array_equal(desktop.content(around(place, 3)), framed(expected, 3))


def test_the_last_of_many_configures_wins(desktop: Desktop) -> None:
    picture = noise(200, 200)
    desktop.show(ONE, PLACE, picture)
    for size in range(1, 200):
        desktop.host.configure(ONE, Geometry(300 - size, 250 - size, size, 200 - size))
    assert ConfiguredEvent not in map(type, desktop.settle())
    place = Geometry(101, 51, 199, 1)
    assert np.array_equal(desktop.content(around(place, 3)), framed(picture.pixels[:1, :199], 3))


@pytest.mark.parametrize("place", [Geometry(300, 200, 120, 90), Geometry(100, 100, 77, 55), Geometry(33, 44, 150, 99)])
def test_a_window_managers_wish_is_reported_once_and_painted(desktop: Desktop, place: Geometry) -> None:
    picture = noise(150, 99)
    desktop.show(ONE, PLACE, picture)
    desktop.settle()
    desktop.move(ONE, place)
    events = [event for event in desktop.settle() if isinstance(event, ConfiguredEvent)]
    assert events == [ConfiguredEvent(ONE, place)]
    expected = framed(picture.pixels[: place.height, : place.width], 3)
    assert np.array_equal(desktop.content(around(place, 3)), expected)
    desktop.host.configure(ONE, PLACE)
    assert ConfiguredEvent not in map(type, desktop.settle())
    assert np.array_equal(desktop.content(PLACE), picture.pixels[:90, :120])


def test_asking_for_what_is_does_not_hide_what_comes(desktop: Desktop) -> None:
    desktop.show(ONE, PLACE)
    for _ in range(3):
        desktop.host.configure(ONE, PLACE)
    assert ConfiguredEvent not in map(type, desktop.settle())
    for place in (Geometry(300, 200, 50, 40), PLACE):
        desktop.move(ONE, place)
        assert [event for event in desktop.settle() if isinstance(event, ConfiguredEvent)] == [
            ConfiguredEvent(ONE, place)
        ]


def test_override_redirect_windows_are_mapped_on_top(desktop: Desktop) -> None:
    menu = noise(50, 40, 2)
    desktop.host.create(TWO, Geometry(120, 120, 50, 40), override_redirect=True)
    desktop.host.attach(TWO, menu.pages, 50, 40)
    desktop.show(ONE, PLACE, noise(120, 90))
    desktop.show(THREE, Geometry(90, 90, 120, 90), noise(120, 90, 3))
    desktop.host.map(TWO, override_redirect=True, transient_for=ONE)
    assert np.array_equal(desktop.content(Geometry(120, 120, 50, 40)), menu.pixels)


def test_destroyed_windows_leave_nothing_and_their_number_can_be_used_again(desktop: Desktop) -> None:
    for seed in range(3):
        picture = noise(120, 90, seed)
        desktop.show(ONE, PLACE, picture)
        assert np.array_equal(desktop.content(PLACE), picture.pixels)
        desktop.host.destroy(ONE)
        assert (desktop.screenshot() == DESKTOP).all()


def test_unmapped_windows_are_hidden(desktop: Desktop) -> None:
    desktop.show(ONE, PLACE, noise(120, 90))
    desktop.host.unmap(ONE)
    assert (desktop.screenshot() == DESKTOP).all()


def test_our_own_hiding_and_showing_is_no_news(desktop: Desktop) -> None:
    desktop.show(ONE, PLACE)
    for _ in range(3):
        desktop.host.unmap(ONE)
        desktop.host.map(ONE, override_redirect=False, transient_for=None)
    assert MappedEvent not in map(type, desktop.settle())
    desktop.host.unmap(ONE)
    assert MappedEvent not in map(type, desktop.settle())


def test_titles_begin_with_the_vms_name(desktop: Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.host.set_title(ONE, Title("na\u00efve \u2013 caf\u00e9"))
    desktop.show(TWO, PLACE)
    desktop.host.set_title(TWO, Title("second"))
    desktop.host.unmap(TWO)
    assert desktop.windows() == [Shown("[work] na\u00efve \u2013 caf\u00e9", True), Shown("[work] second", False)]


@pytest.mark.parametrize("width", [1, 7, 32])
@pytest.mark.parametrize("override_redirect", [False, True])
def test_another_border_is_around_the_windows_that_are_there_and_leaves_contents_where_they_are(
    desktop: Desktop, width: int, override_redirect: bool
) -> None:
    picture = noise(120, 90)
    desktop.show(ONE, PLACE, picture, override_redirect=override_redirect)
    desktop.screenshot()
    desktop.reconfigure(replace(desktop.config, border_width=width))
    assert ConfiguredEvent not in map(type, desktop.settle())
    assert np.array_equal(desktop.content(around(PLACE, width)), framed(picture.pixels, width))
    moved = Geometry(200, 150, 110, 80)
    desktop.host.configure(ONE, moved)
    expected = np.full((600, 800), DESKTOP, np.uint32)
    around_it = around(moved, width)
    into = slice(around_it.y, around_it.y + around_it.height), slice(around_it.x, around_it.x + around_it.width)
    expected[into] = framed(picture.pixels[:80, :110], width)
    assert np.array_equal(desktop.screenshot(), expected)


def test_borders_go_and_come_for_windows_that_a_window_manager_minds(desktop: Desktop) -> None:
    picture = noise(120, 90)
    desktop.show(ONE, PLACE, picture)
    desktop.show(TWO, Geometry(400, 300, 120, 90), picture, override_redirect=True)
    desktop.reconfigure(replace(desktop.config, border_managed=False))
    expected = np.full((600, 800), DESKTOP, np.uint32)
    expected[100:190, 100:220] = picture.pixels
    expected[296:394, 396:524] = framed(picture.pixels, 3)
    assert np.array_equal(desktop.screenshot(), expected)
    desktop.reconfigure(desktop.config)
    assert np.array_equal(desktop.content(around(PLACE, 3)), framed(picture.pixels, 3))


def test_titles_get_and_lose_their_prefix_when_they_are_set_again(desktop: Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.host.set_title(ONE, Title("first"))
    desktop.reconfigure(replace(desktop.config, title_prefix=False))
    desktop.host.set_title(ONE, Title("first"))
    assert desktop.windows() == [Shown("first", True)]


@pytest.mark.parametrize("mapped", [False, True])
def test_hints_states_cursors_and_classes_change_no_pixel(desktop: Desktop, mapped: bool) -> None:
    picture = noise(120, 90)
    host = desktop.host
    if mapped:
        desktop.show(ONE, PLACE, picture)
    else:
        host.create(ONE, PLACE, override_redirect=False)
        host.attach(ONE, picture.pages, 120, 90)
    host.set_class(ONE, WindowClass("name", "Class"))
    host.set_hints(ONE, SizeHints(HintFlags.P_MIN_SIZE | HintFlags.P_RESIZE_INC, 10, 10, 0, 0, 6, 13))
    for flag in StateFlags:
        host.set_state(ONE, flag, StateFlags(0))
        host.set_state(ONE, StateFlags(0), flag)
    for cursor in (None, CursorName(0), CursorName(1), CursorName(152), CursorName(153), CursorName(152)):
        host.set_cursor(ONE, cursor)
    host.map(ONE, override_redirect=False, transient_for=WindowId(99))
    assert np.array_equal(desktop.content(around(PLACE, 3)), framed(picture.pixels, 3))


def test_windows_belong_to_others_that_come_and_go(desktop: Desktop) -> None:
    picture = noise(120, 90)
    desktop.show(ONE, PLACE, picture)
    desktop.show(TWO, Geometry(300, 100, 50, 50))
    for owner in (TWO, None, WindowId(99), TWO):
        desktop.host.set_transient_for(ONE, owner)
    desktop.host.destroy(TWO)
    desktop.show(TWO, Geometry(300, 100, 50, 50))
    desktop.host.set_transient_for(TWO, ONE)
    assert np.array_equal(desktop.content(around(PLACE, 3)), framed(picture.pixels, 3))


def test_a_maximised_window_fills_the_work_area_with_its_border_and_comes_back(desktop: Desktop) -> None:
    picture = noise(120, 90)
    desktop.show(ONE, PLACE, picture)
    desktop.settle()
    whole = Geometry(3, 3, 794, 594)
    for _ in range(2):
        desktop.host.maximize(ONE, True)
    assert [e for e in desktop.settle() if isinstance(e, (ConfiguredEvent, MaximizedEvent))] == [
        ConfiguredEvent(ONE, whole), MaximizedEvent(ONE, True)
    ]  # fmt: skip
    expected = np.full((594, 794), WHITE, np.uint32)
    expected[:90, :120] = picture.pixels
    assert np.array_equal(desktop.screenshot(), framed(expected, 3)[1:-1, 1:-1])
    for _ in range(2):
        desktop.host.maximize(ONE, False)
    assert ConfiguredEvent(ONE, PLACE) in desktop.settle()
    assert np.array_equal(desktop.content(around(PLACE, 3)), framed(picture.pixels, 3))


def test_docking_where_there_is_no_tray_harms_nobody(desktop: Desktop) -> None:
    picture = noise(120, 90)
    desktop.show(ONE, PLACE, picture)
    desktop.host.create(TWO, Geometry(0, 0, 24, 24), override_redirect=True)
    desktop.host.dock(TWO)
    assert np.array_equal(desktop.content(PLACE), picture.pixels)


@pytest.mark.parametrize("button", [1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_clicks_arrive_with_the_contents_coordinates(desktop: Desktop, button: int) -> None:
    desktop.show(ONE, PLACE)
    desktop.show(TWO, Geometry(150, 150, 50, 50), override_redirect=True)
    desktop.settle()
    for x, y in ((100, 100), (219, 189), (155, 160)):
        desktop.click(x, y, button)
    got = [
        (event.window, event.pressed, event.button, event.x, event.y)
        for event in desktop.settle()
        if isinstance(event, ButtonEvent)
    ]
    at = [(ONE, 0, 0), (ONE, 119, 89), (TWO, 5, 10)]
    assert got == [(window, pressed, button, x, y) for window, x, y in at for pressed in (True, False)]


def test_keys_arrive_at_the_window_under_the_pointer(desktop: Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.show(TWO, Geometry(300, 100, 50, 50))
    desktop.settle()
    desktop.type_key(110, 120, 38)
    desktop.type_key(301, 102, 39)
    got = [event for event in desktop.settle() if isinstance(event, KeyEvent)]
    assert got == [
        KeyEvent(window, pressed, keycode, x, y, 0)
        for window, keycode, x, y in ((ONE, 38, 10, 20), (TWO, 39, 1, 2))
        for pressed in (True, False)
    ]


def test_a_closed_host_has_left_the_desktop(desktop: Desktop) -> None:
    desktop.show(ONE, PLACE, noise(120, 90))
    desktop.settle()
    desktop.host.close()
