"""Titles and classes: nothing that could mislead a reader or a font engine is left."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guid.core.text import ascii_text, ascii_title, utf8_title


@given(st.binary(max_size=128))
def test_ascii_is_printable_ascii_and_ends_at_the_first_nul(data: bytes) -> None:
    text = ascii_text(data)
    assert len(text) == len(data.split(b"\0")[0])
    assert all(0x20 <= ord(c) <= 0x7E for c in text)


def test_other_bytes_become_underscores_one_by_one() -> None:
    assert ascii_text("na\u00efve\n\x7f".encode()) == "na__ve__"


def test_an_ellipsis_at_the_end_becomes_three_dots() -> None:
    assert ascii_title("cut\u2026".encode()) == "cut..."
    assert ascii_title("cut\u2026".encode() + b"\0junk") == "cut..."
    assert ascii_title("a\u2026b".encode()) == "a___b"


@given(st.one_of(st.binary(max_size=128), st.text(max_size=40).map(str.encode)))
@example("\u202eevil\u200b\u2066\ufeff\x85\x1b[0m".encode())
@example("\U00100000\U000e0041".encode())
def test_utf8_has_no_invisible_or_reordering_character(data: bytes) -> None:
    text = utf8_title(data)
    assert len(text) <= len(data)
    assert not {unicodedata.category(c) for c in text} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            "Gr\u00fc\u00dfe, \u65e5\u672c\u8a9e \u05e9\u05dc\u05d5\u05dd".encode(),
            "Gr\u00fc\u00dfe, \u65e5\u672c\u8a9e \u05e9\u05dc\u05d5\u05dd",
        ),
        ("\u202eabc\u202c".encode(), "abc"),
        ("a\u200bb\u2060c\ufeffd".encode(), "abcd"),
        ("a\u3164b\ufe0fc".encode(), "abc"),
        (b"bad \xff\xfe byte", "bad __ byte"),
        ("cut in tw\u00f6".encode()[:-1], "cut in tw"),
        (b"end\0more", "end"),
    ],
)
def test_utf8(data: bytes, text: str) -> None:
    assert utf8_title(data) == text
