"""Nothing of a VM comes up above a locked screen, and menus come up at once where the pointer is."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from Xlib import X

from guid.core.trusted import Geometry, Label, WindowClass, WindowId
from guid.hosts.base import HostConfig
from tests.conformance.hosts.desktop import X11Desktop, x11_desktop
from tests.conformance.hosts.pictures import noise
from tests.xserver import XServer

ONE, TWO = WindowId(1), WindowId(2)
MENU = Geometry(100, 100, 120, 90)
LOCKED = 0x123456


class Locker:
    """A screen locker, as far as anybody can see."""

    def __init__(self, desktop: X11Desktop, name: str = "xscreensaver") -> None:
        self._desktop = desktop
        self.window: Any = desktop.root.create_window(
            0, 0, 800, 600, 0, X.CopyFromParent, override_redirect=True, background_pixel=LOCKED
        )
        self.window.set_wm_class(name, "XScreenSaver")

    def lock(self) -> None:
        self.window.map()
        self.window.configure(stack_mode=X.Above)
        self._desktop.received()


@pytest.fixture
def locker(desktop: X11Desktop) -> Iterator[Locker]:
    made = Locker(desktop)
    yield made
    made.window.destroy()
    desktop.received()


def locked(desktop: X11Desktop) -> bool:
    return bool((desktop.screenshot() == LOCKED).all())


def test_a_menu_comes_up_below_a_locker_and_is_there_when_that_goes(desktop: X11Desktop, locker: Locker) -> None:
    picture = noise(120, 90)
    locker.lock()
    desktop.show(ONE, MENU, picture, override_redirect=True)
    assert locked(desktop)
    locker.window.unmap()
    assert np.array_equal(desktop.content(MENU), picture.pixels)


def test_a_menu_that_is_shown_again_does_too(desktop: X11Desktop, locker: Locker) -> None:
    desktop.show(ONE, MENU, noise(120, 90), override_redirect=True)
    desktop.settle()
    desktop.point(150, 150)
    desktop.settle()
    locker.lock()
    desktop.settle()
    for _ in range(2):
        desktop.host.unmap(ONE)
        desktop.host.map(ONE, override_redirect=True, transient_for=None)
        assert locked(desktop)


def test_a_menu_of_a_window_that_has_the_pointer_is_there_without_a_question(desktop: X11Desktop) -> None:
    desktop.show(ONE, MENU, noise(120, 90))
    desktop.settle()
    desktop.point(150, 150)
    desktop.settle()
    desktop.show(TWO, Geometry(150, 160, 50, 50), override_redirect=True)
    assert not desktop.host._replies
    desktop.host.flush()
    desktop.received()
    outer = desktop.display.create_resource_object("window", desktop.local[TWO])
    assert outer.get_attributes().map_state == X.IsViewable


def test_a_window_that_is_hidden_has_no_pointer(desktop: X11Desktop, locker: Locker) -> None:
    desktop.show(ONE, MENU, noise(120, 90))
    desktop.settle()
    desktop.point(150, 150)
    desktop.settle()
    desktop.host.destroy(ONE)
    locker.lock()
    desktop.show(TWO, MENU, noise(120, 90), override_redirect=True)
    assert locked(desktop)


def test_what_is_hidden_before_the_answer_stays_hidden(desktop: X11Desktop) -> None:
    desktop.show(ONE, MENU, noise(120, 90), override_redirect=True)
    desktop.host.unmap(ONE)
    desktop.settle()
    desktop.show(TWO, MENU, noise(120, 90), override_redirect=True)
    desktop.host.destroy(TWO)
    desktop.settle()
    assert not desktop.screenshot().any()


def test_no_vm_passes_for_a_locker(desktop: X11Desktop, x_server: XServer) -> None:
    desktop.host.create(ONE, Geometry(3, 3, 794, 594), override_redirect=True)
    desktop.host.set_class(ONE, WindowClass("xscreensaver", "XScreenSaver"))
    desktop.host.map(ONE, override_redirect=True, transient_for=None)
    desktop.settle()
    with x11_desktop(x_server, HostConfig("mail", Label("green", 0x20C040, 3))) as other:
        picture = noise(120, 90)
        other.show(TWO, MENU, picture, override_redirect=True)
        assert np.array_equal(other.content(MENU), picture.pixels)
