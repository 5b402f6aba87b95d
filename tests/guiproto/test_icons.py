"""The stream of icons: for any bytes, whole or in pieces, the same icons and then the same error or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guiproto.errors import PeerMisbehaved
from guiproto.icons import LINE_BYTES, MAX_ICON_BYTES, MAX_ICON_SIDE, IconDecoder, WindowIcon


def outcome(*pieces: bytes) -> tuple[list[WindowIcon], str]:
    """The icons in the stream, and the rule that it breaks."""
    decoder, found = IconDecoder(), list[WindowIcon]()
    try:
        for piece in pieces:
            decoder.feed(piece)
            found += decoder.icons()
    except PeerMisbehaved as error:
        return found, error.rule
    return found, ""


@st.composite
def window_icons(draw: st.DrawFn) -> WindowIcon:
    width, height = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    size = 4 * width * height
    return WindowIcon(draw(st.integers(0, 2**32 - 1)), width, height, draw(st.binary(min_size=size, max_size=size)))


@given(st.lists(window_icons(), max_size=4), st.integers(1, 50))
def test_what_is_encoded_is_decoded(icons: list[WindowIcon], step: int) -> None:
    stream = b"".join(icon.encode() for icon in icons)
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    assert outcome(*pieces) == outcome(stream) == (icons, "")


NEARLY = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b"1\n", b"7\n1 1\n", b"2 2\n", b"\n", b" ", b"-1\n", b"1 1\n1 1\n", b"0" * 31]),
        window_icons().map(WindowIcon.encode),
    )
).map(b"".join)


@given(NEARLY)
def test_any_bytes_whole_or_byte_by_byte(stream: bytes) -> None:
    bytewise = outcome(*(bytes((byte,)) for byte in stream))
    assert outcome(stream) == bytewise
    icons, rule = bytewise
    assert rule in ("", "icon window", "icon size")
    for icon in icons:
        assert 1 <= icon.width <= MAX_ICON_SIDE
        assert 1 <= icon.height <= MAX_ICON_SIDE
        assert len(icon.rgba) == 4 * icon.width * icon.height
        assert 0 <= icon.window < 2**32


@pytest.mark.parametrize(
    ("stream", "rule"),
    [
        (b"x\n", "icon window"),
        (b"\n", "icon window"),
        (b"-1\n", "icon window"),
        (b"+1\n", "icon window"),
        (b" 1\n", "icon window"),
        (b"1_0\n", "icon window"),
        ("\u0661\n".encode(), "icon window"),
        (b"4294967296\n", "icon window"),
        (b"0" * LINE_BYTES, "icon window"),
        (b"1\nx\n", "icon size"),
        (b"1\n1\n", "icon size"),
        (b"1\n1  1\n", "icon size"),
        (b"1\n1 1 1\n", "icon size"),
        (b"1\n-1 1\n", "icon size"),
        (b"1\n0 1\n", "icon size"),
        (b"1\n1 0\n", "icon size"),
        (b"1\n1025 1\n", "icon size"),
        (b"1\n1 1025\n", "icon size"),
        (b"1\n" + b"1" * LINE_BYTES, "icon size"),
    ],
)
def test_what_is_refused(stream: bytes, rule: str) -> None:
    assert outcome(stream) == ([], rule)
    assert outcome(WindowIcon(1, 1, 1, b"rgba").encode() + stream) == ([WindowIcon(1, 1, 1, b"rgba")], rule)


def test_an_error_repeats_nothing_of_the_peers() -> None:
    decoder = IconDecoder()
    decoder.feed(b"secret\n")
    with pytest.raises(PeerMisbehaved) as caught:
        list(decoder.icons())
    assert "secret" not in str(caught.value)


def test_the_largest_is_taken() -> None:
    icon = WindowIcon(2**32 - 1, MAX_ICON_SIDE, MAX_ICON_SIDE, bytes(MAX_ICON_BYTES))
    assert outcome(icon.encode()) == ([icon], "")
