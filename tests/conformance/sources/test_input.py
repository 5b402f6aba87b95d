"""Programs see the keys, buttons and pointer of the desktop as if they were there."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from Xlib import X, Xatom, Xutil

from guiagent.core.operations import ReleaseAll
from guiagent.core.source_events import Created, Destroyed, Mapped
from guiproto.messages import Button, Close, Configure, Crossing, Focus, KeymapNotify, KeyPress, Motion
from tests.conformance.sources.guest import Guest, Program

A, SHIFT_L, SHIFT_R, CONTROL_L, CONTROL_R, ALT_L, CAPS, NUM, LEVEL3 = 38, 50, 62, 37, 105, 64, 66, 77, 92
SHIFT, LOCK, CONTROL, MOD1, MOD2, MOD5 = 1, 2, 4, 8, 16, 128
INPUT = (
    X.KeyPressMask | X.KeyReleaseMask | X.ButtonPressMask | X.ButtonReleaseMask | X.PointerMotionMask
    | X.EnterWindowMask | X.LeaveWindowMask | X.FocusChangeMask | X.StructureNotifyMask
)  # fmt: skip


class Typist:
    """A focused window, and what its program was told."""

    def __init__(self, guest: Guest, program: Program) -> None:
        self.guest = guest
        self.program = program
        self.window = program.window(100, 50, 200, 150, event_mask=INPUT, background_pixel=3)
        self.window.map()
        program.sync()
        guest.wait_event(Mapped, self.window)
        guest.perform(Focus(self.window.id, 9, 0, 0), Crossing(self.window.id, 7, 10, 10, 0, 0, 0, 0))
        self.wait(lambda events: any(e.type == X.FocusIn for e in events) and _has(events, X.EnterNotify))

    def wait(self, done: Callable[[list[Any]], bool]) -> list[Any]:
        return self.program.wait_events(done)

    def key(self, keycode: int, state: int = 0, *, down: bool = True, up: bool = True) -> None:
        if down:
            self.guest.perform(KeyPress(self.window.id, 2, 0, 0, state, keycode))
        if up:
            self.guest.perform(KeyPress(self.window.id, 3, 0, 0, state, keycode))

    def heard(self, count: int) -> list[tuple[str, int, int]]:
        """The next `count` key events: what, keycode, and the modifiers that the program saw."""
        events = self.wait(lambda events: len(_keys(events)) >= count)
        names = {X.KeyPress: "press", X.KeyRelease: "release"}
        return [(names[event.type], event.detail, event.state) for event in _keys(events)]


def _has(events: list[Any], kind: int) -> bool:
    return any(event.type == kind for event in events)


def _keys(events: list[Any]) -> list[Any]:
    return [event for event in events if event.type in (X.KeyPress, X.KeyRelease)]


def _of(events: list[Any], kind: int) -> list[Any]:
    return [event for event in events if event.type == kind]


@pytest.fixture
def typist(guest: Guest, program: Program) -> Any:
    made = Typist(guest, program)
    yield made
    for keycode, state in ((CAPS, LOCK), (NUM, MOD2)):
        if program.root.query_pointer().mask & state:
            made.key(keycode)
    guest.perform(ReleaseAll())
    made.window.destroy()
    program.sync()
    guest.wait_event(Destroyed, made.window)


def test_a_key_arrives(typist: Typist) -> None:
    typist.key(A)
    assert typist.heard(2) == [("press", A, 0), ("release", A, 0)]


def test_a_modifier_that_went_down_elsewhere_is_held_for_the_key(typist: Typist) -> None:
    typist.key(A, SHIFT | CONTROL)
    assert typist.heard(4)[-2:] == [("press", A, SHIFT | CONTROL), ("release", A, SHIFT | CONTROL)]


def test_a_modifier_that_came_up_elsewhere_is_released(typist: Typist) -> None:
    typist.key(SHIFT_L, up=False)
    typist.key(A, 0)
    assert typist.heard(4) == [
        ("press", SHIFT_L, 0), ("release", SHIFT_L, SHIFT), ("press", A, 0), ("release", A, 0)
    ]  # fmt: skip


def test_either_key_of_a_modifier_will_do(typist: Typist) -> None:
    typist.key(CONTROL_R, up=False)
    typist.key(A, CONTROL)
    assert typist.heard(3) == [("press", CONTROL_R, 0), ("press", A, CONTROL), ("release", A, CONTROL)]


def test_modifiers_pressed_here_arrive_once(typist: Typist) -> None:
    typist.key(SHIFT_L, up=False)
    typist.key(A, SHIFT)
    typist.key(SHIFT_L, SHIFT, down=False)
    assert typist.heard(4) == [
        ("press", SHIFT_L, 0), ("press", A, SHIFT), ("release", A, SHIFT), ("release", SHIFT_L, SHIFT)
    ]  # fmt: skip


def test_alt_and_altgr(typist: Typist) -> None:
    typist.key(A, MOD1)
    assert typist.heard(3)[1] == ("press", A, MOD1)
    typist.key(A, MOD5)
    assert ("press", A, MOD5) in typist.heard(4)


@pytest.mark.parametrize(("keycode", "bit"), [(CAPS, LOCK), (NUM, MOD2)])
def test_locks_are_in_step(typist: Typist, keycode: int, bit: int) -> None:
    typist.key(A, bit)
    typist.key(A, bit)
    typist.key(A, 0)
    presses = [(key, state) for what, key, state in typist.heard(10) if what == "press"]
    assert presses == [(keycode, 0), (A, bit), (A, bit), (keycode, bit), (A, 0)]


def test_a_lock_key_of_the_users_own_is_not_undone(typist: Typist) -> None:
    typist.key(CAPS, 0)
    typist.key(A, LOCK)
    typist.key(CAPS, LOCK)
    typist.key(A, 0)
    presses = [(key, state) for what, key, state in typist.heard(8) if what == "press"]
    assert presses == [(CAPS, 0), (A, LOCK), (CAPS, LOCK), (A, 0)]


def test_a_lock_that_a_program_in_the_vm_toggled_is_noticed(typist: Typist) -> None:
    typist.program.display.xtest_fake_input(X.KeyPress, CAPS)
    typist.program.display.xtest_fake_input(X.KeyRelease, CAPS)
    typist.program.sync()
    typist.guest.settle()
    typist.key(A, 0)
    assert ("press", A, 0) in typist.heard(6)


def test_a_changed_keymap_is_used(typist: Typist) -> None:
    """As `setxkbmap -option caps:ctrl_modifier` does, roughly: Caps Lock's key becomes a Control key."""
    display = typist.program.display
    before, sym = display.get_modifier_mapping(), display.get_keyboard_mapping(CAPS, 1)
    try:
        typist.key(A, 0)
        display.change_keyboard_mapping(CAPS, [(0xFFE3,) * len(sym[0])])
        display.set_modifier_mapping([[*row] if index != 1 else [0] * len(row) for index, row in enumerate(before)])
        typist.program.sync()
        typist.guest.settle()
        typist.key(A, LOCK)
        presses = [key for what, key, _ in typist.heard(4) if what == "press"]
        assert presses == [A, A]
    finally:
        display.change_keyboard_mapping(CAPS, sym)
        display.set_modifier_mapping(before)
        typist.program.sync()


@pytest.fixture
def two_layouts(guest_x: Any, typist: Typist) -> Any:
    """In the guest. The program is one that knows XKB, as all but the oldest do."""
    guest_x.run("setxkbmap", "us,de", "-option", "grp:alt_shift_toggle")
    xkb = typist.program.display.query_extension("XKEYBOARD").major_opcode
    typist.program.connection.ask(struct.pack("=BBHHH", xkb, 0, 2, 1, 0))
    typist.program.connection.send_raw(struct.pack("=BBHHBBBBBBxBH", xkb, 5, 4, 0x100, 0, 0, 1, 0, 0, 0, 0, 0), 1)
    typist.program.sync()
    typist.guest.settle()
    yield
    guest_x.run("setxkbmap", "us", "-option", "")


GROUP_2 = 1 << 13
Z = 29


def _symbols(typist: Typist, *groups: int) -> list[str]:
    """What the key that is z in one layout and y in another types, pressed in each of these layouts of the desktop."""
    for group in groups:
        typist.key(Z, group << 13)

    def presses(events: list[Any]) -> list[Any]:
        return [event for event in _of(events, X.KeyPress) if event.detail == Z]

    # Modifiers that were brought in step before may still come up.
    events = typist.wait(lambda events: len(presses(events)) >= len(groups))
    return ["z" if event.state & GROUP_2 else "y" for event in presses(events)]


def test_keys_are_read_in_the_desktops_layout(typist: Typist, two_layouts: None) -> None:  # noqa: ARG001
    assert _symbols(typist, 0, 1, 1, 0, 1) == ["y", "z", "z", "y", "z"]
    assert _symbols(typist, 0) == ["y"]


def test_keys_that_change_the_layout_do_not_change_it_twice(typist: Typist, two_layouts: None) -> None:  # noqa: ARG001
    """The user's Alt+Shift arrives in the guest as well, which then changes its layout by itself."""
    for before, after in ((0, 1), (1, 0)):
        typist.key(ALT_L, before << 13, up=False)
        typist.key(SHIFT_L, before << 13 | MOD1)
        typist.key(ALT_L, before << 13, down=False)
        typist.heard(4)
        assert _symbols(typist, after) == ["z" if after else "y"]


def test_the_users_layout_is_in_step_after_modifiers_that_were_held_for_a_key(
    typist: Typist,
    two_layouts: None,  # noqa: ARG001
) -> None:
    """Alt and Shift are pressed in the guest to match the state, which changes its layout."""
    assert _symbols(typist, 1, 0) == ["z", "y"]
    typist.key(A, MOD1 | SHIFT)
    typist.heard(2)
    assert "y" in _symbols(typist, 0)


def test_a_guest_has_layouts_of_its_own_while_the_desktop_has_one(typist: Typist, two_layouts: None) -> None:  # noqa: ARG001
    typist.key(ALT_L, up=False)
    typist.key(SHIFT_L, MOD1)
    typist.key(ALT_L, down=False)
    typist.heard(4)
    assert _symbols(typist, 0, 0) == ["z", "z"]


def test_a_program_that_has_keys_repeat_does_not_have_its_way(typist: Typist) -> None:
    display = typist.program.display
    display.change_keyboard_control(auto_repeat_mode=X.AutoRepeatModeOn)
    typist.program.sync()
    typist.guest.settle()
    typist.program.sync()
    assert not display.get_keyboard_control().global_auto_repeat


def test_a_key_that_repeats_on_the_desktop_repeats_here_and_only_so(typist: Typist) -> None:
    for _ in range(3):
        typist.key(A, up=False)
    typist.key(A, down=False)
    assert [what for what, _, _ in typist.heard(6)] == ["press", "release"] * 3
    assert not typist.program.display.get_keyboard_control().global_auto_repeat


def test_keys_released_elsewhere_are_released_here(typist: Typist) -> None:
    typist.key(A, up=False)
    typist.key(A + 1, up=False)
    bitmap = bytearray(32)
    bitmap[A >> 3] |= 1 << (A & 7)
    bitmap[200 >> 3] |= 1 << (200 & 7)
    typist.guest.perform(KeymapNotify(0, bytes(bitmap)))
    assert typist.heard(3)[2:] == [("release", A + 1, 0)]
    typist.guest.perform(KeymapNotify(0, bytes(32)))
    assert typist.heard(1) == [("release", A, 0)]


def test_a_click_survives_the_keymap_that_comes_with_the_focus(typist: Typist) -> None:
    typist.guest.perform(Button(typist.window.id, 4, 10, 10, 0, 1), KeymapNotify(0, bytes(32)))
    typist.guest.perform(Motion(typist.window.id, 20, 20, 0x100, 0))
    events = typist.wait(lambda events: any(e.type == X.MotionNotify and e.event_x == 20 for e in events))
    assert _of(events, X.MotionNotify)[-1].state & X.Button1Mask


@pytest.mark.parametrize("keycode", [0, 7, 256, 2**32 - 1])
def test_impossible_keys_are_ignored(typist: Typist, keycode: int) -> None:
    typist.key(keycode)
    typist.key(A)
    assert typist.heard(2)[0] == ("press", A, 0)


@pytest.mark.parametrize("button", [1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_buttons_and_wheels(typist: Typist, button: int) -> None:
    typist.guest.perform(Button(typist.window.id, 4, 33, 44, 0, button), Button(typist.window.id, 5, 33, 44, 0, button))
    events = typist.wait(lambda events: _has(events, X.ButtonRelease))
    for kind in (X.ButtonPress, X.ButtonRelease):
        (event,) = _of(events, kind)
        assert (event.detail, event.event_x, event.event_y) == (button, 33, 44)


def test_a_click_has_its_modifiers(typist: Typist) -> None:
    typist.guest.perform(Button(typist.window.id, 4, 1, 1, CONTROL, 1), Button(typist.window.id, 5, 1, 1, CONTROL, 1))
    events = typist.wait(lambda events: _has(events, X.ButtonRelease))
    assert _of(events, X.ButtonPress)[0].state & CONTROL


@pytest.mark.parametrize("button", [0, 256, 2**32 - 1])
def test_impossible_buttons_are_ignored(typist: Typist, button: int) -> None:
    typist.guest.perform(Button(typist.window.id, 4, 1, 1, 0, button), Button(typist.window.id, 4, 1, 1, 0, 1))
    events = typist.wait(lambda events: _has(events, X.ButtonPress))
    assert [event.detail for event in _of(events, X.ButtonPress)] == [1]


def test_the_pointer_moves(typist: Typist) -> None:
    for step in range(20):
        typist.guest.perform(Motion(typist.window.id, step, 2 * step, 0, 0))
    # The server may report a motion of its own before these, so their number does not tell that all are there.
    events = typist.wait(lambda events: any((e.event_x, e.event_y) == (19, 38) for e in _of(events, X.MotionNotify)))
    assert [(e.event_x, e.event_y) for e in _of(events, X.MotionNotify)][-20:] == [(n, 2 * n) for n in range(20)]


def test_the_pointer_is_where_the_window_was_just_moved(typist: Typist) -> None:
    typist.guest.perform(
        Configure(typist.window.id, 300, 200, 200, 150, 0),
        Motion(typist.window.id, 20, 30, 0, 0),
        Button(typist.window.id, 4, 20, 30, 0, 1),
    )
    events = typist.wait(lambda events: _has(events, X.ButtonPress))
    (press,) = _of(events, X.ButtonPress)
    assert (press.event_x, press.event_y, press.root_x, press.root_y) == (20, 30, 320, 230)


@pytest.mark.parametrize("position", [(-(2**31), 2**31 - 1), (99999, -99999)])
def test_far_away_positions_do_no_harm(typist: Typist, position: tuple[int, int]) -> None:
    for kind in (7, 8):
        typist.guest.perform(Crossing(typist.window.id, kind, *position, 0, 0, 0, 0))
    typist.guest.perform(Motion(typist.window.id, *position, 0, 0), Button(typist.window.id, 4, *position, 0, 1))
    typist.guest.perform(Button(typist.window.id, 5, *position, 0, 1), Crossing(typist.window.id, 7, 5, 5, 0, 0, 0, 0))
    typist.wait(lambda events: any(e.type == X.EnterNotify and (e.event_x, e.event_y) == (5, 5) for e in events))


def test_the_pointer_leaves_and_enters(typist: Typist) -> None:
    typist.guest.perform(Crossing(typist.window.id, 8, 60, 70, 0, 0, 0, 0))
    events = typist.wait(lambda events: _has(events, X.LeaveNotify))
    (leave,) = _of(events, X.LeaveNotify)
    assert (leave.event_x, leave.event_y) == (60, 70)
    typist.guest.perform(Crossing(typist.window.id, 7, 61, 71, 0, 0, 0, 0))
    events = typist.wait(lambda events: _has(events, X.EnterNotify))
    (enter,) = _of(events, X.EnterNotify)
    assert (enter.event_x, enter.event_y) == (61, 71)


def test_a_grab_on_the_desktop_is_no_leaving(typist: Typist) -> None:
    typist.guest.perform(Crossing(typist.window.id, 8, 60, 70, 0, 1, 0, 0), Motion(typist.window.id, 5, 6, 0, 0))
    events = typist.wait(lambda events: any(e.type == X.MotionNotify and e.event_x == 5 for e in events))
    assert not _has(events, X.LeaveNotify)


def test_a_click_hits_the_window_that_is_on_top_on_the_desktop(guest: Guest, program: Program) -> None:
    windows = [program.window(10, 10, 100, 100, event_mask=INPUT) for _ in range(2)]
    for window in windows:
        window.map()
    program.sync()
    guest.wait_event(Mapped, windows[1])
    for window in windows:
        guest.perform(
            Crossing(window.id, 7, 5, 5, 0, 0, 0, 0), Button(window.id, 4, 5, 5, 0, 1), Button(window.id, 5, 5, 5, 0, 1)
        )
        events = program.wait_events(lambda events: _has(events, X.ButtonRelease))
        assert [event.window.id for event in _of(events, X.ButtonPress)] == [window.id]


def two_at_one_place(guest: Guest, program: Program) -> tuple[Any, Any]:
    """The first has the pointer; then the program puts the second on top, which the desktop does not hear of."""
    first, second = (program.window(10, 10, 100, 100, event_mask=INPUT) for _ in range(2))
    for window in (first, second):
        window.map()
    program.sync()
    guest.wait_event(Mapped, second)
    guest.perform(Crossing(first.id, 7, 5, 5, 0, 0, 0, 0))
    program.wait_events(lambda events: any(e.type == X.EnterNotify and e.window.id == first.id for e in events))
    second.configure(stack_mode=X.Above)
    program.sync()
    return first, second


def test_a_click_hits_the_window_that_the_desktop_says_when_a_program_raised_another(
    guest: Guest, program: Program
) -> None:
    first, _ = two_at_one_place(guest, program)
    guest.perform(Button(first.id, 4, 5, 5, 0, 1), Button(first.id, 5, 5, 5, 0, 1))
    events = program.wait_events(lambda events: _has(events, X.ButtonRelease))
    assert [event.window.id for event in _of(events, X.ButtonPress)] == [first.id]


def test_hovering_hits_it_too(guest: Guest, program: Program) -> None:
    first, _ = two_at_one_place(guest, program)
    guest.settle()
    guest.perform(Motion(first.id, 7, 8, 0, 0))
    events = program.wait_events(lambda events: any(e.type == X.MotionNotify and e.event_x == 7 for e in events))
    assert [event.window.id for event in _of(events, X.MotionNotify)][-1] == first.id


def test_what_is_dragged_over_others_leaves_them_in_their_order(guest: Guest, program: Program) -> None:
    first, second = two_at_one_place(guest, program)
    guest.perform(Button(first.id, 4, 5, 5, 0, 1))
    program.wait_events(lambda events: _has(events, X.ButtonPress))
    second.configure(stack_mode=X.Above)
    program.sync()
    guest.settle()
    guest.perform(Motion(first.id, 7, 8, 0x100, 0))
    program.wait_events(lambda events: any(e.type == X.MotionNotify and e.event_x == 7 for e in events))
    children = [window.id for window in program.root.query_tree().children]
    assert children.index(second.id) > children.index(first.id)
    guest.perform(Button(first.id, 5, 7, 8, 0x100, 1))
    program.wait_events(lambda events: _has(events, X.ButtonRelease))


def test_a_drag_goes_on_outside_of_the_window(typist: Typist) -> None:
    window = typist.window.id
    typist.guest.perform(
        Button(window, 4, 10, 10, 0, 1), Crossing(window, 8, 250, 10, 0x100, 0, 0, 0), Motion(window, 260, 12, 0x100, 0)
    )
    events = typist.wait(lambda events: any(e.type == X.MotionNotify and e.event_x == 260 for e in events))
    assert _of(events, X.MotionNotify)[-1].state & X.Button1Mask
    typist.guest.perform(Button(window, 5, 261, 12, 0x100, 1))
    assert _of(typist.wait(lambda events: _has(events, X.ButtonRelease)), X.ButtonRelease)[0].event_x == 261


def test_everything_held_is_released_when_the_desktop_goes(typist: Typist) -> None:
    typist.key(A, up=False)
    typist.guest.perform(Button(typist.window.id, 4, 1, 1, 0, 3))
    typist.guest.perform(ReleaseAll())
    events = typist.wait(lambda events: _has(events, X.KeyRelease) and _has(events, X.ButtonRelease))
    assert _of(events, X.ButtonRelease)[0].detail == 3


def test_focus_goes_and_comes(typist: Typist) -> None:
    active = typist.program.atom("_NET_ACTIVE_WINDOW")

    def owner() -> int:
        return int(typist.program.root.get_full_property(active, Xatom.WINDOW).value[0])

    assert owner() == typist.window.id
    typist.guest.perform(Focus(typist.window.id, 10, 0, 0))
    typist.wait(lambda events: _has(events, X.FocusOut))
    assert owner() == 0
    typist.guest.perform(Focus(typist.window.id, 9, 0, 0))
    typist.wait(lambda events: _has(events, X.FocusIn))


def test_a_late_loss_of_focus_does_not_take_it_from_the_next_window(typist: Typist) -> None:
    other = typist.program.window(0, 0, 50, 50, event_mask=INPUT)
    other.map()
    typist.program.sync()
    typist.guest.wait_event(Mapped, other)
    typist.guest.perform(Focus(other.id, 9, 0, 0), Focus(typist.window.id, 10, 0, 0))
    typist.guest.perform(KeyPress(other.id, 2, 0, 0, 0, A), KeyPress(other.id, 3, 0, 0, 0, A))
    events = typist.wait(lambda events: _has(events, X.KeyPress))
    assert _of(events, X.KeyPress)[0].window.id == other.id


def test_a_program_that_takes_the_focus_itself_is_asked_to(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 50, event_mask=INPUT)
    take = program.atom("WM_TAKE_FOCUS")
    window.set_wm_protocols([take])
    window.set_wm_hints(flags=Xutil.InputHint, input=0)
    window.map()
    program.sync()
    guest.wait_event(Mapped, window)
    guest.perform(Focus(window.id, 9, 0, 0))
    events = program.wait_events(lambda events: _has(events, X.ClientMessage))
    assert _of(events, X.ClientMessage)[0].data[1][0] == take
    assert not _has(events, X.FocusIn)


def test_a_window_is_asked_to_close(guest: Guest, program: Program) -> None:
    window = program.window(0, 0, 50, 50)
    delete = program.atom("WM_DELETE_WINDOW")
    window.set_wm_protocols([delete])
    program.sync()
    guest.wait_event(Created, window)
    guest.perform(Close(window.id))
    events = program.wait_events(lambda events: _has(events, X.ClientMessage))
    assert _of(events, X.ClientMessage)[0].data[1][0] == delete


def test_a_program_that_cannot_be_asked_is_ended(guest: Guest, guest_x: Any) -> None:
    rude = Program(guest_x.display)
    window = rude.window(0, 0, 50, 50)
    rude.sync()
    guest.wait_event(Created, window)
    guest.perform(Close(window.id))
    guest.wait_event(Destroyed, window)
    rude.close()
