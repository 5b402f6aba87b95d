"""Qubes DB's bytes: the layout of the existing header, and nothing but messages or the one error from any bytes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guiproto.errors import PeerMisbehaved
from qubesdb.wire import HEADER, MAX_DATA, Decoder, Kind, Message, encode, is_path

PATHS = st.from_regex(r"/[A-Za-z0-9_./:@-]{0,60}[a-z]", fullmatch=True)
VALUES = st.binary(max_size=MAX_DATA).map(lambda data: data.replace(b"\0", b"\1"))
MESSAGES = st.one_of(
    st.builds(Message, st.sampled_from([Kind.WRITE, Kind.VALUE, Kind.ENTRY]), PATHS, VALUES),
    st.builds(
        Message, st.sampled_from([k for k in Kind if k not in (Kind.WRITE, Kind.VALUE, Kind.ENTRY)]), PATHS
    ),
    st.builds(Message, st.sampled_from([Kind.RM, Kind.WATCH, Kind.LIST]), PATHS.map(lambda p: p[:-1] + "/")),
    st.builds(Message, st.sampled_from([Kind.MULTIREAD, Kind.LIST, Kind.ENTRY, Kind.PATH]), st.just("")),
)  # fmt: skip
# Headers that are nearly right find more than bytes at random, which fail at the first byte.
NEARLY = st.builds(
    lambda kind, path, length, data: struct.pack("<B64s3sI", kind, path, b"\xff\xff\xff", length) + data,
    st.integers(0, 15), st.binary(max_size=64) | PATHS.map(str.encode), st.integers(0, 4000), st.binary(max_size=80),
)  # fmt: skip


def decode(*pieces: bytes) -> tuple[list[Message], str | None]:
    """Every message, and the rule that the bytes broke in the end."""
    decoder = Decoder()
    messages = []
    for piece in pieces:
        decoder.feed(piece)
        try:
            while (message := decoder.next()) is not None:
                messages.append(message)
        except PeerMisbehaved as error:
            return messages, str(error)
    return messages, None


def test_the_header_is_that_of_the_existing_daemon() -> None:
    data = encode(Message(Kind.WRITE, "/a", b"xy"))
    assert HEADER.size == 72
    assert data == b"\1/a" + bytes(62) + bytes(3) + b"\2\0\0\0" + b"xy"


def test_a_record_of_the_longest_value_fits_one_ring_of_a_page() -> None:
    assert HEADER.size + MAX_DATA < 4096


@given(st.lists(MESSAGES, max_size=8))
def test_what_was_encoded_is_decoded(messages: list[Message]) -> None:
    assert decode(b"".join(map(encode, messages))) == (messages, None)


@given(st.one_of(st.binary(max_size=400), st.lists(MESSAGES.map(encode) | NEARLY, max_size=5).map(b"".join)))
def test_any_bytes_are_messages_or_the_one_error_however_they_are_cut(data: bytes) -> None:
    at_once = decode(data)
    assert at_once == decode(*(data[at : at + 1] for at in range(len(data))))
    for message in at_once[0]:
        assert message.path == "" or is_path(message.path)
        assert 0 not in message.data
        assert len(message.data) <= MAX_DATA


@pytest.mark.parametrize(
    ("header", "rule"),
    [
        ((14, b"/a", 0), "kind"),
        ((1, b"/a\x1b", 0), "path"),
        ((1, b"-a", 0), "path"),
        ((1, b"a" * 64, 0), "path"),
        ((0, b"", 0), "path"),
        ((0, b"/a/", 0), "path"),
        ((1, b"/a/", 1), "path"),
        ((1, b"/a", MAX_DATA + 1), "length"),
        ((0, b"/a", 1), "length"),
        ((9, b"/a", 1), "length"),
        ((3, b"/a", 0xFFFFFFFF), "length"),
    ],
)
def test_a_header_that_is_none_is_refused_before_its_data_comes(header: tuple[int, bytes, int], rule: str) -> None:
    decoder = Decoder()
    decoder.feed(HEADER.pack(*header))
    with pytest.raises(PeerMisbehaved, match=rule):
        decoder.next()


def test_a_value_with_a_nul_is_refused() -> None:
    messages, error = decode(HEADER.pack(1, b"/a", 3) + b"x\0y")
    assert not messages
    assert error == "Qubes DB value: a NUL at byte 1"


def test_bytes_behind_the_end_of_a_path_mean_nothing() -> None:
    assert decode(HEADER.pack(0, b"/a\0\xff/rest", 0)) == ([Message(Kind.READ, "/a")], None)


@given(st.binary(min_size=1, max_size=63))
def test_an_error_never_repeats_what_the_peer_wrote(raw: bytes) -> None:
    _, error = decode(HEADER.pack(1, b"\x1bQQ" + raw, 0))
    assert error is not None
    assert "QQ" not in error
    assert error.isprintable()
