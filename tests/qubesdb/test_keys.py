"""What the GUI's entries may hold, and that nothing else comes through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qubesdb.keys import (
    DEFAULT_USER,
    GUI_DOMAIN,
    GUI_ENABLED,
    KEYBOARD_LAYOUT,
    MONITORS,
    VIDEORAM_MIN,
    Layout,
    Monitor,
)


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
    assert KEYBOARD_LAYOUT.parse(str(layout).encode()) == layout


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


@pytest.mark.parametrize(
    ("raw", "monitors"),
    [
        (b"1920 1080 0 0", (Monitor(1920, 1080, 0, 0),)),
        (b"1920 1080 0 0\n", (Monitor(1920, 1080, 0, 0),)),
        (b"800 600 0 0 200 150\n1 1 800 0", (Monitor(800, 600, 0, 0, 200, 150), Monitor(1, 1, 800, 0))),
    ],
)
def test_monitors(raw: bytes, monitors: tuple[Monitor, ...]) -> None:
    assert MONITORS.parse(raw) == monitors
    assert MONITORS.parse("\n".join(map(str, monitors)).encode()) == monitors


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n", b"1 1 0", b"0 1 0 0", b"1 1 -1 0", b"1 1 0 0 5", b"1  1 0 0", b"40000 1 0 0", b"1 1 0 0\n" * 17, b"x"],
)
def test_what_are_no_monitors(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"^its? "):
        MONITORS.parse(raw)


@given(st.binary(max_size=100))
def test_whatever_monitors_are_is_bounded(raw: bytes) -> None:
    try:
        monitors = MONITORS.parse(raw)
    except ValueError:
        return
    for monitor in monitors:
        assert 0 < monitor.width < 1 << 15
        assert 0 < monitor.height < 1 << 15
        assert 0 <= monitor.x < 1 << 15
        assert 0 <= monitor.y < 1 << 15


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
