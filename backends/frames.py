"""A command's standard input and output on one line into an AppVM: frames of a kind, a length (u32) and bytes.

The AppVM's end begins with READY: what came before that was for somebody else. The answer is the ORDER, JSON
{"run": [word, ...]}. DATA goes both ways, an empty one from outside is the end of
the input. STATUS is the last frame: the exit status (u32), or PROBLEM, a sentence, if the command cannot be started.
"""

import contextlib
import os
import select
from collections.abc import Iterator
from struct import Struct
from typing import Final

from guiproto.errors import PeerMisbehaved

READY, ORDER, DATA, STATUS, PROBLEM = range(5)
HEAD: Final = Struct("<BI")
NUMBER: Final = Struct("<I")
MAX_BYTES: Final = 256 * 1024


def frame(kind: int, data: bytes) -> bytes:
    """One frame."""
    return HEAD.pack(kind, len(data)) + data


class Frames:
    """Takes bytes apart into frames, however they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The frames (kind, bytes) that are whole now. Raises PeerMisbehaved for what cannot be one."""
        self._buffer += data
        while len(self._buffer) >= HEAD.size:
            kind, length = HEAD.unpack_from(self._buffer)
            if kind > PROBLEM or length > MAX_BYTES:
                raise PeerMisbehaved("command line", f"a frame of kind {kind} and {length} bytes")
            end = HEAD.size + length
            if len(self._buffer) < end:
                return
            content = bytes(self._buffer[HEAD.size : end])
            del self._buffer[:end]
            yield kind, content


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a descriptor that may be non-blocking. Raises OSError when nobody is there any more."""
    rest = memoryview(data)
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while rest:
        with contextlib.suppress(BlockingIOError):
            rest = rest[os.write(fd, rest) :]
            continue
        poll.poll()
