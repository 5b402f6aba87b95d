"""Messages to bytes, under the same table and the same version gates as the decoder."""

import numpy as np

from guiproto import limits
from guiproto.messages import (
    HEADER,
    SPECS,
    TYPE_OF,
    ClipboardData,
    DamageBatch,
    Destroy,
    Direction,
    Message,
    MessageType,
    MfnDump,
    WindowDump,
)

_DUMP_HEADER = np.dtype("<u4")


def encode(message: Message, flow: Direction, minor: int = limits.VERSION_MINOR) -> bytes:
    """The bytes of `message`, or none where a peer of version 1.`minor` does not know it.

    Raises ValueError for a message that may not flow that way or is longer than the protocol allows: that is our bug.
    """
    number = TYPE_OF[type(message)]
    spec = SPECS[number]
    if flow not in spec.direction:
        raise ValueError(f"{number.name} does not flow {flow.name}")
    if minor < spec.since:
        return b""
    if isinstance(message, Destroy) and flow is Direction.TO_AGENT and minor < limits.SINCE_DESTROY_ACK:
        return b""
    if spec.body is not None:
        return HEADER.pack(number, message.window, spec.body.size) + spec.body.pack(*message[1:])
    body = _variable_body(message)
    if len(body) > spec.longest:
        raise ValueError(f"{number.name} of {len(body)} bytes is over the limit of {spec.longest}")
    window = message.window
    if isinstance(message, ClipboardData):
        if minor < limits.SINCE_LARGE_CLIPBOARD and len(body) > limits.CLIPBOARD_MAX_1_7:
            raise ValueError(f"CLIPBOARD_DATA of {len(body)} bytes is over the limit of {limits.CLIPBOARD_MAX_1_7}")
        if minor < limits.SINCE_DUMP:
            window = len(body)
    return HEADER.pack(number, window, len(body)) + body


def encode_damage(batch: DamageBatch) -> bytes:
    """The bytes of a run of SHMIMAGE messages."""
    rows = np.empty((len(batch.windows), 7), _DUMP_HEADER)
    rows[:, 0] = MessageType.SHMIMAGE
    rows[:, 1] = batch.windows
    rows[:, 2] = 16
    rows[:, 3:] = batch.rects.view(np.uint32)
    return rows.tobytes()


def _variable_body(message: Message) -> bytes:
    if isinstance(message, ClipboardData):
        return message.data
    assert isinstance(message, WindowDump | MfnDump)
    words = np.array(message[1:-1], _DUMP_HEADER)
    return words.tobytes() + message.refs.astype(_DUMP_HEADER).tobytes()
