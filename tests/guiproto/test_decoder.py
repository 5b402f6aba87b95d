"""Whatever arrives, in whatever pieces: the same messages and the same error, bounded memory, linear work."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import guiproto.decoder
from guiproto import limits
from guiproto import messages as m
from guiproto.decoder import Decoder
from guiproto.errors import PeerMisbehaved
from guiproto.messages import DamageBatch, Direction, Message
from tests.guiproto.wire import (
    SAMPLES,
    TO_AGENT,
    TO_DAEMON,
    WINDOW,
    bytewise,
    chunked,
    damage_bytes,
    decode,
    message_bytes,
    plain,
    stream_bytes,
    u32,
    wire,
)

FLOWS = [TO_DAEMON, TO_AGENT]
SHMIMAGE = wire(136, "iiII", 1, 2, 3, 4)
UNMAP = wire(133, "")
HEADER = 12


def header(number: int, length: int, window: int = WINDOW) -> bytes:
    return struct.pack("<III", number, window, length)


# --- what is understood


@pytest.mark.parametrize(("flow", "message", "data"), SAMPLES, ids=lambda v: getattr(type(v), "__name__", ""))
def test_every_message_whole_and_byte_by_byte(flow: Direction, message: Message, data: bytes) -> None:
    assert decode([data], flow) == (plain(message), None)
    assert decode(bytewise(data), flow) == (plain(message), None)
    assert decode([data * 3], flow) == (plain(message) * 3, None)


def test_samples_cover_every_message_in_every_direction() -> None:
    covered = {(m.TYPE_OF[type(message)], flow) for flow, message, _ in SAMPLES}
    assert covered == {(number, flow) for number, spec in m.SPECS.items() for flow in FLOWS if flow in spec.direction}


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_like_object_is_food(kind: type) -> None:
    decoder = Decoder(TO_DAEMON, 8)
    decoder.feed(kind(SHMIMAGE))
    assert list(decoder.messages()) == [m.ShmImage(WINDOW, 1, 2, 3, 4)]


def test_a_message_does_not_change_when_its_buffer_is_used_again() -> None:
    decoder = Decoder(TO_DAEMON, 8)
    dump = wire(147, "4I3I", 0, 1, 1, 24, 7, 8, 9)
    decoder.feed(dump + SHMIMAGE * 20)
    first, batch = decoder.messages()
    assert isinstance(first, m.WindowDump)
    assert isinstance(batch, DamageBatch)
    decoder.feed(b"\xff" * 8)
    assert first.refs.tolist() == [7, 8, 9]
    assert batch.windows.tolist() == [WINDOW] * 20
    assert batch.rects.tolist() == [[1, 2, 3, 4]] * 20


# --- the same however it is cut


@pytest.mark.parametrize("flow", FLOWS)
@given(data=st.data(), minor=st.integers(0, 8))
def test_valid_streams_cut_anywhere(flow: Direction, minor: int, data: st.DataObject) -> None:
    stream = data.draw(stream_bytes(flow))
    whole = decode([stream], flow, minor)
    assert decode(data.draw(chunked(stream)), flow, minor) == whole
    assert decode(bytewise(stream), flow, minor) == whole
    if minor >= limits.SINCE_DUMP_ACK:
        assert whole[1] is None


@pytest.mark.parametrize("flow", FLOWS)
@given(data=st.data(), minor=st.integers(0, 8))
def test_a_valid_start_with_any_tail(flow: Direction, minor: int, data: st.DataObject) -> None:
    stream = data.draw(stream_bytes(flow)) + data.draw(hostile_tail(flow))
    whole = decode([stream], flow, minor)
    assert decode(data.draw(chunked(stream)), flow, minor) == whole
    assert decode(bytewise(stream), flow, minor) == whole


@st.composite
def hostile_tail(draw: st.DrawFn, flow: Direction) -> bytes:
    """Headers that nearly mean something, cut messages, messages with wrong lengths, and noise."""
    near = st.builds(header, st.integers(120, 152), st.one_of(st.integers(0, 64), u32), u32)
    cut = message_bytes(flow).flatmap(lambda data: st.integers(0, len(data)).map(lambda end: data[:end]))
    pieces = st.one_of(near, cut, message_bytes(flow), damage_bytes(), st.binary(max_size=80))
    return b"".join(draw(st.lists(pieces, max_size=6)))


@pytest.mark.parametrize("flow", FLOWS)
@given(stream=st.binary(max_size=400), minor=st.integers(0, 8))
def test_noise(flow: Direction, minor: int, stream: bytes) -> None:
    assert decode(bytewise(stream), flow, minor) == decode([stream], flow, minor)


@given(st.data())
def test_a_run_of_damage_is_the_same_in_batches_and_alone(data: st.DataObject) -> None:
    run = data.draw(st.lists(damage_bytes(), min_size=2, max_size=6).map(b"".join))
    decoder = Decoder(TO_DAEMON, 8)
    decoder.feed(run)
    seen = list(decoder.messages())
    spelled = [single for message in seen for single in plain(message)]
    assert spelled == decode(bytewise(run), TO_DAEMON)[0]
    assert len(spelled) == decoder.decoded == len(run) // 28
    if len(spelled) >= 64:
        assert any(isinstance(message, DamageBatch) for message in seen)


@pytest.mark.parametrize("minor", [5, 8])
@pytest.mark.parametrize("good", [0, 1, 11, 12, 13, 63, 64, 100])
def test_a_wrong_length_within_a_run(good: int, minor: int) -> None:
    wrong = header(136, 15) + SHMIMAGE[12:]
    seen, error = decode([SHMIMAGE * good + wrong + SHMIMAGE * 100], TO_DAEMON, minor)
    if minor == 5:
        assert (len(seen), error) == (good + 101, None)
    else:
        assert (len(seen), error) == (good, "message length: type 136 has 15 bytes, not 16")


# --- what ends a session


@pytest.mark.parametrize("number", [0, 123, 129, 138, 150, 0xFFFFFFFF, *(124, 125, 126, 127, 128, 137, 139, 142, 149)])
def test_a_type_that_an_agent_may_not_send_ends_it(number: int) -> None:
    seen, wrong = decode([SHMIMAGE + header(number, 0)], TO_DAEMON)
    assert len(seen) == 1
    assert wrong == f"unknown message type: type {number}"


@pytest.mark.parametrize("minor", [6, 7, 8])
@pytest.mark.parametrize(
    ("flow", "message", "data"),
    [sample for sample in SAMPLES if not isinstance(sample[1], m.ClipboardData)],
    ids=lambda v: getattr(type(v), "__name__", ""),
)
def test_a_wrong_length_ends_it_from_1_6(flow: Direction, message: Message, data: bytes, minor: int) -> None:
    if isinstance(message, m.WindowDumpAck):
        minor = 8
    right = len(data) - HEADER
    for length in (right + 1, right + 2, 0xFFFFFFFF, max(right - 1, 1)):
        seen, wrong = decode([data + header(m.TYPE_OF[type(message)], length) + bytes(512)], flow, minor)
        assert seen == plain(message)
        assert wrong is not None
        assert wrong.startswith("message length: ")


@pytest.mark.parametrize("minor", range(6))
@pytest.mark.parametrize("number", [130, 131, 132, 133, 134, 136, 141, 143, 144, 145, 146, 148])
def test_a_wrong_length_is_not_believed_before_1_6(number: int, minor: int) -> None:
    right = header(number, m.SPECS[m.MessageType(number)].shortest) + bytes(m.SPECS[m.MessageType(number)].shortest)
    for length in (0, 1, 17, 0xFFFFFFFF):
        wrong = right[:8] + struct.pack("<I", length) + right[12:]
        assert decode([wrong + UNMAP], TO_DAEMON, minor) == decode([right + UNMAP], TO_DAEMON, minor)


@pytest.mark.parametrize("minor", range(9))
@pytest.mark.parametrize("length", [0, 12, 15, 17, 18, 16 + 4 * limits.MAX_REFS + 4, 0xFFFFFFFC, 0xFFFFFFFF])
def test_a_dump_of_an_impossible_length(length: int, minor: int) -> None:
    assert (decode([header(147, length)], TO_DAEMON, minor)[1] or "").startswith("message length: ")


def test_the_longest_dump() -> None:
    body = struct.pack("<4I", 0, 16384, 6144, 24) + bytes(4 * limits.MAX_REFS)
    seen, wrong = decode([header(147, len(body)) + body], TO_DAEMON)
    assert wrong is None
    assert len(seen[0][-1]) == limits.MAX_REFS


class TestMfnDump:
    """Its body says how long it is; from 1.6 on its header has to agree."""

    HEAD = (1, 64, 32, 24, 0)

    def dump(self, count: int, length: int, words: int) -> bytes:
        return header(135, length) + struct.pack(f"<7I{words}I", *self.HEAD, count, 9, *range(words))

    @pytest.mark.parametrize("minor", [6, 7, 8])
    def test_disagreement_ends_it(self, minor: int) -> None:
        for length in (28 + 8, 28 + 16):
            wrong = decode([self.dump(3, length, 4)], TO_DAEMON, minor)[1]
            assert wrong == f"message length: type 135 has {length} bytes, not 40"

    @pytest.mark.parametrize("minor", range(6))
    def test_the_count_wins_before_1_6(self, minor: int) -> None:
        for length in (0, 27, 28, 0xFFFFFFFF):
            seen, wrong = decode([self.dump(3, length, 3) + UNMAP], TO_DAEMON, minor)
            assert wrong is None
            assert [name for name, *_ in seen] == ["MfnDump", "Unmap"]
            assert seen[0][-1] == [0, 1, 2]

    @pytest.mark.parametrize("minor", range(9))
    def test_too_many_frames(self, minor: int) -> None:
        for count in (limits.MAX_REFS + 1, 0x40000000, 0xFFFFFFFF):
            data = self.dump(count, (28 + 4 * count) & 0xFFFFFFFF, 0)
            wrong = decode([data], TO_DAEMON, minor)[1]
            assert wrong is not None
            assert wrong.startswith("message length: ")


@pytest.mark.parametrize(("minor", "limit"), [(2, 65000), (6, 65000), (7, 65000), (8, 256001)], ids=lambda v: str(v))
@pytest.mark.parametrize("flow", FLOWS)
def test_clipboard_limits(flow: Direction, minor: int, limit: int) -> None:
    at_limit = header(140, limit) + bytes(limit)
    assert decode([at_limit], flow, minor) == ([("ClipboardData", WINDOW, bytes(limit))], None)
    assert (decode([header(140, limit + 1)], flow, minor)[1] or "").startswith("message length: ")


@pytest.mark.parametrize("minor", [0, 1])
def test_clipboard_length_is_in_the_window_field_before_1_2(minor: int) -> None:
    assert decode([header(140, 99, window=4) + b"text" + UNMAP], TO_DAEMON, minor) == (
        [("ClipboardData", 4, b"text"), ("Unmap", WINDOW)],
        None,
    )
    assert decode([header(140, 4, window=65001)], TO_DAEMON, minor)[1] is not None


# --- what an agent skips


@pytest.mark.parametrize("number", [0, 129, 130, 138, 141, 147, 150, 0xFFFFFFFF])
def test_an_agent_skips_what_it_does_not_know(number: int) -> None:
    stream = header(number, 70) + bytes(70) + wire(137, "") + header(number, 0) + wire(139, "")
    expected = ([("Close", WINDOW), ("ClipboardReq", WINDOW)], None)
    assert decode([stream], TO_AGENT) == expected
    assert decode(bytewise(stream), TO_AGENT) == expected


def test_an_agent_skips_a_run_of_damage() -> None:
    assert decode([SHMIMAGE * 100 + wire(137, "")], TO_AGENT) == ([("Close", WINDOW)], None)


def test_a_skipped_body_is_never_buffered() -> None:
    decoder = Decoder(TO_AGENT, 8)
    decoder.feed(header(129, 0xFFFFFFFF))
    for _ in range(64):
        decoder.feed(bytes(65536))
        assert list(decoder.messages()) == []
        assert decoder.buffered == 0


@pytest.mark.parametrize("minor", [4, 5, 6])
def test_dump_acks_are_unknown_to_agents_before_1_7(minor: int) -> None:
    assert decode([header(149, 5) + bytes(5) + wire(137, "")], TO_AGENT, minor) == ([("Close", WINDOW)], None)


@pytest.mark.parametrize("minor", range(9))
def test_a_daemon_takes_messages_newer_than_the_negotiated_version(minor: int) -> None:
    stream = wire(146, "64s64s", b"", b"") + wire(147, "4II", 0, 1, 1, 24, 5) + wire(148, "I", 0)
    seen, wrong = decode([stream], TO_DAEMON, minor)
    assert wrong is None
    assert [name for name, *_ in seen] == ["WmClass", "WindowDump", "Cursor"]


# --- after an error, and in the hands of a careless caller


def test_an_error_is_final_and_nothing_is_kept() -> None:
    decoder = Decoder(TO_DAEMON, 8)
    decoder.feed(UNMAP + header(1, 0) + UNMAP)
    events = decoder.messages()
    assert next(events) == m.Unmap(WINDOW)
    for _ in range(3):
        with pytest.raises(PeerMisbehaved, match=r"^unknown message type: type 1$"):
            list(decoder.messages())
        assert decoder.buffered == 0
        decoder.feed(UNMAP * 1000)
        assert decoder.buffered == 0


def test_a_message_is_given_once_also_to_a_caller_that_stops_in_between() -> None:
    decoder = Decoder(TO_DAEMON, 8)
    decoder.feed(wire(133, "", window=1) + wire(133, "", window=2) + wire(133, "", window=3))
    left_open = decoder.messages()
    assert next(left_open) == m.Unmap(1)
    assert list(decoder.messages()) == [m.Unmap(2), m.Unmap(3)]
    assert list(left_open) == []


def test_two_iterators_and_a_feed_in_between() -> None:
    decoder = Decoder(TO_DAEMON, 8)
    decoder.feed(wire(133, "", window=1) + wire(133, "", window=2))
    one = decoder.messages()
    assert next(one) == m.Unmap(1)
    assert next(decoder.messages()) == m.Unmap(2)
    decoder.feed(wire(133, "", window=3))
    assert list(one) == [m.Unmap(3)]


# --- bounds


@pytest.mark.parametrize("minor", [0, 5, 8])
@pytest.mark.parametrize(
    "lead",
    [
        header(147, 16 + 4 * limits.MAX_REFS),
        header(135, 28 + 4 * limits.MAX_REFS) + struct.pack("<7I", 0, 1, 1, 24, 0, limits.MAX_REFS, 0),
        header(140, 65000, window=65000),
        header(130, 24),
    ],
    ids=["WINDOW_DUMP", "MFNDUMP", "CLIPBOARD_DATA", "CREATE"],
)
def test_no_more_than_one_message_is_held_back(lead: bytes, minor: int) -> None:
    decoder = Decoder(TO_DAEMON, minor)
    decoder.feed(lead)
    highest = complete = 0
    for _ in range(1100):
        complete += next(decoder.messages(), None) is not None
        if complete:
            break
        highest = max(highest, decoder.buffered)
        decoder.feed(bytes(400))
    assert complete == 1
    assert highest < HEADER + limits.MAX_DUMP_BYTES


@given(st.data())
def test_what_is_held_back_is_shorter_than_a_message(data: st.DataObject) -> None:
    flow = data.draw(st.sampled_from(FLOWS))
    stream = data.draw(stream_bytes(flow)) + data.draw(hostile_tail(flow))
    decoder = Decoder(flow, 8)
    try:
        for chunk in data.draw(chunked(stream)):
            decoder.feed(chunk)
            for _ in decoder.messages():
                pass
            assert decoder.buffered < HEADER + limits.MAX_DUMP_BYTES
    except PeerMisbehaved:
        assert decoder.buffered == 0


class CountingNumpy:
    """numpy as the decoder sees it, counting the calls and the words they were made to look at."""

    uint32, int32 = np.uint32, np.int32

    def __init__(self) -> None:
        self.calls = self.words = 0

    def frombuffer(self, buffer: bytearray, dtype: str, count: int, offset: int) -> Any:
        self.calls += 1
        self.words += count
        return np.frombuffer(buffer, dtype, count, offset)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> CountingNumpy:
    counter = CountingNumpy()
    monkeypatch.setattr(guiproto.decoder, "np", counter)
    return counter


DECOY = SHMIMAGE * 2 + wire(141, "128s", b"") + wire(141, "128s", bytes(100) + SHMIMAGE)
"""Two SHMIMAGE, and where the twelfth would begin there is a title that looks like one."""
assert DECOY[28 * 11 :].startswith(SHMIMAGE)

INTERLEAVINGS = {
    "alternating": SHMIMAGE + UNMAP,
    "just too few": SHMIMAGE * 11 + UNMAP,
    "just enough": SHMIMAGE * 12 + UNMAP,
    "a batch and one": SHMIMAGE * 13 + UNMAP,
    "decoys": DECOY,
    "decoys and batches": SHMIMAGE * 12 + UNMAP + DECOY,
    "all damage": SHMIMAGE,
}


@pytest.mark.parametrize("unit", INTERLEAVINGS.values(), ids=INTERLEAVINGS.keys())
def test_work_is_linear_in_the_input_for_any_interleaving(unit: bytes, counting: CountingNumpy) -> None:
    stream = unit * (400_000 // len(unit))
    seen, wrong = decode([stream], TO_DAEMON)
    assert wrong is None
    assert counting.words * 4 <= 8 * len(stream)
    assert counting.calls <= len(seen) / 12 + 1


def test_a_failed_look_for_a_batch_is_not_repeated_at_once(counting: CountingNumpy) -> None:
    seen, wrong = decode([DECOY * 1000], TO_DAEMON)
    assert (len(seen), wrong) == (4000, None)
    assert 1 <= counting.calls <= 2000 // 256 + 1


class CountingBuffer(bytearray):
    """A bytearray that counts how often something is deleted from it."""

    deletions = 0

    def __delitem__(self, key: Any) -> None:
        CountingBuffer.deletions += 1
        super().__delitem__(key)


@pytest.mark.parametrize("unit", INTERLEAVINGS.values(), ids=INTERLEAVINGS.keys())
def test_a_buffer_is_shortened_once_a_feed_and_not_once_a_message(unit: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder(TO_DAEMON, 8)
    monkeypatch.setattr(CountingBuffer, "deletions", 0)
    decoder._buffer = CountingBuffer()
    for feed in range(1, 4):
        decoder.feed(unit * (100_000 // len(unit)) + unit[: 20 * feed])
        assert sum(1 for _ in decoder.messages()) > 0
        assert CountingBuffer.deletions == feed
        assert len(decoder._buffer) == decoder.buffered
        decoder.feed(unit[20 * feed :])


def test_half_a_dump_fed_byte_by_byte_is_looked_at_only_once_a_byte(counting: CountingNumpy) -> None:
    decoder = Decoder(TO_DAEMON, 8)
    decoder._buffer = CountingBuffer()
    before = CountingBuffer.deletions
    half = header(147, 16 + 4 * limits.MAX_REFS) + bytes(40_000)
    for byte in bytewise(half):
        decoder.feed(byte)
        assert next(decoder.messages(), None) is None
    assert decoder.buffered == len(half)
    assert CountingBuffer.deletions == before
    assert counting.calls == 0


def test_a_batch_is_bounded_and_its_arrays_are_the_callers() -> None:
    decoder = Decoder(TO_DAEMON, 8)
    decoder.feed(SHMIMAGE * 20_000)
    sizes = []
    for batch in decoder.messages():
        assert isinstance(batch, DamageBatch)
        assert batch.windows.dtype == np.uint32
        assert batch.rects.dtype == np.int32
        assert batch.rects.shape == (len(batch.windows), 4)
        assert batch.windows.flags.owndata
        batch.windows[:] = 0
        batch.rects[:] = 0
        sizes.append(len(batch.windows))
    assert sum(sizes) == 20_000
    assert max(sizes) <= 2048
