"""Text on its way to and from programs: harmless, and no longer than the other side takes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guiagent.core.clipboard_text import fitting, harmless, most


@given(st.text())
def test_text_without_control_characters_stays_as_it_is(text: str) -> None:
    plain = "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs"))
    assert harmless(plain.encode()) == plain


@given(st.binary())
def test_whatever_comes_no_control_character_is_left(data: bytes) -> None:
    left = harmless(data).replace("\r\n", "")
    assert {c for c in left if unicodedata.category(c) == "Cc"} <= {"\t", "\n"}


@pytest.mark.parametrize("text", ["a\tb\n", "a\r\nb\r\n", "\r\n\r\n"])
def test_tabs_and_ends_of_lines_stay(text: str) -> None:
    assert harmless(text.encode()) == text


@pytest.mark.parametrize("text", ["\x1b[200~", "a\rb", "\x00", "\x7f", "\x9b", "\r\r\n"])
def test_what_a_terminal_takes_for_a_key_does_not(text: str) -> None:
    assert "\ufffd" in harmless(text.encode())


@pytest.mark.parametrize(("minor", "limit", "sent"), [(4, 65_000, 65_000), (7, 65_000, 65_000), (8, 256_000, 256_001)])
def test_limits(minor: int, limit: int, sent: int) -> None:
    assert most(minor) == limit
    assert fitting(b"x" * limit, minor) == b"x" * limit
    assert fitting(b"x" * (limit + 1), minor) == b"x" * sent


@given(st.integers(0, 3), st.sampled_from(["é", "東", "🦉"]))
def test_no_character_is_cut(shift: int, character: str) -> None:
    text = (b"x" * shift + character.encode() * 40_000)[:65_001]
    cut = fitting(text, 7)
    assert len(text) - 4 <= len(cut) <= 65_000
    assert cut == cut.decode().encode()


@given(st.binary(min_size=1, max_size=9))
def test_what_is_no_text_is_cut_as_well(data: bytes) -> None:
    assert 64_997 <= len(fitting(data * 65_001, 7)) <= 65_000
