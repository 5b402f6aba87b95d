"""Icons are where the panel is, whenever it comes and goes, and are their VM's to see."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from guid.core.host_events import FocusEvent, KeyEvent
from guid.core.trusted import Geometry, Label, WindowId
from guid.hosts.base import HostConfig
from guid.hosts.x11.buffers import TintedBuffer
from guid.hosts.x11.tint import tinted
from tests.conformance.hosts.desktop import X11Desktop, x11_desktop
from tests.conformance.hosts.pictures import noise, whole
from tests.guid.hosts.x11.managed import start_openbox
from tests.xserver import XServer, wait_until

ONE = WindowId(1)
SIZE = 24
COLOR = 0x2040E0
PICTURE = noise(22, 22)


@pytest.fixture
def server() -> Iterator[XServer]:
    with XServer(800, 600) as server:
        yield server


def panel(server: XServer, *more: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-m", "tests.tray", server.display, *more], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def config(border: int, *, tint: bool) -> HostConfig:
    return HostConfig("work", Label("blue", COLOR, 4), tray_border=border, tray_tint=tint)


def dock(desktop: X11Desktop) -> None:
    desktop.local[ONE] = desktop.host.create(ONE, Geometry(0, 0, 22, 22), override_redirect=True)
    desktop.host.dock(ONE)
    desktop.host.attach(ONE, PICTURE.pages, 22, 22)


def wait_shown(desktop: X11Desktop, border: int, *, tint: bool) -> None:
    """Until the panel's first place shows the icon and the border."""
    side = SIZE - 2 * border
    shown = PICTURE.pixels[:side, :side]
    expected = np.full((SIZE, SIZE), COLOR, np.uint32)
    expected[border : border + side, border : border + side] = 0xFFFFFF
    inside = min(side, 22)
    icon = tinted(shown, COLOR) if tint else shown & np.uint32(0xFFFFFF)
    expected[border : border + inside, border : border + inside] = icon[:inside, :inside]
    wait_until(lambda: np.array_equal(desktop.content(Geometry(0, 0, SIZE, SIZE)), expected), "the icon")


@pytest.mark.parametrize("managed", [False, True])
@pytest.mark.parametrize(("border", "tint"), [(1, True), (1, False), (2, False), (2, True), (0, True)])
def test_an_icon_has_its_labels_colour(server: XServer, border: int, tint: bool, managed: bool) -> None:
    if managed:
        start_openbox(server)
    desktop = X11Desktop(server, config(border, tint=tint))
    process = panel(server)
    try:
        dock(desktop)
        wait_shown(desktop, border, tint=tint)
    finally:
        desktop.close()
        end(process)


def test_pixels_that_came_before_the_docking_are_tinted_as_well(server: XServer) -> None:
    desktop = X11Desktop(server, config(1, tint=True))
    process = panel(server)
    try:
        desktop.host.create(ONE, Geometry(0, 0, 22, 22), override_redirect=False)
        desktop.host.attach(ONE, PICTURE.pages, 22, 22)
        desktop.host.dock(ONE)
        wait_shown(desktop, 1, tint=True)
    finally:
        desktop.close()
        end(process)


def test_keys_follow_a_click_on_an_icon(server: XServer) -> None:
    desktop = X11Desktop(server, config(1, tint=True))
    process = panel(server)
    try:
        dock(desktop)
        wait_shown(desktop, 1, tint=True)
        desktop.click(10, 10, 1)
        events = desktop.settle()
        assert [event.focused for event in events if isinstance(event, FocusEvent)][-1:] == [True]
        desktop.type_key(400, 300, 38)
        assert [event.window for event in desktop.settle() if isinstance(event, KeyEvent)] == [ONE, ONE]
    finally:
        desktop.close()
        end(process)


@pytest.mark.parametrize("manners", [[], ["keeping"]])
def test_icons_survive_panels(server: XServer, manners: list[str]) -> None:
    desktop = X11Desktop(server, config(1, tint=False))
    try:
        dock(desktop)
        desktop.settle()
        for _ in range(3):
            process = panel(server, *manners)
            wait_shown(desktop, 1, tint=False)
            desktop.host.paint(ONE, whole(PICTURE))
            end(process)
            wait_until(lambda: not desktop.screenshot().any(), "nothing is left on the bare desktop")
    finally:
        desktop.close()


def test_an_icon_whose_memory_shrinks_ends_nobody(server: XServer, tmp_path: Path) -> None:
    with x11_desktop(server, config(1, tint=True)) as desktop:
        picture = noise(22, 22, file=tmp_path / "pages")
        desktop.host.create(ONE, Geometry(0, 0, 22, 22), override_redirect=False)
        desktop.host.dock(ONE)
        desktop.host.attach(ONE, picture.pages, 22, 22)
        os.truncate(tmp_path / "pages", 0)
        shown = desktop.host._windows[ONE].buffer
        assert isinstance(shown, TintedBuffer)
        shown.refresh([(0, 0, 22, 22)])
        desktop.settle()
