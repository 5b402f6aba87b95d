"""Every message becomes the bytes that the protocol says, for each version, or none, or an error that is our own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guiproto import messages as m
from guiproto.decoder import Decoder
from guiproto.encoder import encode, encode_damage
from guiproto.messages import DamageBatch, Direction, Message
from tests.guiproto.wire import SAMPLES, TO_AGENT, TO_DAEMON, WINDOW, damage_bytes, refs, stream_bytes, wire


def first_version(flow: Direction, message: Message) -> int:
    """The first minor version in which this message is sent."""
    since = {m.WmClass: 1, m.WindowDump: 2, m.Cursor: 3, m.WindowDumpAck: 7}
    if isinstance(message, m.Destroy) and flow is TO_AGENT:
        return 5
    return since.get(type(message), 0)


@pytest.mark.parametrize("minor", range(9))
@pytest.mark.parametrize(("flow", "message", "data"), SAMPLES, ids=lambda v: getattr(type(v), "__name__", ""))
def test_bytes_of_every_message_in_every_version(flow: Direction, message: Message, data: bytes, minor: int) -> None:
    if minor < first_version(flow, message):
        assert encode(message, flow, minor) == b""
    elif minor < 2 and isinstance(message, m.ClipboardData):
        length = len(message.data)
        assert encode(message, flow, minor) == wire(140, f"{length}s", message.data, window=length)
    else:
        assert encode(message, flow, minor) == data


@pytest.mark.parametrize("flow", [TO_DAEMON, TO_AGENT])
@given(data=st.data())
def test_what_was_decoded_encodes_to_the_same_bytes(flow: Direction, data: st.DataObject) -> None:
    stream = data.draw(stream_bytes(flow))
    decoder = Decoder(flow, 8)
    decoder.feed(stream)
    out = b""
    for message in decoder.messages():
        if isinstance(message, DamageBatch):
            spelled = b"".join(encode(single, flow) for single in message.messages())
            assert encode_damage(message) == spelled
            out += spelled
        else:
            out += encode(message, flow)
    assert out == stream


@given(damage_bytes())
def test_damage_made_by_hand(data: bytes) -> None:
    rows = np.frombuffer(data, "<u4").reshape(-1, 7)
    batch = DamageBatch(rows[:, 1].astype(np.uint32), rows[:, 3:].astype(np.uint32).view(np.int32))
    assert encode_damage(batch) == data
    # A caller's arrays need not be contiguous.
    twice = DamageBatch(np.repeat(batch.windows, 2)[::2], np.repeat(batch.rects, 2, axis=0)[::2])
    assert encode_damage(twice) == data


def test_no_damage_is_no_bytes() -> None:
    assert encode_damage(DamageBatch(np.empty(0, np.uint32), np.empty((0, 4), np.int32))) == b""


@pytest.mark.parametrize(("flow", "message", "data"), SAMPLES, ids=lambda v: getattr(type(v), "__name__", ""))
def test_a_message_does_not_flow_the_wrong_way(flow: Direction, message: Message, data: bytes) -> None:
    other = TO_AGENT if flow is TO_DAEMON else TO_DAEMON
    if other in m.SPECS[m.TYPE_OF[type(message)]].direction:
        assert encode(message, other, 8) == data
    else:
        with pytest.raises(ValueError, match="does not flow"):
            encode(message, other, 8)


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (TO_DAEMON, m.Unmap(-1)),
        (TO_DAEMON, m.Unmap(1 << 32)),
        (TO_DAEMON, m.Configure(WINDOW, 1 << 31, 0, 1, 1, 0)),
        (TO_AGENT, m.Motion(WINDOW, 0, 0, -1, 0)),
        (TO_DAEMON, m.WmName(WINDOW, bytes(129))),
        (TO_DAEMON, m.WmClass(WINDOW, b"", bytes(65))),
        (TO_AGENT, m.KeymapNotify(0, bytes(33))),
        (TO_DAEMON, m.WindowDump(WINDOW, 0, -1, 1, 24, refs(1))),
        (TO_DAEMON, m.MfnDump(WINDOW, 0, 1, 1, 24, 0, 2, 0, refs(1))),
    ],
    ids=str,
)
def test_a_field_that_does_not_fit_is_our_error(flow: Direction, message: Message) -> None:
    with pytest.raises(ValueError, match=m.TYPE_OF[type(message)].name):
        encode(message, flow)


def test_short_text_is_padded() -> None:
    assert encode(m.WmName(WINDOW, b"ab"), TO_DAEMON) == wire(141, "128s", b"ab".ljust(128, b"\0"))
    assert encode(m.WmClass(WINDOW, b"A", b"b"), TO_DAEMON) == wire(146, "64s64s", b"A", b"b")


@pytest.mark.parametrize("flow", [TO_DAEMON, TO_AGENT])
@pytest.mark.parametrize(("minor", "limit"), [(0, 65000), (1, 65000), (4, 65000), (7, 65000), (8, 256001)])
def test_clipboard_limits(flow: Direction, minor: int, limit: int) -> None:
    assert len(encode(m.ClipboardData(WINDOW, bytes(limit)), flow, minor)) == 12 + limit
    with pytest.raises(ValueError, match="over the limit"):
        encode(m.ClipboardData(WINDOW, bytes(limit + 1)), flow, minor)


def test_dump_limits() -> None:
    assert len(encode(m.WindowDump(WINDOW, 0, 16384, 6144, 24, refs(98304)), TO_DAEMON)) == 12 + 16 + 4 * 98304
    with pytest.raises(ValueError, match="over the limit"):
        encode(m.WindowDump(WINDOW, 0, 16384, 6144, 24, refs(98305)), TO_DAEMON)
    with pytest.raises(ValueError, match="over the limit"):
        encode(m.MfnDump(WINDOW, 0, 1, 1, 24, 0, 98305, 0, refs(98305)), TO_DAEMON)
