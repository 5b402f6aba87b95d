"""A source reports the life of every window, and what programs say about theirs."""

import random
import struct
from typing import Any

import pytest
from Xlib import X, Xatom, Xutil

from guiagent.core.operations import ReleaseAll
from guiagent.core.source_events import (
    Classified,
    Configured,
    Created,
    CursorShown,
    Destroyed,
    Hinted,
    Mapped,
    SizeHints,
    StateWished,
    Titled,
    TransientFor,
    Unmapped,
)
from guiproto.messages import SPECS, Button, Close, Configure, Crossing, Direction, Focus, Map, WindowFlag, WindowFlags
from tests.conformance.sources.guest import Guest, Program, kinds

FULLSCREEN, ATTENTION, MINIMIZE = WindowFlag.FULLSCREEN, WindowFlag.DEMANDS_ATTENTION, WindowFlag.MINIMIZE
NOTHING = WindowFlag(0)


def test_a_window_lives_and_dies(guest: Guest, program: Program) -> None:
    window = program.window(10, 20, 300, 200)
    window.map()
    program.sync()
    guest.wait_event(Mapped, window)
    window.unmap()
    window.destroy()
    program.sync()
    guest.wait_event(Destroyed, window)
    about = [event for event in guest.reported if event.window == window.id]
    assert about[0] == Created(window.id, 10, 20, 300, 200, False)
    assert [kind for kind in kinds(about) if kind in ("Created", "Mapped", "Unmapped", "Destroyed")] == [
        "Created", "Mapped", "Unmapped", "Destroyed"
    ]  # fmt: skip


def test_windows_that_were_there_before_are_reported(guest_x: Any, program: Program, source_name: str) -> None:
    shown, hidden = program.window(1, 2, 30, 40), program.window(5, 6, 70, 80)
    shown.set_wm_name("early")
    shown.map()
    program.sync()
    with Guest(source_name, guest_x.display) as guest:
        assert guest.events(Created, shown) == [Created(shown.id, 1, 2, 30, 40, False)]
        assert guest.events(Mapped, shown)
        assert guest.events(Titled, shown) == [Titled(shown.id, "early")]
        assert guest.events(Created, hidden)
        assert not guest.events(Mapped, hidden)
        guest.wait_same(program, shown)


def test_windows_that_only_take_input_are_not_reported(guest: Guest, program: Program) -> None:
    window = program.root.create_window(0, 0, 9, 9, 0, X.CopyFromParent, X.InputOnly)
    window.map()
    program.sync()
    guest.settle()
    assert not [event for event in guest.reported if event.window == window.id]


def test_children_are_not_windows(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 99, 99)
    child = window.create_window(0, 0, 9, 9, 0, X.CopyFromParent)
    child.map()
    window.map()
    program.sync()
    guest.settle()
    assert not guest.events(Created, child)


def test_a_window_that_moves_into_another_one_is_gone_and_back_when_it_comes_out(
    guest: Guest, program: Program
) -> None:
    outer, inner = program.window(0, 0, 99, 99), program.window(0, 0, 50, 50)
    outer.map()
    inner.map()
    program.sync()
    guest.wait_event(Mapped, inner)
    inner.reparent(outer, 5, 5)
    program.sync()
    guest.wait_event(Destroyed, inner)
    inner.reparent(program.root, 7, 8)
    program.sync()
    assert guest.wait_event(Created, inner, 2) == Created(inner.id, 7, 8, 50, 50, False)
    guest.wait_event(Mapped, inner, 2)
    guest.wait_same(program, inner)


def test_moves_and_sizes(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 99, 99)
    window.map()
    window.configure(x=30, y=-40, width=120, height=77)
    program.sync()
    assert guest.wait_event(Configured, window) == Configured(window.id, 30, -40, 120, 77, False)


def test_borders_are_taken_off(guest: Guest, program: Program) -> None:
    window = program.root.create_window(5, 5, 50, 50, 7, X.CopyFromParent)
    window.map()
    program.sync()
    guest.until(lambda: window.get_geometry().border_width == 0, "the border to go")
    window.configure(border_width=3)
    program.sync()
    guest.until(lambda: window.get_geometry().border_width == 0, "the border to go again")


@pytest.mark.parametrize("changed", [True, False])
def test_every_order_is_answered(guest: Guest, program: Program, changed: bool) -> None:
    window = program.window(10, 10, 99, 99)
    window.map()
    program.sync()
    guest.settle()
    before = len(guest.events(Configured, window))
    order = (50, 60, 120, 130) if changed else (10, 10, 99, 99)
    guest.perform(Configure(window.id, *order, 0))
    answer = guest.wait_event(Configured, window, before + 1)
    assert answer == Configured(window.id, *order, False)
    geometry = window.get_geometry()
    assert (geometry.x, geometry.y, geometry.width, geometry.height) == order


def test_override_redirect(guest: Guest, program: Program) -> None:
    menu = program.window(0, 0, 50, 60, override_redirect=True)
    menu.map()
    program.sync()
    assert guest.wait_event(Mapped, menu).override_redirect
    menu.unmap()
    menu.change_attributes(override_redirect=False)
    menu.map()
    program.sync()
    assert not guest.wait_event(Mapped, menu, 2).override_redirect


def test_titles(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 60)
    window.change_property(Xatom.WM_NAME, Xatom.STRING, 8, "caf\xe9".encode("latin-1"))
    program.sync()
    assert guest.wait_event(Titled, window).text == "café"
    window.change_property(program.atom("_NET_WM_NAME"), program.atom("UTF8_STRING"), 8, "日本語".encode())
    program.sync()
    guest.until(lambda: guest.events(Titled, window)[-1].text == "日本語")
    window.set_wm_name("not this one")
    program.sync()
    guest.settle()
    assert guest.events(Titled, window)[-1].text == "日本語"


def test_a_title_is_known_when_its_window_is_shown(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 60)
    window.set_wm_name("first")
    window.set_wm_transient_for(program.root)
    window.map()
    program.sync()
    guest.wait_event(Mapped, window)
    about = kinds([event for event in guest.reported if event.window == window.id])
    assert about.index("Titled") < about.index("Mapped")
    assert about.index("TransientFor") < about.index("Mapped")


def test_class_hints_and_owner(guest: Guest, program: Program) -> None:
    owner, window = program.window(0, 0, 50, 60), program.window(0, 0, 50, 60)
    window.set_wm_class("name", "Class")
    window.set_wm_transient_for(owner)
    window.set_wm_normal_hints(
        flags=Xutil.PMinSize | Xutil.PResizeInc | Xutil.PBaseSize | Xutil.PAspect,
        min_width=11, min_height=12, width_inc=6, height_inc=13, base_width=4, base_height=5,
    )  # fmt: skip
    program.sync()
    assert guest.wait_event(Classified, window) == Classified(window.id, "name", "Class")
    assert guest.wait_event(TransientFor, window).parent == owner.id
    assert guest.wait_event(Hinted, window).hints == SizeHints(16 | 64 | 256, 11, 12, 0, 0, 6, 13, 4, 5)


@pytest.mark.parametrize("name", ["WM_NAME", "WM_CLASS", "WM_NORMAL_HINTS", "WM_HINTS", "WM_TRANSIENT_FOR"])
@pytest.mark.parametrize("form", [(8, b""), (8, b"\xff\xfe\0\0x"), (16, [1, 2, 3]), (32, [2**32 - 1]), (32, [])])
def test_properties_of_any_form_do_no_harm(guest: Guest, program: Program, name: str, form: tuple[int, Any]) -> None:
    window = program.window(0, 0, 50, 60)
    window.change_property(program.atom(name), program.atom("NONSENSE"), *form)
    window.map()
    program.sync()
    guest.wait_event(Mapped, window)


def test_states_wished_before_the_window_is_shown(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 60)
    states = [program.atom("_NET_WM_STATE_ABOVE"), program.atom("_NET_WM_STATE_FULLSCREEN")]
    window.change_property(program.atom("_NET_WM_STATE"), Xatom.ATOM, 32, states)
    window.map()
    program.sync()
    guest.wait_event(Mapped, window)
    assert guest.events(StateWished, window) == [StateWished(window.id, FULLSCREEN, NOTHING)]


def test_states_wished_by_message(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 60)
    window.map()
    full, attention = program.atom("_NET_WM_STATE_FULLSCREEN"), program.atom("_NET_WM_STATE_DEMANDS_ATTENTION")
    program.ask_root(window, "_NET_WM_STATE", 1, full, attention)
    assert guest.wait_event(StateWished, window) == StateWished(window.id, FULLSCREEN | ATTENTION, NOTHING)
    program.ask_root(window, "_NET_WM_STATE", 0, full)
    assert guest.wait_event(StateWished, window, 2) == StateWished(window.id, NOTHING, FULLSCREEN)
    program.ask_root(window, "WM_CHANGE_STATE", 3)
    assert guest.wait_event(StateWished, window, 3) == StateWished(window.id, MINIMIZE, NOTHING)
    program.ask_root(window, "_NET_ACTIVE_WINDOW", 1)
    assert guest.wait_event(StateWished, window, 4) == StateWished(window.id, ATTENTION, NOTHING)


def test_a_state_that_is_toggled(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 60)
    window.map()
    full = program.atom("_NET_WM_STATE_FULLSCREEN")
    program.ask_root(window, "_NET_WM_STATE", 2, full)
    assert guest.wait_event(StateWished, window) == StateWished(window.id, FULLSCREEN, NOTHING)
    guest.perform(WindowFlags(window.id, FULLSCREEN, 0))
    program.ask_root(window, "_NET_WM_STATE", 2, full)
    assert guest.wait_event(StateWished, window, 2) == StateWished(window.id, NOTHING, FULLSCREEN)


def test_urgency_is_a_wish_for_attention(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 60)
    window.set_wm_hints(flags=Xutil.UrgencyHint)
    program.sync()
    assert guest.wait_event(StateWished, window) == StateWished(window.id, ATTENTION, NOTHING)
    window.set_wm_hints(flags=Xutil.InputHint, input=1)
    program.sync()
    assert guest.wait_event(StateWished, window, 2) == StateWished(window.id, NOTHING, ATTENTION)


def test_states_given_by_the_desktop_are_told_to_the_program(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 60)
    above = program.atom("_NET_WM_STATE_ABOVE")
    window.change_property(program.atom("_NET_WM_STATE"), Xatom.ATOM, 32, [above])
    window.map()
    program.sync()
    guest.wait_event(Mapped, window)

    def states() -> set[int]:
        return set(window.get_full_property(program.atom("_NET_WM_STATE"), Xatom.ATOM).value)

    full, hidden = program.atom("_NET_WM_STATE_FULLSCREEN"), program.atom("_NET_WM_STATE_HIDDEN")
    guest.perform(WindowFlags(window.id, FULLSCREEN | MINIMIZE, 0))
    guest.until(lambda: states() == {above, full, hidden}, "both states")
    guest.perform(Map(window.id, 0, 0))
    guest.until(lambda: states() == {above, full}, "the window to be restored")
    guest.perform(WindowFlags(window.id, 0, FULLSCREEN))
    guest.until(lambda: states() == {above}, "no state of ours")


def test_the_desktop_can_show_a_hidden_window(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 60)
    program.sync()
    guest.wait_event(Created, window)
    guest.perform(Map(window.id, 0, 0))
    guest.wait_event(Mapped, window)


def test_programs_find_a_window_manager(guest: Guest, program: Program) -> None:
    check = program.atom("_NET_SUPPORTING_WM_CHECK")
    (number,) = program.root.get_full_property(check, Xatom.WINDOW).value
    manager = program.display.create_resource_object("window", number)
    assert list(manager.get_full_property(check, Xatom.WINDOW).value) == [number]
    assert manager.get_full_property(program.atom("_NET_WM_NAME"), 0).value
    supported = program.root.get_full_property(program.atom("_NET_SUPPORTED"), Xatom.ATOM).value
    assert program.atom("_NET_WM_STATE_FULLSCREEN") in supported
    assert program.atom("_GTK_FRAME_EXTENTS") not in supported, "shadows would be drawn"
    window = program.window(0, 0, 50, 60)
    window.map()
    program.sync()
    guest.wait_event(Mapped, window)
    guest.until(lambda: (state := window.get_wm_state()) and state["state"] == Xutil.NormalState, "WM_STATE Normal")


def test_a_cursor_is_known_by_name(guest: Guest, program: Program) -> None:
    window = program.window(100, 100, 50, 60)
    font = program.display.open_font("cursor")
    cursor = font.create_glyph_cursor(font, 152, 153, (0, 0, 0), (65535, 65535, 65535))
    name = b"text"
    program.display.xfixes_query_version()
    opcode = program.display.query_extension("XFIXES").major_opcode
    request = bytes([opcode, 23]) + (4).to_bytes(2, "little") + cursor.id.to_bytes(4, "little")
    program.connection.send_raw(request + len(name).to_bytes(2, "little") + bytes(2) + name, 1)
    window.change_attributes(cursor=cursor)
    window.map()
    program.sync()
    guest.wait_event(Mapped, window)
    guest.perform(Crossing(window.id, 7, 5, 5, 0, 0, 0, 0))
    guest.until(lambda: CursorShown(window.id, 152) in guest.reported, "the text cursor")
    window.change_attributes(cursor=X.NONE)
    program.sync()
    guest.until(lambda: guest.events(CursorShown, window)[-1].shape is None, "the default cursor")


def test_windows_that_vanish_in_the_middle_of_anything_do_no_harm(guest: Guest, program: Program) -> None:
    for round_ in range(20):
        windows = [program.window(0, 0, 20, 20, override_redirect=True) for _ in range(10)]
        for window in windows:
            window.set_wm_name("short-lived")
            window.map()
            program.fill(window, 0xFF0000, 0, 0, 20, 20)
            window.configure(width=30 + round_)
        for window in windows[: round_ % 10]:
            window.destroy()
        program.sync()
        guest.turn(0)
        for window in windows[round_ % 10 :]:
            window.destroy()
        program.sync()
        for window in windows:
            guest.perform(
                Configure(window.id, 1, 1, 9, 9, 0),
                Focus(window.id, 9, 0, 0),
                WindowFlags(window.id, FULLSCREEN, 0),
                Map(window.id, 0, 0),
                Crossing(window.id, 7, 1, 1, 0, 0, 0, 0),
                Button(window.id, 4, 1, 1, 0, 1),
                Button(window.id, 5, 1, 1, 0, 1),
                Close(window.id),
            )
    last = program.window(0, 0, 20, 20)
    last.map()
    program.fill(last, 0x00FF00, 0, 0, 20, 20)
    program.sync()
    guest.wait_same(program, last)


def test_a_program_that_grabs_the_server_does_not_stop_the_source(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 20, 20, background_pixel=1)
    window.map()
    guest.wait_same(program, window)
    program.display.grab_server()
    program.fill(window, 0x00FF00, 0, 0, 20, 20)
    guest.wait_same(program, window)
    guest.perform(Configure(window.id, 5, 5, 30, 30, 0))
    guest.until(lambda: Configured(window.id, 5, 5, 30, 30, False) in guest.reported, "the answer")
    program.display.ungrab_server()
    program.sync()


def test_nothing_is_left_of_windows_that_are_gone(guest: Guest, program: Program) -> None:
    windows = [program.window(0, 0, 64, 64) for _ in range(5)]
    for window in windows:
        window.map()
    program.sync()
    for window in windows:
        guest.wait_same(program, window)
    assert len(guest.sharer.live) >= len(windows)
    for window in windows[:2]:
        window.unmap()
    for window in windows[2:]:
        window.destroy()
    program.sync()
    guest.wait_event(Unmapped, windows[1])
    guest.wait_event(Destroyed, windows[-1])
    assert not guest.sharer.live


def test_stacking_is_bottom_to_top(guest: Guest, program: Program) -> None:
    first, second, third = (program.window(0, 0, 20, 20) for _ in range(3))
    for window in (first, second, third):
        window.map()
    first.configure(stack_mode=X.Above)
    program.sync()
    guest.wait_event(Mapped, third)
    order = [window for window in guest.source.stacking() if window in (first.id, second.id, third.id)]
    assert order == [second.id, third.id, first.id]


def test_orders_of_any_content_do_no_harm(own_guest: tuple[Guest, Program]) -> None:
    guest, program = own_guest
    dice = random.Random(2)
    words = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 66, 255, 256, 32767, 32768, 65536, 2**31 - 1, 2**32 - 1]
    orders = [spec for spec in SPECS.values() if Direction.TO_AGENT in spec.direction and spec.body]
    windows = [program.window(0, 0, 50, 50, background_pixel=1) for _ in range(3)]
    for window in windows:
        window.set_wm_protocols([program.atom("WM_DELETE_WINDOW")])
        window.map()
    guest.wait_same(program, windows[0])
    for _ in range(3000):
        spec = dice.choice(orders)
        assert spec.body is not None
        body = b"".join(struct.pack("<I", dice.choice(words)) for _ in range(spec.body.size // 4))
        message = spec.message._make((dice.choice(windows).id, *spec.body.unpack(body)))
        for operation in guest.tracker.receive(message):
            guest.perform(operation)
    guest.perform(ReleaseAll())
    last = program.window(0, 0, 30, 30, background_pixel=2)
    last.map()
    guest.wait_same(program, last)
