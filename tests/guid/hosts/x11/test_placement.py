"""With and without a window manager the core's idea of a window's place ends up true, without going back and forth."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from Xlib import X
from Xlib.protocol import event as x_event

from guid.core.host_events import ConfiguredEvent, MappedEvent
from guid.core.trusted import Geometry, HintFlags, SizeHints, WindowId
from guid.hosts.base import HostConfig
from tests.conformance.hosts.desktop import X11Desktop
from tests.conformance.hosts.pictures import noise
from tests.guid.hosts.x11.managed import ManagedDesktop, start_openbox
from tests.xserver import XServer

ONE = WindowId(1)
PLACE = Geometry(200, 150, 300, 200)
BORDER = 3
TITLE_BAR = 20


def show(desktop: X11Desktop, place: Geometry = PLACE, hints: HintFlags = HintFlags.US_POSITION) -> None:
    picture = noise(600, 400)
    desktop.local[ONE] = desktop.host.create(ONE, place, override_redirect=False)
    desktop.host.set_hints(ONE, SizeHints(hints))
    desktop.host.attach(ONE, picture.pages, 600, 400)
    desktop.host.map(ONE, override_redirect=False, transient_for=None)


def check_pixels(desktop: X11Desktop, place: Geometry) -> None:
    assert np.array_equal(desktop.content(place), noise(600, 400).pixels[: place.height, : place.width])


def check_framed(desktop: X11Desktop, place: Geometry, width: int) -> None:
    """Its border is there, on all sides, and its pixels are."""
    outside = Geometry(place.x - width, place.y - width, place.width + 2 * width, place.height + 2 * width)
    seen = desktop.content(outside)
    visible = noise(600, 400).pixels[: place.height, : place.width]
    assert np.array_equal(seen[width : width + visible.shape[0], width : width + visible.shape[1]], visible)
    seen[width:-width, width:-width] = desktop.config.label.color
    assert (seen == desktop.config.label.color).all()


def test_a_user_placed_window_is_where_its_program_wants_it(managed: ManagedDesktop) -> None:
    show(managed)
    events = managed.until_quiet()
    assert managed.geometry(ONE) == PLACE
    assert not [event for event in events if isinstance(event, (ConfiguredEvent, MappedEvent))]
    check_pixels(managed, PLACE)


def test_where_the_window_manager_places_a_window_is_reported(managed: ManagedDesktop) -> None:
    show(managed, Geometry(0, 0, 300, 200), HintFlags(0))
    managed.until_quiet()
    place = managed.geometry(ONE)
    assert place.y >= TITLE_BAR
    assert managed.last_reported(ONE, PLACE) == place
    check_pixels(managed, place)


@pytest.mark.parametrize(
    "place", [Geometry(250, 180, 300, 200), Geometry(200, 150, 320, 240), Geometry(33, 44, 100, 50)]
)
def test_the_guest_moves_and_resizes_a_managed_window_exactly(managed: ManagedDesktop, place: Geometry) -> None:
    show(managed)
    managed.until_quiet()
    managed.host.configure(ONE, place)
    events = managed.until_quiet()
    assert managed.geometry(ONE) == place
    assert not [event for event in events if isinstance(event, ConfiguredEvent)]
    check_pixels(managed, place)


def test_of_many_wishes_the_last_one_is_what_remains(managed: ManagedDesktop) -> None:
    show(managed)
    managed.until_quiet()
    for step in range(100):
        managed.host.configure(ONE, Geometry(200 - step, 150 + step, 300 + step, 200 - step))
        managed.host.flush()
    managed.until_quiet()
    place = Geometry(101, 249, 399, 101)
    assert managed.geometry(ONE) == place
    assert managed.last_reported(ONE, place) == place
    check_pixels(managed, place)


def test_the_user_drags_a_window_by_its_title_bar(managed: ManagedDesktop) -> None:
    show(managed)
    managed.until_quiet()
    managed.drag((300, 150 - BORDER - TITLE_BAR // 2), (350, 300))
    events = managed.until_quiet()
    place = managed.geometry(ONE)
    assert (place.width, place.height) == (300, 200)
    assert place.x > 230
    assert place.y > 290
    assert managed.last_reported(ONE, PLACE) == place
    reports = [event.geometry for event in events if isinstance(event, ConfiguredEvent)]
    assert len(reports) == len(set(reports)), "a place was reported twice: back and forth"
    check_pixels(managed, place)


def test_the_user_resizes_a_window_by_its_corner(managed: ManagedDesktop) -> None:
    show(managed)
    managed.until_quiet()
    managed.drag((500 + BORDER, 350 + BORDER + 3), (600, 450))
    managed.until_quiet()
    place = managed.geometry(ONE)
    assert (place.x, place.y) == (200, 150)
    assert place.width > 380
    assert place.height > 280
    assert managed.last_reported(ONE, PLACE) == place
    check_pixels(managed, place)


@pytest.mark.parametrize("width", [1, 9])
def test_another_border_under_a_window_manager_leaves_the_content_as_it_is(managed: ManagedDesktop, width: int) -> None:
    show(managed)
    managed.until_quiet()
    managed.host.reconfigure(replace(managed.config, border_width=width))
    events = managed.until_quiet()
    assert managed.geometry(ONE) == PLACE
    assert not [event for event in events if isinstance(event, ConfiguredEvent)]
    check_framed(managed, PLACE, width)


def test_a_maximised_window_keeps_its_size_and_its_content_makes_room_for_a_border(managed: ManagedDesktop) -> None:
    show(managed)
    managed.until_quiet()
    states = ("_NET_WM_STATE_MAXIMIZED_VERT", "_NET_WM_STATE_MAXIMIZED_HORZ")
    managed.tell_manager(ONE, "_NET_WM_STATE", 1, *(managed.display.get_atom(name) for name in states))
    managed.until_quiet()
    before = managed.geometry(ONE)
    managed.host.reconfigure(replace(managed.config, border_width=9))
    managed.until_quiet()
    after = managed.geometry(ONE)
    assert after.width <= before.width - 12
    assert after == managed.last_reported(ONE, PLACE)
    check_framed(managed, after, 9)


def test_size_hints_count_for_the_content(managed: ManagedDesktop) -> None:
    show(managed)
    hints = HintFlags.P_MIN_SIZE | HintFlags.P_MAX_SIZE | HintFlags.P_RESIZE_INC | HintFlags.P_BASE_SIZE
    managed.host.set_hints(ONE, SizeHints(hints, 104, 82, 404, 282, 10, 20, 4, 2))
    managed.until_quiet()
    outer = str(managed.local[ONE])
    for asked, got in (((1, 1), (104, 82)), ((777, 777), (404, 282)), ((260 + 6, 166 + 6), (254, 162))):
        managed.server.run("xdotool", "windowsize", outer, *map(str, asked))
        managed.until_quiet()
        place = managed.geometry(ONE)
        assert (place.width, place.height) == got
        assert managed.last_reported(ONE, PLACE) == place


def test_increments_without_a_base_count_from_an_empty_content(managed: ManagedDesktop) -> None:
    show(managed)
    managed.host.set_hints(ONE, SizeHints(HintFlags.P_RESIZE_INC, width_inc=10, height_inc=20))
    managed.until_quiet()
    managed.server.run("xdotool", "windowsize", str(managed.local[ONE]), "215", "175")
    managed.until_quiet()
    place = managed.geometry(ONE)
    assert (place.width, place.height) == (200, 160)


def test_what_the_window_manager_refuses_is_reported(managed: ManagedDesktop) -> None:
    show(managed)
    managed.host.set_hints(ONE, SizeHints(HintFlags.P_MAX_SIZE, 0, 0, 300, 200))
    managed.until_quiet()
    for _ in range(3):
        managed.host.configure(ONE, Geometry(200, 150, 500, 400))
        assert ConfiguredEvent(ONE, PLACE) in managed.until_quiet()
        assert managed.geometry(ONE) == PLACE


def test_a_window_manager_that_comes_and_goes(x11_config: HostConfig) -> None:
    with XServer(800, 600) as server:
        managed = ManagedDesktop(server, x11_config)
        try:
            show(managed)
            managed.settle()
            check_pixels(managed, PLACE)
            manager = start_openbox(server)
            managed.until_quiet()
            place = managed.geometry(ONE)
            assert managed.last_reported(ONE, PLACE) == place
            check_pixels(managed, place)
            manager.terminate()
            manager.wait()
            managed.seen += managed.settle()
            place = managed.geometry(ONE)
            assert managed.last_reported(ONE, PLACE) == place
            managed.host.configure(ONE, Geometry(20, 30, 100, 90))
            managed.settle()
            assert managed.geometry(ONE) == Geometry(20, 30, 100, 90)
            check_pixels(managed, Geometry(20, 30, 100, 90))
        finally:
            managed.close()


class TestStubbornManager:
    """The second client is the window manager, and does exactly as it pleases."""

    @pytest.fixture
    def desktop(self, desktop: X11Desktop) -> Iterator[X11Desktop]:
        desktop.root.change_attributes(event_mask=X.SubstructureRedirectMask)
        desktop.point(799, 599)
        desktop.received()
        desktop.local[ONE] = desktop.host.create(ONE, PLACE, override_redirect=False)
        desktop.host.map(ONE, override_redirect=False, transient_for=None)
        desktop.settle()
        assert [event.type for event in desktop.received()] == [X.MapRequest]
        self.outer(desktop).map()
        assert desktop.settle() == []
        yield desktop
        desktop.root.change_attributes(event_mask=0)

    def outer(self, desktop: X11Desktop) -> Any:
        return desktop.display.create_resource_object("window", desktop.local[ONE])

    def say(self, desktop: X11Desktop, place: Geometry) -> None:
        """A synthetic event: there it is, in root coordinates."""
        outer = self.outer(desktop)
        event = x_event.ConfigureNotify(
            event=outer, window=outer, above_sibling=X.NONE, x=place.x - BORDER, y=place.y - BORDER,
            width=place.width + 2 * BORDER, height=place.height + 2 * BORDER, border_width=0, override=0,
        )  # fmt: skip
        outer.send_event(event, X.StructureNotifyMask)

    def test_a_wish_that_was_refused_long_ago_is_no_echo_later(self, desktop: X11Desktop) -> None:
        first, second = Geometry(10, 10, 50, 50), Geometry(20, 20, 60, 60)
        desktop.host.configure(ONE, first)
        desktop.host.configure(ONE, second)
        assert desktop.settle() == []
        assert [event.type for event in desktop.received()] == [X.ConfigureRequest] * 2
        self.say(desktop, PLACE)
        assert desktop.settle() == [ConfiguredEvent(ONE, PLACE)]
        desktop.move(ONE, first)
        assert desktop.settle() == [ConfiguredEvent(ONE, first)]
        desktop.move(ONE, second)
        assert desktop.settle() == [ConfiguredEvent(ONE, second)]

    def test_a_wish_that_was_granted_late_is_an_echo(self, desktop: X11Desktop) -> None:
        places = [Geometry(10 * step, 10, 50 + step, 50) for step in range(1, 6)]
        for place in places:
            desktop.host.configure(ONE, place)
        assert desktop.settle() == []
        for place in places:
            desktop.move(ONE, place)
            assert desktop.settle() == []
        desktop.move(ONE, places[0])
        assert desktop.settle() == [ConfiguredEvent(ONE, places[0])]

    def test_a_wish_that_was_altered_is_reported_as_it_came_out(self, desktop: X11Desktop) -> None:
        desktop.host.configure(ONE, Geometry(10, 10, 55, 55))
        desktop.settle()
        desktop.move(ONE, Geometry(10, 10, 50, 50))
        assert desktop.settle() == [ConfiguredEvent(ONE, Geometry(10, 10, 50, 50))]

    def test_said_twice_is_reported_once(self, desktop: X11Desktop) -> None:
        place = Geometry(10, 10, 50, 50)
        desktop.move(ONE, place)
        self.say(desktop, place)
        self.say(desktop, place)
        assert desktop.settle() == [ConfiguredEvent(ONE, place)]


def test_minimised_and_restored_by_the_user(managed: ManagedDesktop) -> None:
    show(managed)
    managed.until_quiet()
    managed.server.run("xdotool", "windowminimize", str(managed.local[ONE]))
    managed.until_seen(MappedEvent(ONE, False))
    managed.server.run("xdotool", "windowmap", str(managed.local[ONE]))
    managed.until_seen(MappedEvent(ONE, True))
    managed.until_quiet()
    check_pixels(managed, managed.geometry(ONE))


def test_our_own_mapping_is_no_news(managed: ManagedDesktop) -> None:
    show(managed)
    for _ in range(5):
        managed.until_quiet()
        check_pixels(managed, managed.geometry(ONE))
        managed.host.unmap(ONE)
        managed.until_quiet()
        assert (managed.screenshot() == 0).all()
        managed.host.map(ONE, override_redirect=False, transient_for=None)
    assert not [event for event in managed.seen if isinstance(event, MappedEvent)]


def test_mapping_faster_than_the_window_manager_ends_right(managed: ManagedDesktop) -> None:
    show(managed)
    for _ in range(20):
        managed.host.unmap(ONE)
        managed.host.map(ONE, override_redirect=False, transient_for=None)
        managed.host.flush()
    managed.until_quiet()
    news = [event.mapped for event in managed.seen if isinstance(event, MappedEvent)]
    assert news == [False, True] * (len(news) // 2)
    check_pixels(managed, managed.geometry(ONE))
