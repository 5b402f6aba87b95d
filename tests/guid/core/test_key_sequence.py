"""Key sequences are written as in Qubes, and recognised by the modifiers that are held, whatever the locks are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.core.key_sequence import KeySequence

SHIFT, LOCK, CONTROL, MOD1, MOD2, MOD3, MOD4, MOD5 = (1 << bit for bit in range(8))


@pytest.mark.parametrize(
    ("text", "sequence"),
    [
        ("Ctrl-Shift-c", KeySequence(CONTROL | SHIFT, "c")),
        ("Shift-Ctrl-c", KeySequence(CONTROL | SHIFT, "c")),
        ("Mod4-Insert", KeySequence(MOD4, "Insert")),
        ("Alt-Mod3-v", KeySequence(MOD1 | MOD3, "v")),
        ("Mod1-Mod2-v", KeySequence(MOD1 | MOD2, "v")),
        ("XF86Copy", KeySequence(0, "XF86Copy")),
        ("none", None),
        ("disable", None),
    ],
)
def test_what_users_write(text: str, sequence: KeySequence | None) -> None:
    assert KeySequence.parse(text) == sequence


@pytest.mark.parametrize("text", ["", "-", "Ctrl-", "ctrl-c", "Control-c", "Ctrl--c", "Ctrl-Hyper-c"])
def test_what_is_none_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="Ctrl-Shift-c"):
        KeySequence.parse(text)


@given(st.text(max_size=12))
def test_any_text_is_a_sequence_none_or_an_error(text: str) -> None:
    try:
        sequence = KeySequence.parse(text)
    except ValueError:
        return
    assert sequence is None or text.endswith(sequence.key)


@given(st.integers(0, 0x7FFF))
def test_exactly_its_modifiers_and_any_lock(state: int) -> None:
    held = state & (SHIFT | CONTROL | MOD1 | MOD3 | MOD4) == CONTROL | SHIFT
    assert KeySequence(CONTROL | SHIFT, "c").held(state) == held
    with_mod2 = held and bool(state & MOD2)
    assert KeySequence(CONTROL | SHIFT | MOD2, "c").held(state) == with_mod2
