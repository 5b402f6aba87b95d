"""What a hostile agent does, and what has to come of it: the session ends for that reason, or nothing happens.

`GENERATED` follows from the table of messages in protocol.md, `OF_RULES` has something for every row of the table of
rules, `BY_HAND` is what no table says.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final

from guiproto import messages as wire
from guiproto.encoder import encode
from guiproto.limits import VERSION_MINOR
from tests.hostile.agent import HEIGHT, WIDTH, WINDOW, Agent
from tests.hostile.protocol import messages

_WORD: Final = struct.Struct("<I")
_HEADER: Final = struct.Struct("<III")
_HUGE: Final = 2**32 - 1
_UNREAD: Final = 4 << 20
"""Bytes to a daemon whose answers to them are more than it keeps for an agent."""
_FAR: Final = -(2**31)


@dataclass(frozen=True)
class Attack:
    """`act` is done by an agent that shows one window, `WINDOW`. `ends`: what the reason begins with, "" for none."""

    act: Callable[[Agent], object]
    ends: str = ""
    silent: bool = False
    """Whether the agent can say nothing else afterwards."""


def raw(kind: int, window: int, body: bytes, length: int | None = None) -> bytes:
    """A message as bytes, of any length that it claims."""
    return _HEADER.pack(kind, window, len(body) if length is None else length) + body


def said(*what: wire.Message | bytes, ends: str = "") -> Attack:
    """An attack by words alone."""

    def act(agent: Agent) -> None:
        for piece in what:
            agent.send(piece) if isinstance(piece, bytes) else agent.tell(piece)

    return Attack(act, ends)


def generated() -> Iterator[tuple[str, Attack]]:
    """Wrong lengths, wrong directions, unknown types, unknown windows."""
    for row in messages():
        if row.direction == "D→A":
            yield (
                f"{row.name} from an agent",
                said(raw(row.number, WINDOW, bytes(row.low)), ends="unknown message type"),
            )
            continue
        for length in {row.low - 1, row.high + 1} - {-1}:
            yield (
                f"{row.name} of {length} bytes",
                said(raw(row.number, WINDOW, bytes(min(length, 4096)), length), ends="message length"),
            )
        if row.name not in ("CREATE", "CLIPBOARD_DATA"):
            yield (
                f"{row.name} of no window",
                said(raw(row.number, 0xDEAD, bytes(row.low)), ends="unknown window"),
            )
    for number in (0, 122, 129, 138, 150, 0x10000, _HUGE):
        yield f"type {number}", said(raw(number, WINDOW, b""), ends="unknown message type")


def dump(width: int, height: int, refs: list[int], kind: int = 0, bpp: int = 32) -> bytes:
    """WINDOW_DUMP of the window, with any references."""
    return raw(147, WINDOW, struct.pack("<4I", kind, width, height, bpp) + b"".join(map(_WORD.pack, refs)))


def _frames(width: int, height: int, off: int, announced: int, sent: int, domid: int = 0) -> bytes:
    head = struct.pack("<7I", 0, width, height, 24, off, announced, domid)
    return raw(135, WINDOW, head + b"".join(map(_WORD.pack, range(sent))))


def _dock_first(*then: wire.Message) -> Attack:
    other = WINDOW + 1
    return said(wire.Create(other, 0, 0, 24, 24, 0, 0), wire.Dock(other), *then)


def _misleading(agent: Agent) -> None:
    """Takes a buffer that is shown, and says other things about it than the first time."""
    pages = agent.share(WIDTH * HEIGHT * 4)
    agent.dump(WINDOW, WIDTH, HEIGHT, pages)
    agent.send(dump(WIDTH, HEIGHT, pages.refs.tolist(), bpp=_HUGE))


OF_RULES: Final[Mapping[tuple[str, str], Attack]] = {
    ("any but CREATE, CLIPBOARD_DATA", "the window exists"): said(wire.Unmap(99), ends="unknown window"),
    ("CREATE", "the window does not exist"): said(wire.Create(WINDOW, 0, 0, 9, 9, 0, 0), ends="window exists already"),
    ("CREATE", "width and height, read as i32"): said(wire.Create(9, 0, 0, _HUGE, 9, 0, 0), ends="CREATE size"),
    ("CREATE", "1 <= width"): said(wire.Create(9, _FAR, 2**31 - 1, 2**31 - 1, 2**31 - 1, 0, 0), wire.Map(9, 0, 0)),
    ("CREATE", "`parent`"): said(wire.Create(9, 0, 0, 9, 9, _HUGE, 0), wire.Map(9, 0, 0)),
    ("CREATE, MAP", "override-redirect is allowed"): said(
        wire.Create(9, 0, 0, 16384, 6144, 0, 1), wire.Map(9, 0, 1), wire.Map(9, 0, 1)
    ),
    ("MAP", "the window is not mapped"): said(wire.Map(WINDOW, 0, 1)),
    ("MAP", "`transient_for`"): said(wire.Create(9, 0, 0, 9, 9, 0, 0), wire.Map(9, 0xDEAD, 0)),
    ("UNMAP", "the window is not docked"): _dock_first(wire.Unmap(WINDOW + 1)),
    ("CONFIGURE", "width and height are not 0"): said(wire.Configure(WINDOW, 0, 0, 0, 9, 0), ends="CONFIGURE size"),
    ("CONFIGURE", "width <= 16384"): said(
        wire.Configure(WINDOW, _FAR, _FAR, _HUGE, _HUGE, 0), wire.Configure(WINDOW, 50, 50, WIDTH, HEIGHT, 0)
    ),
    ("CONFIGURE", "`override_redirect`"): said(wire.Configure(WINDOW, 50, 50, WIDTH, HEIGHT, 1)),
    ("CONFIGURE", "a docked window keeps"): _dock_first(wire.Configure(WINDOW + 1, 0, 0, 16384, 6144, 0)),
    ("WINDOW_DUMP", "`kind` is 0"): said(dump(9, 9, [0], kind=1), ends="WINDOW_DUMP type"),
    ("WINDOW_DUMP", "1 <= width"): said(dump(16385, 1, [0] * 20), ends="WINDOW_DUMP size"),
    ("WINDOW_DUMP", "there are ceil"): said(dump(16384, 6144, [0] * 4), ends="WINDOW_DUMP references"),
    ("WINDOW_DUMP", "every reference can be mapped"): said(dump(9, 9, [_HUGE]), ends="page reference"),
    ("MFNDUMP", "the backend knows machine frames"): said(_frames(9, 9, 0, 1, 1), ends="MFNDUMP"),
    ("MFNDUMP", "`num_mfn` <= 98304"): said(_frames(9, 9, 4096, 2, 2), ends="MFNDUMP offset"),
    ("MFNDUMP", "`domid`, `shmid`"): said(_frames(9, 9, 0, 1, 1, domid=8), ends="MFNDUMP"),
    ("WINDOW_DUMP, MFNDUMP", "`bpp`"): Attack(_misleading),
    ("SHMIMAGE", "the window is mapped or docked"): said(
        wire.Create(9, 0, 0, 9, 9, 0, 0), wire.ShmImage(9, 0, 0, 9, 9)
    ),
    ("SHMIMAGE", "x, y, width and height"): said(wire.ShmImage(WINDOW, -1, _FAR, _HUGE, 2**31)),
    ("SHMIMAGE", "the rectangle lies inside"): said(wire.ShmImage(WINDOW, 2**31 - 1, 5, 2**31 - 1, 2**31 - 1)),
    ("CLIPBOARD_DATA", "the length is within"): said(raw(140, 0, b"", 256002), ends="message length"),
    ("CLIPBOARD_DATA", "the user has asked for it"): said(*(raw(140, 0, b"x" * 60000) for _ in range(50))),
    ("WMNAME", "printable ASCII"): said(
        wire.WmName(WINDOW, b"\x1b]0;[work] \xe2\x80\xae\xff\x00rest".ljust(128, b"!"))
    ),
    ("WMCLASS", "the window is not mapped"): said(wire.WmClass(WINDOW, b"xscreensaver".ljust(64, b"\0"), bytes(64))),
    ("WMCLASS", "printable ASCII"): said(
        wire.Create(9, 0, 0, 9, 9, 0, 0), wire.WmClass(9, b"\xff" * 64, b"xscreensaver\x1b".ljust(64, b"\xff"))
    ),
    ("DOCK", "the window is not mapped"): said(wire.Dock(WINDOW)),
    ("DOCK, WINDOW_DUMP", "a docked window"): said(
        wire.Create(9, 0, 0, 16384, 6144, 0, 0),
        wire.Dock(9),
        wire.Create(8, 0, 0, 9, 9, 0, 0),
        wire.Dock(8),
        wire.Configure(8, 0, 0, 300, 300, 0),
    ),
    ("WINDOW_HINTS", "smallest and base size"): said(wire.WindowHints(WINDOW, 0xFFFFFFFF, *[_HUGE] * 8)),
    ("WINDOW_HINTS", "no other flags"): said(wire.WindowHints(WINDOW, 0xFFFFFE8A, *[0] * 8)),
    ("WINDOW_FLAGS", "`set` and `unset`"): said(wire.WindowFlags(WINDOW, 1, 1), ends="WINDOW_FLAGS"),
    ("WINDOW_FLAGS", "no other bits"): said(wire.WindowFlags(WINDOW, 0xFFFFFFF8, 4)),
    ("WINDOW_FLAGS", "MINIMIZE and FULLSCREEN"): said(wire.WindowFlags(WINDOW, 2, 0), wire.WindowFlags(WINDOW, 0, 2)),
    ("CURSOR", "0, or 0x100"): said(raw(148, WINDOW, _WORD.pack(0x19A)), ends="CURSOR"),
}
"""By message and the beginning of the rule."""


def _windows(agent: Agent) -> None:
    for number in range(1000, 4000):
        agent.tell(wire.Create(number, number % 900, number % 700, 50, 50, 0, 1), wire.Map(number, 0, 1))
    agent.settle()


def _pages(agent: Agent) -> None:
    """Buffers of the largest size without end, none of them with a pixel in it."""
    for number in range(1000, 1040):
        agent.tell(wire.Create(number, 0, 0, 16384, 6144, 0, 0))
        agent.dump(number, 16384, 6144, agent.share(16384 * 6144 * 4))


def _ids_again(agent: Agent) -> None:
    """Destroys and makes the same window again while its buffers are being acknowledged."""
    pages = agent.share(WIDTH * HEIGHT * 4)
    refs = pages.refs.tolist()
    for _ in range(300):
        agent.tell(wire.Destroy(WINDOW), wire.Create(WINDOW, 50, 50, WIDTH, HEIGHT, 0, 0), wire.Map(WINDOW, 0, 0))
        agent.send(dump(WIDTH, HEIGHT, refs) + dump(WIDTH, HEIGHT, refs))
        agent.tell(wire.ShmImage(WINDOW, 0, 0, WIDTH, HEIGHT))
    agent.settle()


def _storm(of: Callable[[int], wire.Message]) -> Attack:
    def act(agent: Agent) -> None:
        for number in range(20):
            agent.tell(*(of(500 * number + n) for n in range(500)))
        agent.settle()

    return Attack(act)


def _flashing(agent: Agent) -> None:
    """Has windows come and go under the pointer, wherever that is: to see which keys are down."""
    agent.tell(*(wire.Create(2000 + n, 300 * n, 0, 300, 1200, 0, 1) for n in range(6)))
    for _ in range(100):
        agent.tell(*(wire.Map(2000 + n, 0, 1) for n in range(6)), *(wire.Unmap(2000 + n) for n in range(6)))
    agent.settle()
    assert not agent.received[wire.KeyPress]
    assert not agent.received[wire.KeymapNotify]


def _changing(agent: Agent) -> None:
    """Paints over pixels that are being shown."""
    pages = agent.share(WIDTH * HEIGHT * 4)
    agent.dump(WINDOW, WIDTH, HEIGHT, pages)
    view = agent.pixels(pages, WIDTH, HEIGHT)
    for number in range(200):
        agent.tell(wire.ShmImage(WINDOW, 0, 0, WIDTH, HEIGHT))
        view[:] = number * 0x10101
    agent.settle()


def _half(agent: Agent) -> None:
    """Begins a message that never ends. Nobody waits for the rest: not the display either, see the test."""
    agent.send(_HEADER.pack(141, WINDOW, 128) + b"half of a")


def _deaf(agent: Agent) -> None:
    """Has the daemon answer without end, and reads nothing."""
    windows = (m for n in range(10, 200) for m in (wire.Create(n, 0, 0, 5, 5, 0, 0), wire.Destroy(n)))
    said = b"".join(encode(message, wire.Direction.TO_DAEMON, VERSION_MINOR) for message in windows)
    agent.send_unread(said * (_UNREAD // len(said)))


_NUMBERS: Final = count(5000)

BY_HAND: Final[Mapping[str, Attack]] = {
    "a flood of windows": Attack(_windows),
    "a flood of pages": Attack(_pages),
    "a window made again and again": Attack(_ids_again),
    "titles in a storm": _storm(lambda n: wire.WmName(WINDOW, f"[work] {n}".encode().ljust(128, b"\0"))),
    "cursors in a storm": _storm(lambda n: wire.Cursor(WINDOW, 0x100 + n % 150 // 2 * 2)),
    "flags in a storm": _storm(lambda n: wire.WindowFlags(WINDOW, n % 2 * 3, (n + 1) % 2 * 3)),
    "moves in a storm": _storm(lambda n: wire.Configure(WINDOW, n % 1000, n % 700, 1 + n % 900, 1 + n % 900, 0)),
    "damage in a storm": _storm(lambda n: wire.ShmImage(WINDOW, n % WIDTH, n % HEIGHT, 50, 50)),
    "covering the screen in parts": said(
        *(
            message
            for row in range(3)
            for column in range(4)
            for number in (next(_NUMBERS),)
            for message in (wire.Create(number, 512 * column, 426 * row, 512, 426, 0, 1), wire.Map(number, 0, 1))
        )
    ),
    "windows that flash under the pointer": Attack(_flashing),
    "pixels that change while they are painted": Attack(_changing),
    "half a message": Attack(_half, silent=True),
    "reading nothing": Attack(_deaf, "agent does not read"),
}
