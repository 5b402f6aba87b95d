"""A VM is told of no key that it did not get."""

from hypothesis import given
from hypothesis import strategies as st

from guid.core.keyboard import NO_KEYS, RELEASE_SECONDS, Keyboard

KEYS = st.frozensets(st.integers(8, 255), max_size=12)


def bitmap(keys: frozenset[int] | set[int]) -> bytes:
    bits = bytearray(32)
    for key in keys:
        bits[key // 8] |= 1 << key % 8
    return bytes(bits)


@given(KEYS, KEYS, KEYS)
def test_the_bitmap_is_what_is_down_and_was_told(
    pressed: frozenset[int], released: frozenset[int], down: frozenset[int]
) -> None:
    keyboard = Keyboard()
    for key in pressed:
        keyboard.pressed(key)
    for key in released:
        assert keyboard.released(key) == (key in pressed)
        assert not keyboard.released(key)
    assert keyboard.gained(bitmap(down)) == bitmap((pressed - released) & down)
    for key in pressed - down:
        assert not keyboard.released(key), "the VM has been told that it is up"


def test_keys_go_up_a_moment_after_the_keyboard_is_lost() -> None:
    keyboard = Keyboard()
    keyboard.pressed(38)
    keyboard.lost()
    assert not keyboard.tick(10.0)
    assert keyboard.deadline() == 10.0 + RELEASE_SECONDS
    assert keyboard.tick(10.0 + RELEASE_SECONDS)
    assert keyboard.deadline() is None
    assert keyboard.gained(bitmap({38})) == NO_KEYS


def test_keys_stay_down_when_another_window_of_the_vm_gets_the_keyboard() -> None:
    keyboard = Keyboard()
    keyboard.pressed(38)
    keyboard.lost()
    keyboard.tick(10.0)
    assert keyboard.gained(bitmap({38, 40})) == bitmap({38})
    assert keyboard.deadline() is None
    assert not keyboard.tick(99.0)


def test_nothing_is_pending_when_no_key_is_down() -> None:
    keyboard = Keyboard()
    keyboard.lost()
    assert keyboard.deadline() is None
