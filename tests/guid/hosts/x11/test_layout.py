"""The desktop's keyboard layout is known, and which of several keys are read in."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from Xlib import X, Xatom
from Xlib.ext import xtest

from guid.core.host_events import KeyEvent
from guid.core.trusted import Geometry
from guid.hosts.x11.layout import layout_of
from qubesdb.keys import KEYBOARD_LAYOUT, Layout
from tests.conformance.hosts.desktop import X11Desktop
from tests.conformance.hosts.test_painting import ONE
from tests.xserver import XServer

A, ALT_L, SHIFT_L = 38, 64, 50
GROUP_2 = 1 << 13


@pytest.fixture
def x_server(x_server: XServer) -> Any:
    yield x_server
    x_server.run("setxkbmap", "us", "-option", "")


def test_the_layout_is_known_and_followed(desktop: X11Desktop, x_server: XServer) -> None:
    assert desktop.host.desktop().layout == Layout("us")
    x_server.run("setxkbmap", "us,de", ",neo", "-option", "grp:alt_shift_toggle")
    desktop.settle()
    assert desktop.host.desktop().layout == Layout("us,de", ",neo", "grp:alt_shift_toggle")


@pytest.mark.parametrize("value", [b"", b"evdev\0pc105\0", b"\0\0-x\0\0\0", b"\0\0us\0$(x)\0\0", bytes(5000)])
def test_a_layout_that_no_vm_could_be_told_is_none(desktop: X11Desktop, x_server: XServer, value: bytes) -> None:
    desktop.root.change_property(desktop.display.get_atom("_XKB_RULES_NAMES"), Xatom.STRING, 8, value)
    desktop.settle()
    assert desktop.host.desktop().layout is None
    x_server.run("setxkbmap", "de")
    desktop.settle()
    assert desktop.host.desktop().layout == Layout("de")


@given(st.binary(max_size=200))
def test_whatever_the_property_holds_a_layout_is_one_that_can_be_written(value: bytes) -> None:
    found = layout_of(value)
    assert found is None or KEYBOARD_LAYOUT.parse(str(found).encode()) == found


def test_keys_say_which_layout_they_are_of(desktop: X11Desktop, x_server: XServer) -> None:
    x_server.run("setxkbmap", "us,de", "-option", "grp:alt_shift_toggle")
    desktop.show(ONE, Geometry(100, 100, 120, 90))
    desktop.settle()
    desktop.type_key(110, 110, A)
    for kind, *keycodes in ((X.KeyPress, ALT_L, SHIFT_L), (X.KeyRelease, SHIFT_L, ALT_L)):
        for keycode in keycodes:
            xtest.fake_input(desktop.display, kind, keycode)
    desktop.type_key(110, 110, A)
    states = [event.state for event in desktop.settle() if isinstance(event, KeyEvent) and event.keycode == A]
    assert states == [0, 0, GROUP_2, GROUP_2]
