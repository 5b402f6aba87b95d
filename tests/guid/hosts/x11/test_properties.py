"""Every property, to the letter: window managers and tools go by them."""

import os
import socket
from typing import Any

import numpy as np
import pytest
from Xlib import X

from guid.core.trusted import Geometry, HintFlags, SizeHints, Title, WindowClass, WindowId
from tests.conformance.hosts.desktop import X11Desktop

ONE, TWO = WindowId(0x1234567), WindowId(2)
PLACE = Geometry(100, 100, 200, 150)


def property_of(desktop: X11Desktop, name: str, window: WindowId = ONE) -> tuple[str, int, Any]:
    """Type, bits per item, and value: bytes or a list of numbers."""
    desktop.settle()
    outer = desktop.display.create_resource_object("window", desktop.local[window])
    found = outer.get_full_property(desktop.display.get_atom(name), X.AnyPropertyType)
    assert found is not None, f"{name} is missing"
    kind = desktop.display.get_atom_name(found.property_type)
    if found.format == 32:
        return kind, 32, np.asarray(found.value, np.uint32).tolist()
    return kind, found.format, bytes(found.value) if not isinstance(found.value, bytes) else found.value


def test_identity(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    atoms = [desktop.display.get_atom(name) for name in ("WM_DELETE_WINDOW", "_NET_WM_PING")]
    for name, expected in {
        "_QUBES_VMNAME": ("STRING", 8, b"work"),
        "_QUBES_LABEL": ("CARDINAL", 8, b"\4"),
        "_QUBES_LABEL_COLOR": ("CARDINAL", 32, [0x2040E0]),
        "_QUBES_VMWINDOWID": ("WINDOW", 32, [0x1234567]),
        "_NET_WM_PID": ("CARDINAL", 32, [os.getpid()]),
        "WM_CLIENT_MACHINE": ("STRING", 8, socket.gethostname().encode()),
        "WM_PROTOCOLS": ("ATOM", 32, atoms),
        "WM_CLASS": ("STRING", 8, b"work:work\0work:work\0"),
        "WM_NAME": ("STRING", 8, b"[work] "),
    }.items():
        assert property_of(desktop, name) == expected, name


def test_titles(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.host.set_title(ONE, Title("caf\u00e9 \u2013 \u4e2d"))
    for name in ("WM_NAME", "WM_ICON_NAME"):
        assert property_of(desktop, name) == ("STRING", 8, b"[work] caf\xe9 ? ?")
    for name in ("_NET_WM_NAME", "_NET_WM_ICON_NAME"):
        assert property_of(desktop, name) == ("UTF8_STRING", 8, "[work] caf\u00e9 \u2013 \u4e2d".encode())


def test_the_class_begins_with_the_vms_name(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.host.set_class(ONE, WindowClass("xscreensaver", "XScreenSaver"))
    assert property_of(desktop, "WM_CLASS") == ("STRING", 8, b"work:xscreensaver\0work:XScreenSaver\0")


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        (SizeHints(HintFlags(0)), {0: 512}),
        (SizeHints(HintFlags.US_POSITION | HintFlags.P_POSITION), {0: 512 + 1 + 4}),
        (
            SizeHints(HintFlags.P_MIN_SIZE | HintFlags.P_MAX_SIZE, 10, 20, 30, 40),
            {0: 512 + 16 + 32, 5: 16, 6: 26, 7: 36, 8: 46},
        ),
        (
            SizeHints(HintFlags.P_RESIZE_INC, width_inc=6, height_inc=13),
            {0: 512 + 64 + 256, 9: 6, 10: 13, 15: 6, 16: 6},
        ),
        (
            SizeHints(HintFlags.P_RESIZE_INC | HintFlags.P_BASE_SIZE, 0, 0, 0, 0, 6, 13, 4, 5),
            {0: 512 + 64 + 256, 9: 6, 10: 13, 15: 10, 16: 11},
        ),
    ],
)
def test_size_hints_grow_by_the_border(desktop: X11Desktop, hints: SizeHints, expected: dict[int, int]) -> None:
    desktop.show(ONE, PLACE)
    desktop.host.set_hints(ONE, hints)
    static_gravity = {17: 10}
    values = [(expected | static_gravity).get(index, 0) for index in range(18)]
    assert property_of(desktop, "WM_NORMAL_HINTS") == ("WM_SIZE_HINTS", 32, values)


def test_wm_hints_take_the_keyboard_and_say_what_belongs_together(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    leader = desktop.host._user_time.clock
    assert property_of(desktop, "WM_HINTS") == ("WM_HINTS", 32, [1 + 2 + 64, 1, 1, 0, 0, 0, 0, 0, leader])


def test_transient_for(desktop: X11Desktop) -> None:
    desktop.show(TWO, PLACE)
    desktop.show(ONE, PLACE)
    desktop.host.unmap(ONE)
    desktop.host.map(ONE, override_redirect=False, transient_for=TWO)
    assert property_of(desktop, "WM_TRANSIENT_FOR") == ("WINDOW", 32, [desktop.local[TWO]])
    desktop.host.unmap(ONE)
    desktop.host.map(ONE, override_redirect=False, transient_for=None)
    with pytest.raises(AssertionError, match="missing"):
        property_of(desktop, "WM_TRANSIENT_FOR")


def test_docked_windows_say_that_they_can_be_embedded(desktop: X11Desktop) -> None:
    desktop.local[ONE] = desktop.host.create(ONE, Geometry(0, 0, 24, 24), override_redirect=False)
    desktop.host.dock(ONE)
    assert property_of(desktop, "_XEMBED_INFO") == ("_XEMBED_INFO", 32, [0, 1])
