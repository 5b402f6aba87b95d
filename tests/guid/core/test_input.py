"""Who gets which key, and how much the pointer tells."""

from guid.core.host_events import ButtonEvent, CrossingEvent, FocusEvent, KeyEvent, MappedEvent, MotionEvent
from guid.core.keyboard import RELEASE_SECONDS
from guid.core.trusted import WindowId
from guiproto.messages import Button, Crossing, Destroy, Focus, KeymapNotify, KeyPress, Motion, Unmap
from tests.guid.core.playbook import WINDOW, Playbook, tell

OTHER = WindowId(2)
NO_KEYS = bytes(32)
SHIFT_AND_BUTTON1 = 0x101
LAYOUT_2 = 0x2000


def keys(*codes: int) -> bytes:
    bits = bytearray(32)
    for code in codes:
        bits[code // 8] |= 1 << code % 8
    return bytes(bits)


def key(code: int, *, pressed: bool = True) -> KeyEvent:
    return KeyEvent(WINDOW, pressed, code, 5, 6, 4)


def told_key(code: int, kind: int) -> KeyPress:
    return KeyPress(WINDOW, kind, 5, 6, 4, code)


def two_windows() -> Playbook:
    return Playbook().with_window().with_window(OTHER)


def test_a_key_goes_down_and_up() -> None:
    book = Playbook().with_window()
    book.host(key(38)).does(tell(told_key(38, 2)))
    book.host(key(38, pressed=False)).does(tell(told_key(38, 3)))


def test_a_release_whose_press_went_elsewhere_is_not_told() -> None:
    Playbook().with_window().host(key(38, pressed=False)).does()


def test_a_repeated_key_is_told_as_often_as_it_comes() -> None:
    book = Playbook().with_window()
    book.host(key(38), key(38)).does(tell(told_key(38, 2)), tell(told_key(38, 2)))


def test_focus_in_tells_the_keys_first_and_only_those_that_the_vm_got() -> None:
    book = Playbook().with_window()
    book.host(key(38), key(39))
    book.host(FocusEvent(WINDOW, True, 3, keys(38, 40, 41))).does(
        tell(KeymapNotify(0, keys(38))), tell(Focus(WINDOW, 9, 0, 3))
    )


def test_focus_out() -> None:
    book = Playbook().with_window()
    book.host(FocusEvent(WINDOW, False, 3, NO_KEYS)).does(tell(Focus(WINDOW, 10, 0, 3)))


def test_a_key_held_while_the_user_turns_away_goes_up_in_the_vm() -> None:
    book = Playbook().with_window()
    book.host(FocusEvent(WINDOW, True, 3, NO_KEYS), key(38), FocusEvent(WINDOW, False, 3, NO_KEYS))
    book.at(50.0).does()
    assert book.session.deadline() == 50.0 + RELEASE_SECONDS
    book.at(50.0 + RELEASE_SECONDS).does(tell(KeymapNotify(0, NO_KEYS)))
    assert book.session.deadline() is None
    book.host(key(38, pressed=False)).does()


def test_a_key_held_while_the_focus_moves_within_the_vm_stays_down() -> None:
    book = two_windows()
    book.host(FocusEvent(WINDOW, True, 3, NO_KEYS), key(50), FocusEvent(WINDOW, False, 3, NO_KEYS))
    book.at(50.0).does()
    book.host(FocusEvent(OTHER, True, 3, keys(50))).does(tell(KeymapNotify(0, keys(50))), tell(Focus(OTHER, 9, 0, 3)))
    book.at(60.0).does()


def test_a_key_held_over_a_window_that_goes_away_goes_up() -> None:
    for message in (Unmap(WINDOW), Destroy(WINDOW)):
        book = Playbook().with_window()
        book.host(FocusEvent(WINDOW, True, 3, NO_KEYS), key(38))
        book.agent(message)
        book.at(0.0)
        book.at(1.0).does(tell(KeymapNotify(0, NO_KEYS)))


def test_a_key_held_while_its_window_is_minimised_goes_up() -> None:
    book = Playbook().with_window()
    book.host(FocusEvent(WINDOW, True, 3, NO_KEYS), key(38), MappedEvent(WINDOW, False))
    book.at(0.0)
    book.at(1.0).does(tell(KeymapNotify(0, NO_KEYS)))


def test_entering_never_tells_keys() -> None:
    book = Playbook().with_window()
    book.host(key(38))
    for focus in (False, True):
        event = CrossingEvent(WINDOW, True, 1, 2, 0, 0, 3, focus)
        book.host(event).does(tell(Crossing(WINDOW, 7, 1, 2, 0, 0, 3, int(focus))))


def test_a_passing_pointer_tells_buttons_but_no_modifiers_and_no_layout() -> None:
    book = Playbook().with_window()
    state = SHIFT_AND_BUTTON1 | LAYOUT_2
    book.host(
        CrossingEvent(WINDOW, True, 1, 2, state, 0, 3, False),
        MotionEvent(WINDOW, 3, 4, state),
        CrossingEvent(WINDOW, False, 5, 6, state, 0, 3, False),
    ).does(
        tell(Crossing(WINDOW, 7, 1, 2, 0x100, 0, 3, 0)),
        tell(Motion(WINDOW, 3, 4, 0x100, 0)),
        tell(Crossing(WINDOW, 8, 5, 6, 0x100, 0, 3, 0)),
    )


def test_a_pointer_tells_modifiers_while_any_window_of_the_vm_has_the_focus() -> None:
    book = two_windows()
    book.host(FocusEvent(OTHER, True, 3, NO_KEYS))
    book.host(MotionEvent(WINDOW, 3, 4, SHIFT_AND_BUTTON1)).does(tell(Motion(WINDOW, 3, 4, SHIFT_AND_BUTTON1, 0)))
    book.host(FocusEvent(OTHER, False, 3, NO_KEYS))
    book.host(MotionEvent(WINDOW, 3, 4, SHIFT_AND_BUTTON1)).does(tell(Motion(WINDOW, 3, 4, 0x100, 0)))


def test_where_the_pointer_has_the_keyboard_it_tells_modifiers_until_it_leaves() -> None:
    book = Playbook().with_window()
    book.host(CrossingEvent(WINDOW, True, 1, 2, 1, 0, 3, True), key(38))
    book.host(MotionEvent(WINDOW, 3, 4, 1)).does(tell(Motion(WINDOW, 3, 4, 1, 0)))
    book.host(CrossingEvent(WINDOW, False, 1, 2, 1, 0, 3, True))
    book.host(MotionEvent(WINDOW, 3, 4, 1)).does(tell(Motion(WINDOW, 3, 4, 0, 0)))
    book.at(0.0)
    book.at(1.0).does(tell(KeymapNotify(0, NO_KEYS)))


def test_focus_that_follows_the_pointer_ends_when_it_leaves() -> None:
    book = Playbook().with_window()
    book.host(FocusEvent(WINDOW, True, 5, NO_KEYS), CrossingEvent(WINDOW, False, 1, 2, 1, 0, 3, True))
    book.host(MotionEvent(WINDOW, 3, 4, 1)).does(tell(Motion(WINDOW, 3, 4, 0, 0)))


def test_the_pointer_leaving_a_window_with_the_focus_takes_nothing_away() -> None:
    book = Playbook().with_window()
    book.host(FocusEvent(WINDOW, True, 3, NO_KEYS), CrossingEvent(WINDOW, True, 1, 2, 1, 0, 3, True), key(38))
    book.host(CrossingEvent(WINDOW, False, 1, 2, 1, 0, 3, True)).does(tell(Crossing(WINDOW, 8, 1, 2, 1, 0, 3, 1)))
    assert book.session.deadline() is None


def test_a_click_is_told_whole() -> None:
    book = Playbook().with_window()
    book.host(ButtonEvent(WINDOW, True, 9, -1, 6, 5), ButtonEvent(WINDOW, False, 9, -1, 6, 5)).does(
        tell(Button(WINDOW, 4, -1, 6, 5, 9)), tell(Button(WINDOW, 5, -1, 6, 5, 9))
    )
