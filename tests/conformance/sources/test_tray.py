"""Programs find a notification area; what they dock there is reported as docked, before it is mapped."""

import numpy as np
from Xlib import X

from guiagent.core.source_events import Docked, Mapped, Unmapped
from guiproto.messages import Create, Dock, Map, WindowDump
from tests.conformance.sources.guest import Guest, Program


def _dock(program: Program, window: object) -> None:
    tray = program.display.get_selection_owner(program.atom("_NET_SYSTEM_TRAY_S0"))
    from Xlib.protocol import event

    message = event.ClientMessage(
        window=tray, client_type=program.atom("_NET_SYSTEM_TRAY_OPCODE"),
        data=(32, [X.CurrentTime, 0, window.id, 0, 0]),  # type: ignore[attr-defined] # python-xlib has no types
    )  # fmt: skip
    tray.send_event(message)
    program.sync()


def _info(program: Program, window: object, flags: int) -> None:
    atom = program.atom("_XEMBED_INFO")
    window.change_property(atom, atom, 32, [0, flags])  # type: ignore[attr-defined] # as above
    program.sync()


def test_an_icon_is_docked_and_painted(guest: Guest, program: Program) -> None:
    icon = program.window(0, 0, 16, 16, background_pixel=0x336699)
    _info(program, icon, 1)
    _dock(program, icon)
    guest.wait_event(Mapped, icon)
    assert guest.events(Docked, icon)
    guest.until(lambda: icon.id in guest.shown and guest.shown[icon.id].images, "its pixels")
    assert guest.canvas(icon).shape == (24, 24), "the tray gives it its size"
    assert (guest.canvas(icon) == 0x336699).all()
    said = [type(message) for message in guest.messages if message.window == icon.id]
    said = said[len(said) - 1 - said[::-1].index(Create) :]  # the number may have been another window's before
    assert Dock in said
    assert Map not in said
    assert said.index(Dock) < said.index(WindowDump)
    embedded = program.wait_events(lambda seen: any(e.type == X.ClientMessage for e in seen))
    (message,) = [event for event in embedded if event.type == X.ClientMessage]
    assert message.client_type == program.atom("_XEMBED")


def test_an_icon_that_does_not_want_to_be_seen_yet(guest: Guest, program: Program) -> None:
    icon = program.window(0, 0, 16, 16)
    _info(program, icon, 0)
    _dock(program, icon)
    guest.wait_event(Docked, icon)
    guest.settle()
    assert not guest.events(Mapped, icon)
    _info(program, icon, 1)
    guest.wait_event(Mapped, icon)
    _info(program, icon, 0)
    guest.wait_event(Unmapped, icon)


def test_a_window_that_becomes_an_icon_while_it_is_shown(guest: Guest, program: Program) -> None:
    icon = program.window(0, 0, 24, 24, background_pixel=5)
    icon.map()
    guest.wait_same(program, icon)
    _dock(program, icon)
    guest.wait_event(Docked, icon)
    guest.wait_event(Mapped, icon, 2)
    guest.wait_same(program, icon)
    assert np.unique(guest.canvas(icon)).tolist() == [5]


def test_nonsense_to_the_tray(guest: Guest, program: Program) -> None:
    class Nobody:
        id = 0x123456

    _dock(program, Nobody())
    window = program.window(0, 0, 20, 20, background_pixel=9)
    window.map()
    guest.wait_same(program, window)
