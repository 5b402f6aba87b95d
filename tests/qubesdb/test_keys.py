"""What the GUI's entries may hold, and that nothing else comes through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubesdb.keys import DEFAULT_USER, GUI_DOMAIN, GUI_ENABLED, KEYBOARD_LAYOUT, VIDEORAM_MIN, Layout


@pytest.mark.parametrize(
    ("raw", "layout"),
    [
        (b"", Layout("us")),
        (b"de", Layout("de")),
        (b"de+nodeadkeys", Layout("de", "nodeadkeys")),
        (b"pl++ctrl:nocaps", Layout("pl", "", "ctrl:nocaps")),
        (b"us,de+,neo+grp:alt_shift_toggle", Layout("us,de", ",neo", "grp:alt_shift_toggle")),
    ],
)
def test_layouts(raw: bytes, layout: Layout) -> None:
    assert KEYBOARD_LAYOUT.parse(raw) == layout


@pytest.mark.parametrize(
    "raw", [b"-x", b"de -print", b"de\n", b"a+b+c+d", b"\xff", b"de+$(x)", b"+de", b"de++-option", b"x" * 200]
)
def test_what_is_no_layout(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"^its? "):
        KEYBOARD_LAYOUT.parse(raw)


@given(st.binary(max_size=300))
def test_no_part_of_a_layout_can_be_an_option_of_a_program(raw: bytes) -> None:
    try:
        layout = KEYBOARD_LAYOUT.parse(raw)
    except ValueError:
        return
    for part in (layout.layout, layout.variant, layout.options):
        assert not part.startswith("-")
        assert part.isascii()
        assert part.isprintable()


def test_numbers_and_flags_and_users() -> None:
    assert GUI_DOMAIN.parse(b"65535") == 65535
    assert VIDEORAM_MIN.parse(b"0") == 0
    assert GUI_ENABLED.parse(b"True") is GUI_ENABLED.parse(b"1") is True
    assert GUI_ENABLED.parse(b"False") is GUI_ENABLED.parse(b"0") is False
    assert DEFAULT_USER.parse(b"user") == "user"


@pytest.mark.parametrize("raw", [b"65536", b"-1", b"+1", b" 1", b"01", b"", b"1\n", b"\xd9\xa1"])
def test_what_is_no_domain(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"^it is"):
        GUI_DOMAIN.parse(raw)


@pytest.mark.parametrize(
    ("key", "raw"), [(GUI_ENABLED, b"yes"), (GUI_ENABLED, b""), (DEFAULT_USER, b"../x"), (DEFAULT_USER, b"-x")]
)
def test_what_is_neither_a_flag_nor_a_user(key: object, raw: bytes) -> None:
    assert key in (GUI_ENABLED, DEFAULT_USER)
    with pytest.raises(ValueError, match="it is"):
        (GUI_ENABLED if key is GUI_ENABLED else DEFAULT_USER).parse(raw)
