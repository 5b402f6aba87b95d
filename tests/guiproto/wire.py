"""The wire written out by hand, for tests: one sample of every message with its bytes, and random ones of each kind.

Nothing here is derived from `guiproto.messages.SPECS`: layouts are spelled again so that a slip in one shows.
"""

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from guiproto import messages as m
from guiproto.decoder import Decoder
from guiproto.errors import PeerMisbehaved
from guiproto.messages import DamageBatch, Direction, Message

TO_DAEMON, TO_AGENT = Direction.TO_DAEMON, Direction.TO_AGENT
WINDOW = 0x0040000C


def wire(number: int, layout: str, *values: Any, window: int = WINDOW) -> bytes:
    """Header and body of one message."""
    body = struct.pack("<" + layout, *values)
    return struct.pack("<III", number, window, len(body)) + body


def refs(count: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """`count` page references, none the same."""
    return np.arange(1, count + 1, dtype=np.uint32)


BITMAP = bytes(range(32))
TITLE = b"a title".ljust(128, b"\0")
CLASS, NAME = b"XTerm".ljust(64, b"\0"), b"xterm".ljust(64, b"\0")
BIG = 0xFFFFFFFF

SAMPLES: list[tuple[Direction, Message, bytes]] = [
    (TO_AGENT, m.KeyPress(WINDOW, 2, -5, 7, 0x11, 38), wire(124, "IiiII", 2, -5, 7, 0x11, 38)),
    (TO_AGENT, m.Button(WINDOW, 5, 1, -2, 0x100, 9), wire(125, "IiiII", 5, 1, -2, 0x100, 9)),
    (TO_AGENT, m.Motion(WINDOW, -1, -2, 3, 1), wire(126, "iiII", -1, -2, 3, 1)),
    (TO_AGENT, m.Crossing(WINDOW, 7, -3, 4, 5, 6, 7, 1), wire(127, "IiiIIII", 7, -3, 4, 5, 6, 7, 1)),
    (TO_AGENT, m.Focus(WINDOW, 9, 1, 3), wire(128, "III", 9, 1, 3)),
    (TO_DAEMON, m.Create(WINDOW, -8, 9, 640, 480, 1, 1), wire(130, "iiIIII", -8, 9, 640, 480, 1, 1)),
    (TO_DAEMON, m.Destroy(WINDOW), wire(131, "")),
    (TO_AGENT, m.Destroy(WINDOW), wire(131, "")),
    (TO_DAEMON, m.Map(WINDOW, 77, 1), wire(132, "II", 77, 1)),
    (TO_AGENT, m.Map(WINDOW, 0, 0), wire(132, "II", 0, 0)),
    (TO_DAEMON, m.Unmap(WINDOW), wire(133, "")),
    (TO_DAEMON, m.Configure(WINDOW, -1, -2, 3, 4, 1), wire(134, "iiIII", -1, -2, 3, 4, 1)),
    (TO_AGENT, m.Configure(WINDOW, 10, 20, BIG, 4, 0), wire(134, "iiIII", 10, 20, BIG, 4, 0)),
    (
        TO_DAEMON,
        m.MfnDump(WINDOW, 1, 64, 32, 24, 4095, 3, 5, refs(3)),
        wire(135, "7I3I", 1, 64, 32, 24, 4095, 3, 5, 1, 2, 3),
    ),
    (TO_DAEMON, m.ShmImage(WINDOW, -1, 2, 3, BIG), wire(136, "iiII", -1, 2, 3, BIG)),
    (TO_AGENT, m.Close(WINDOW), wire(137, "")),
    (TO_AGENT, m.ClipboardReq(WINDOW), wire(139, "")),
    (TO_DAEMON, m.ClipboardData(WINDOW, b"text\n"), wire(140, "5s", b"text\n")),
    (TO_AGENT, m.ClipboardData(WINDOW, b""), wire(140, "")),
    (TO_DAEMON, m.WmName(WINDOW, TITLE), wire(141, "128s", TITLE)),
    (TO_AGENT, m.KeymapNotify(0, BITMAP), wire(142, "32s", BITMAP, window=0)),
    (TO_DAEMON, m.Dock(WINDOW), wire(143, "")),
    (
        TO_DAEMON,
        m.WindowHints(WINDOW, 0x151, 1, 2, 3, 4, 5, 6, 7, 8),
        wire(144, "9I", 0x151, 1, 2, 3, 4, 5, 6, 7, 8),
    ),
    (TO_DAEMON, m.WindowFlags(WINDOW, 1, 4), wire(145, "II", 1, 4)),
    (TO_AGENT, m.WindowFlags(WINDOW, 2, 1), wire(145, "II", 2, 1)),
    (TO_DAEMON, m.WmClass(WINDOW, CLASS, NAME), wire(146, "64s64s", CLASS, NAME)),
    (TO_DAEMON, m.WindowDump(WINDOW, 0, 32, 16, 24, refs(2)), wire(147, "4I2I", 0, 32, 16, 24, 1, 2)),
    (TO_DAEMON, m.Cursor(WINDOW, 0x144), wire(148, "I", 0x144)),
    (TO_AGENT, m.WindowDumpAck(WINDOW), wire(149, "")),
]
"""Every message in every direction it may flow, and the bytes of it."""


def plain(message: Message | DamageBatch) -> list[tuple[Any, ...]]:
    """Messages as comparable tuples, a batch spelled out."""
    if isinstance(message, DamageBatch):
        return [("ShmImage", *single) for single in message.messages()]
    return [(type(message).__name__, *(v.tolist() if isinstance(v, np.ndarray) else v for v in message))]


def decode(chunks: Iterable[bytes], flow: Direction, minor: int = 8) -> tuple[list[tuple[Any, ...]], str | None]:
    """All that a decoder makes of these chunks: the messages spelled out, and the error if one ended them."""
    decoder = Decoder(flow, minor)
    seen: list[tuple[Any, ...]] = []
    for chunk in chunks:
        decoder.feed(chunk)
        try:
            for message in decoder.messages():
                seen += plain(message)
        except PeerMisbehaved as wrong:
            return seen, str(wrong)
        assert decoder.decoded == len(seen)
    return seen, None


def bytewise(data: bytes) -> Iterable[bytes]:
    """`data` in chunks of one byte."""
    return (data[i : i + 1] for i in range(len(data)))


u32 = st.one_of(st.sampled_from([0, 1, 16, 136, 0x7FFFFFFF, 0x80000000, BIG]), st.integers(0, BIG))
LAYOUTS = {
    TO_DAEMON: {
        130: "iiIIII", 131: "", 132: "II", 133: "", 134: "iiIII", 136: "iiII", 141: "128s", 143: "", 144: "9I",
        145: "II", 146: "64s64s", 148: "I",
    },
    TO_AGENT: {
        124: "IiiII", 125: "IiiII", 126: "iiII", 127: "IiiIIII", 128: "III", 131: "", 132: "II", 134: "iiIII",
        137: "", 139: "", 142: "32s", 145: "II", 149: "",
    },
}  # fmt: skip
"""The bodies of fixed length."""


@st.composite
def message_bytes(draw: st.DrawFn, flow: Direction) -> bytes:
    """One valid message of any type that may flow that way, its fields arbitrary."""
    layouts = LAYOUTS[flow]
    number = draw(st.sampled_from([*layouts, 140, *([135, 147] if flow is TO_DAEMON else [])]))
    window = draw(u32)
    if number in layouts:
        size = struct.calcsize("<" + layouts[number])
        return struct.pack("<III", number, window, size) + draw(st.binary(min_size=size, max_size=size))
    if number == 140:
        return wire(140, "", window=window)[:8] + _counted(draw(st.binary(max_size=200)))
    count = draw(st.integers(0, 20))
    numbers = draw(st.lists(u32, min_size=count, max_size=count))
    if number == 147:
        return wire(147, f"4I{count}I", draw(u32), draw(u32), draw(u32), draw(u32), *numbers, window=window)
    head = [draw(u32) for _ in range(5)]
    return wire(135, f"7I{count}I", *head, count, draw(u32), *numbers, window=window)


def _counted(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def damage_bytes() -> st.SearchStrategy[bytes]:
    """A run of SHMIMAGE messages, long enough for a batch more often than not."""
    return st.lists(st.tuples(u32, st.binary(min_size=16, max_size=16)), min_size=1, max_size=40).map(
        lambda run: b"".join(struct.pack("<III", 136, window, 16) + body for window, body in run)
    )


def stream_bytes(flow: Direction) -> st.SearchStrategy[bytes]:
    """A valid stream."""
    piece = message_bytes(flow)
    if flow is TO_DAEMON:
        piece = st.one_of(piece, damage_bytes())
    return st.lists(piece, max_size=12).map(b"".join)


@st.composite
def chunked(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """`data` cut at arbitrary places, empty pieces included."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
