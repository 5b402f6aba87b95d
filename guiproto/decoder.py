"""For any bytes, fed in any pieces: the same messages, then at most one `PeerMisbehaved`.

The length in a header is the peer's word and is never used to size anything: a message's own table entry says how long
it may be, and no byte beyond that is buffered. What is buffered is bounded by the longest message plus one `feed`.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from guiproto import limits
from guiproto.errors import PeerMisbehaved
from guiproto.messages import (
    HEADER,
    SPECS,
    ClipboardData,
    DamageBatch,
    Direction,
    Message,
    MessageType,
    MfnDump,
    Spec,
    WindowDump,
)

# A numpy call costs as much as decoding half a dozen messages one by one, so short runs take the plain path. The upper
# bound keeps a peer that mixes runs with other messages from making us look at its whole buffer again for each.
_BATCH_MIN: Final = 12
_BATCH_MAX: Final = 2048
_SHMIMAGE_BYTES: Final = 28
_SHMIMAGE_BODY: Final = 16
_SHMIMAGE: Final = int(MessageType.SHMIMAGE)

_MFN_WORDS: Final = limits.MFNDUMP_HEADER_BYTES // 4
_DUMP_WORDS: Final = limits.DUMP_HEADER_BYTES // 4


class Decoder:
    """Decodes what flows in one direction, once the handshake is over.

    `flow` is Direction.TO_DAEMON or Direction.TO_AGENT. Towards the daemon an unknown type is a violation; towards the
    agent it is skipped, as existing agents do. `minor` is the negotiated minor version.
    """

    def __init__(self, flow: Direction, minor: int) -> None:
        self._strict = flow is Direction.TO_DAEMON
        self._minor = minor
        self._specs: dict[int, Spec] = {int(t): s for t, s in SPECS.items() if flow in s.direction}
        self._buffer = bytearray()
        self._skip = 0

    @property
    def buffered(self) -> int:
        """Bytes held back because their message is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes; iterate `messages()` to the end before feeding again, or memory use is unbounded."""
        self._buffer += data

    def messages(self) -> Iterator[Message | DamageBatch]:
        """Yield every complete message. Raises PeerMisbehaved at the place in the stream where a rule was broken."""
        buffer = self._buffer
        at = 0
        try:
            while True:
                if self._skip:
                    step = min(self._skip, len(buffer) - at)
                    self._skip -= step
                    at += step
                ready = len(buffer) - at
                if self._skip or ready < HEADER.size:
                    return
                kind, window, length = HEADER.unpack_from(buffer, at)
                if kind == _SHMIMAGE and self._strict and ready >= _BATCH_MIN * _SHMIMAGE_BYTES:
                    batch = self._batch(at, ready)
                    if batch is not None:
                        at += len(batch.windows) * _SHMIMAGE_BYTES
                        yield batch
                        continue
                spec = self._specs.get(kind)
                if spec is None:
                    if self._strict:
                        raise PeerMisbehaved("unknown message type", f"type {kind}")
                    at += HEADER.size
                    self._skip = length
                    continue
                size = self._body_size(spec, kind, window, length)
                if ready < HEADER.size + size:
                    return
                message = self._decode(spec, window, at + HEADER.size, size)
                at += HEADER.size + size
                yield message
        finally:
            del buffer[:at]

    def _body_size(self, spec: Spec, kind: int, window: int, length: int) -> int:
        if spec.body is not None:
            # Before 1.6 a wrong length was a warning and the right one was read all the same.
            if length != spec.shortest and self._minor >= limits.SINCE_STRICT_LENGTH:
                raise PeerMisbehaved("message length", f"type {kind} has {length} bytes, not {spec.shortest}")
            return spec.shortest
        longest = spec.longest
        if spec.message is ClipboardData:
            if self._minor < limits.SINCE_DUMP:
                length = window
            if self._minor < limits.SINCE_LARGE_CLIPBOARD:
                longest = limits.CLIPBOARD_MAX_1_7
        elif length % 4:
            raise PeerMisbehaved("message length", f"type {kind} has {length} bytes, not a multiple of 4")
        if not spec.shortest <= length <= longest:
            raise PeerMisbehaved("message length", f"type {kind} has {length} bytes, not {spec.shortest} to {longest}")
        return length

    def _decode(self, spec: Spec, window: int, at: int, size: int) -> Message:
        buffer = self._buffer
        if spec.body is not None:
            return spec.message._make((window, *spec.body.unpack_from(buffer, at)))
        if spec.message is ClipboardData:
            return ClipboardData(window, bytes(buffer[at : at + size]))
        words = np.frombuffer(buffer, "<u4", size // 4, at).astype(np.uint32)
        if spec.message is WindowDump:
            kind, width, height, bpp = words[:_DUMP_WORDS].tolist()
            return WindowDump(window, kind, width, height, bpp, words[_DUMP_WORDS:])
        shmid, width, height, bpp, off, count, domid = words[:_MFN_WORDS].tolist()
        return MfnDump(window, shmid, width, height, bpp, off, count, domid, words[_MFN_WORDS:])

    def _batch(self, at: int, ready: int) -> DamageBatch | None:
        """The longest run of SHMIMAGE messages at `at`, or None where it is too short to pay."""
        last = at + (_BATCH_MIN - 1) * _SHMIMAGE_BYTES
        if HEADER.unpack_from(self._buffer, last)[0] != _SHMIMAGE:
            return None
        count = min(ready // _SHMIMAGE_BYTES, _BATCH_MAX)
        rows = np.frombuffer(self._buffer, "<u4", count * 7, at).reshape(count, 7)
        good = (rows[:, 0] == _SHMIMAGE) & (rows[:, 2] == _SHMIMAGE_BODY)
        run = count if good.all() else int(good.argmin())
        if run < _BATCH_MIN:
            return None
        return DamageBatch(rows[:run, 1].astype(np.uint32), rows[:run, 3:].astype(np.uint32).view(np.int32))
