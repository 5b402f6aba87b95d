"""Requests are cut the same way however they arrive, and nothing but requests comes out of any bytes."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guiagent.sources.xwayland.wire import Inbox, Request, event
from guiproto.errors import PeerMisbehaved


def request(target: int, opcode: int, body: bytes = b"") -> bytes:
    return struct.pack("=II", target, (8 + len(body)) << 16 | opcode) + body


BODIES = st.binary(max_size=64).map(lambda data: data[: len(data) // 4 * 4])
REQUESTS = st.lists(
    st.builds(Request, st.integers(0, 2**32 - 1), st.integers(0, 0xFFFF), BODIES)
)  # fmt: skip


@given(REQUESTS, st.data())
def test_requests_are_found_in_whatever_pieces_they_come(requests: list[Request], data: st.DataObject) -> None:
    stream = b"".join(request(*each) for each in requests)
    inbox, found, at = Inbox(), list[Request](), 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        found += inbox.feed(stream[at : at + size], [])
        at += size
    assert found == requests


@given(st.binary(max_size=200))
def test_any_bytes_are_requests_or_refused(noise: bytes) -> None:
    whole, pieces = Inbox(), Inbox()

    def outcome(inbox: Inbox, parts: list[bytes]) -> tuple[list[Request], bool]:
        found: list[Request] = []
        try:
            for part in parts:
                found.extend(inbox.feed(part, []))
        except PeerMisbehaved:
            return found, True
        return found, False

    assert outcome(whole, [noise]) == outcome(pieces, [bytes((byte,)) for byte in noise])


@given(st.binary(max_size=64), st.integers(0, 64))
def test_any_body_has_words_and_text_or_is_refused(body: bytes, at: int) -> None:
    each = Request(1, 0, body)
    try:
        text, end = each.text(at)
        assert isinstance(text, str)
        assert at < end <= len(body) + 3
    except PeerMisbehaved:
        pass
    try:
        assert len(each.words(3)) == 3
    except PeerMisbehaved:
        assert len(body) < 12


def test_events_are_as_the_protocol_has_them() -> None:
    assert event(7, 2) == struct.pack("=II", 7, 8 << 16 | 2)
    assert event(7, 2, -1, "abc") == struct.pack("=IIiI4s", 7, 20 << 16 | 2, -1, 4, b"abc\0")
    assert event(7, 2, "abcd") == struct.pack("=III8s", 7, 20 << 16 | 2, 5, b"abcd\0\0\0\0")


@pytest.mark.parametrize("size", [0, 4, 7, 10])
def test_a_size_that_no_message_has_is_refused(size: int) -> None:
    with pytest.raises(PeerMisbehaved, match=f"of {size} bytes"):
        list(Inbox().feed(struct.pack("=II", 1, size << 16), []))


def test_descriptors_are_taken_in_order_and_must_be_there() -> None:
    inbox = Inbox()
    fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(2)]
    list(inbox.feed(b"", fds))
    assert [inbox.take_fd(), inbox.take_fd()] == fds
    for fd in fds:
        os.close(fd)
    with pytest.raises(PeerMisbehaved, match="descriptor is missing"):
        inbox.take_fd()
