"""What only the headless host has: pictures on request, and events on command."""

from pathlib import Path

import numpy as np
from PIL import Image

from guid.core.host_events import CloseEvent, ConfiguredEvent, HostEvent, KeyEvent, MappedEvent, ScreenEvent, ScreenInfo
from guid.core.trusted import (
    CursorName,
    Geometry,
    HintFlags,
    Label,
    SizeHints,
    StateFlags,
    Title,
    WindowClass,
    WindowId,
)
from guid.hosts.base import HostConfig
from guid.hosts.headless.host import HeadlessHost
from guid.hosts.registry import load
from tests.conformance.hosts.pictures import noise, whole

CONFIG = HostConfig("work", Label("blue", 0x2040E0, 4))
ONE, TWO = WindowId(1), WindowId(2)
PLACE = Geometry(10, 20, 30, 25)


def host() -> HeadlessHost:
    return HeadlessHost(CONFIG, (100, 80), 0x336699)


def test_a_saved_picture_is_the_frame(tmp_path: Path) -> None:
    shown = host()
    picture = noise(30, 25)
    shown.create(ONE, PLACE, override_redirect=False)
    shown.attach(ONE, picture.pages, 30, 25)
    shown.map(ONE, override_redirect=False, transient_for=None)
    shown.paint(ONE, whole(picture))
    shown.save(tmp_path / "desktop.png")
    rgb = np.asarray(Image.open(tmp_path / "desktop.png"), np.uint32)
    assert rgb.shape == (80, 100, 3)
    assert np.array_equal(rgb[:, :, 0] << 16 | rgb[:, :, 1] << 8 | rgb[:, :, 2], shown.frame())
    assert rgb[0, 0].tolist() == [0x33, 0x66, 0x99]
    assert rgb[19, 10].tolist() == [0x20, 0x40, 0xE0]


def test_injected_events_are_reported_in_order_and_come_true() -> None:
    shown = host()
    shown.create(ONE, PLACE, override_redirect=False)
    screen = ScreenInfo(120, 90, 24, Geometry(0, 10, 120, 80))
    events: list[HostEvent] = [
        MappedEvent(ONE, True),
        ConfiguredEvent(ONE, Geometry(0, 0, 5, 6)),
        KeyEvent(ONE, True, 38, 1, 2, 0),
        ScreenEvent(screen),
        CloseEvent(ONE),
    ]
    for event in events:
        shown.inject(event)
    assert list(shown.events()) == events
    assert list(shown.events()) == []
    assert shown.screen() == screen
    assert shown.frame().shape == (90, 120)
    (window,) = shown.windows()
    assert window.mapped
    assert window.geometry == Geometry(0, 0, 5, 6)


def test_there_is_nothing_to_poll() -> None:
    assert host().fileno() == -1


def test_what_a_window_says_about_itself_can_be_looked_at() -> None:
    shown = host()
    shown.create(TWO, PLACE, override_redirect=False)
    shown.create(ONE, PLACE, override_redirect=False)
    shown.map(ONE, override_redirect=False, transient_for=TWO)
    shown.set_title(ONE, Title("text"))
    shown.set_class(ONE, WindowClass("name", "Class"))
    shown.set_state(ONE, StateFlags.FULLSCREEN | StateFlags.MINIMIZE, StateFlags(0))
    shown.set_state(ONE, StateFlags(0), StateFlags.MINIMIZE)
    shown.set_cursor(ONE, CursorName(4))
    shown.dock(ONE)
    window = list(shown.windows())[-1]
    assert (window.title, window.class_) == (Title("[work] text"), WindowClass("work:name", "work:Class"))
    assert (window.states, window.cursor, window.docked) == (StateFlags.FULLSCREEN, CursorName(4), True)
    assert window.transient_for == TWO
    shown.set_hints(ONE, SizeHints(HintFlags.P_MIN_SIZE, 5, 6))
    assert window.hints == SizeHints(HintFlags.P_MIN_SIZE, 5, 6)


def test_titles_without_a_prefix() -> None:
    shown = HeadlessHost(HostConfig("work", CONFIG.label, title_prefix=False), (10, 10))
    shown.create(ONE, PLACE, override_redirect=False)
    shown.set_title(ONE, Title("text"))
    (window,) = shown.windows()
    assert window.title == Title("text")


def test_the_registry_knows_it() -> None:
    assert isinstance(load("headless", CONFIG, None), HeadlessHost)
