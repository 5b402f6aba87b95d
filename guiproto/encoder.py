"""Messages to bytes, under the same table and the same version gates as the decoder."""

from collections.abc import Callable
from struct import Struct, error
from typing import Final, NamedTuple

import numpy as np

from guiproto import limits
from guiproto.messages import (
    HEADER,
    SPECS,
    TYPE_OF,
    ClipboardData,
    DamageBatch,
    Direction,
    Message,
    MessageType,
    MfnDump,
    WindowDump,
)

_U32: Final = np.dtype("<u4")


class _Fixed(NamedTuple):
    """How to write a message of fixed length: `pack` takes number, window, length and fields in one go."""

    since: int
    number: int
    body: int
    pack: Callable[..., bytes]
    texts: tuple[int, ...]


def _fixed(flow: Direction) -> dict[type[Message], _Fixed]:
    table: dict[type[Message], _Fixed] = {}
    for number, spec in SPECS.items():
        if flow in spec.direction and spec.body is not None:
            since = spec.since
            if number is MessageType.DESTROY and flow is Direction.TO_AGENT:
                since = limits.SINCE_DESTROY_ACK
            texts = tuple(len(v) for v in spec.body.unpack(bytes(spec.body.size)) if isinstance(v, bytes))
            pack = Struct("<III" + spec.body.format.removeprefix("<")).pack
            table[spec.message] = _Fixed(since, int(number), spec.body.size, pack, texts)
    return table


_TO_DAEMON: Final = _fixed(Direction.TO_DAEMON)
_TO_AGENT: Final = _fixed(Direction.TO_AGENT)


def encode(message: Message, flow: Direction, minor: int = limits.VERSION_MINOR) -> bytes:
    """The bytes of `message`, or none where a peer of version 1.`minor` does not know it.

    Text shorter than its field is padded with NULs. Raises ValueError for a message that may not flow that way, or
    with a field that does not fit: that is our bug.
    """
    fixed = (_TO_DAEMON if flow is Direction.TO_DAEMON else _TO_AGENT).get(type(message))
    if fixed is None:
        return _encode_variable(message, flow, minor)
    since, number, size, pack, texts = fixed
    if minor < since:
        return b""
    if texts and _too_long(message[1:], texts):
        raise ValueError(f"{MessageType(number).name} with a text of more than {texts[0]} bytes")
    try:
        return pack(number, message[0], size, *message[1:])
    except error as wrong:
        raise ValueError(f"{MessageType(number).name} with a field that does not fit: {wrong}") from wrong


def _too_long(values: tuple[object, ...], texts: tuple[int, ...]) -> bool:
    """A struct would cut longer text without a word."""
    return any(isinstance(value, bytes) and len(value) > room for value, room in zip(values, texts, strict=True))


def encode_damage(batch: DamageBatch) -> bytes:
    """The bytes of a run of SHMIMAGE messages."""
    rows = np.empty((len(batch.windows), 7), _U32)
    rows[:, 0] = MessageType.SHMIMAGE
    rows[:, 1] = batch.windows
    rows[:, 2] = SPECS[MessageType.SHMIMAGE].shortest
    rows[:, 3:] = batch.rects.view(np.uint32)
    return rows.tobytes()


def _encode_variable(message: Message, flow: Direction, minor: int) -> bytes:
    number = TYPE_OF[type(message)]
    spec = SPECS[number]
    if flow not in spec.direction or spec.body is not None:
        raise ValueError(f"{number.name} does not flow {flow.name}")
    if minor < spec.since:
        return b""
    window, longest = message[0], spec.longest
    if isinstance(message, ClipboardData):
        body = message.data
        if minor < limits.SINCE_LARGE_CLIPBOARD:
            longest = limits.CLIPBOARD_MAX_1_7
        if minor < limits.SINCE_CLIPBOARD_LENGTH:
            window = len(body)
    else:
        assert isinstance(message, WindowDump | MfnDump)
        if isinstance(message, MfnDump) and message.num_mfn != len(message.refs):
            raise ValueError(f"{number.name} counts {message.num_mfn} frames and has {len(message.refs)}")
        try:
            body = spec.head.pack(*message[1:-1]) + np.ascontiguousarray(message.refs, _U32).tobytes()
        except error as wrong:
            raise ValueError(f"{number.name} with a field that does not fit: {wrong}") from wrong
    if len(body) > longest:
        raise ValueError(f"{number.name} of {len(body)} bytes is over the limit of {longest}")
    return HEADER.pack(number, window, len(body)) + body
