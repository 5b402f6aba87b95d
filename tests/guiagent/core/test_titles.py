"""Text fields are always of their size, valid UTF-8, and ended by a NUL."""

from hypothesis import given
from hypothesis import strategies as st

from guiagent.core.titles import class_field, title_field


def test_a_short_title_is_padded() -> None:
    assert title_field("xterm") == b"xterm" + bytes(123)


def test_a_long_title_ends_in_an_ellipsis() -> None:
    field = title_field("x" * 200)
    assert field.rstrip(b"\0").decode() == "x" * 124 + "…"


def test_a_title_of_127_bytes_is_whole() -> None:
    assert title_field("y" * 127) == b"y" * 127 + b"\0"


def test_a_title_is_cut_between_characters() -> None:
    text = title_field("€" * 50).rstrip(b"\0").decode()
    assert text == "€" * 41 + "…"


def test_a_title_ends_at_its_first_nul() -> None:
    assert title_field("a\0b").rstrip(b"\0") == b"a"


@given(st.text())
def test_any_text_fits(text: str) -> None:
    title, class_ = title_field(text), class_field(text)
    assert len(title) == 128
    assert len(class_) == 64
    for field in (title, class_):
        assert field.endswith(b"\0")
        field.rstrip(b"\0").decode("utf-8")
