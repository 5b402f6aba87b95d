"""For any bytes, fed in any pieces: the same messages, then at most one `PeerMisbehaved`, which is final.

The length in a header is the peer's word and is never used to size anything: a message's own table entry says how long
it may be, and no byte beyond that is buffered. What is held back is always less than one message. The work done is
linear in the bytes fed, whatever they are and however they are cut.
"""

from collections.abc import Callable, Iterator
from functools import partial
from struct import Struct
from typing import Final, NamedTuple, NoReturn

import numpy as np

from guiproto import limits
from guiproto.errors import PeerMisbehaved
from guiproto.messages import HEADER, SPECS, ClipboardData, DamageBatch, Direction, Message, MessageType, MfnDump, Spec

# A numpy call costs as much as decoding a dozen messages one by one, so short runs take the plain path.
_BATCH_MIN: Final = 12
# How many messages a look for a run covers: four times the last run, so that a peer that mixes runs with other messages
# cannot make every look cover its whole buffer; and not more than is pleasant for a consumer.
_REACH_MIN: Final = 64
_REACH_MAX: Final = 2048
# After a look that found no run, so many SHMIMAGE messages go the plain way. Only crafted streams get there.
_PAUSE: Final = 256

_SHMIMAGE: Final = int(MessageType.SHMIMAGE)
_SHMIMAGE_BODY: Final = SPECS[MessageType.SHMIMAGE].shortest
_SHMIMAGE_BYTES: Final = HEADER.size + _SHMIMAGE_BODY
_BATCH_BYTES: Final = _BATCH_MIN * _SHMIMAGE_BYTES
_SECOND: Final = _SHMIMAGE_BYTES
_TWELFTH: Final = _BATCH_BYTES - _SHMIMAGE_BYTES

_WORD: Final = Struct("<I")
_U32: Final = np.dtype("<u4")
_MFN_COUNT_AT: Final = HEADER.size + 4 * MfnDump._fields[1:].index("num_mfn")


class _Fixed(NamedTuple):
    """How to read a message of fixed length: `unpack` takes window and fields out of header and body in one go."""

    body: int
    total: int
    unpack: Callable[[bytearray, int], tuple[int | bytes, ...]]
    make: Callable[[tuple[int | bytes, ...]], Message]


def _fixed(spec: Spec) -> _Fixed:
    whole = Struct("<4xI4x" + spec.head.format.removeprefix("<"))
    # What `_make` does, without its layer of Python.
    return _Fixed(spec.head.size, whole.size, whole.unpack_from, partial(tuple.__new__, spec.message))


_FIXED: Final = {number: _fixed(spec) for number, spec in SPECS.items() if spec.body is not None}


class Decoder:
    """Decodes what flows in one direction, once the handshake is over.

    `flow` is Direction.TO_DAEMON or Direction.TO_AGENT. Towards the daemon an unknown type is a violation; towards the
    agent it is skipped, as existing agents do, and so is one that is newer than the negotiated version 1.`minor`.
    """

    def __init__(self, flow: Direction, minor: int) -> None:
        self._strict = flow is Direction.TO_DAEMON
        self._minor = minor
        known = [n for n, spec in SPECS.items() if flow in spec.direction and (self._strict or spec.since <= minor)]
        self._fixed = {int(number): _FIXED[number] for number in known if number in _FIXED}
        self._variable = {int(number): SPECS[number] for number in known if number not in _FIXED}
        self._buffer = bytearray()
        self._at = 0
        self._skip = 0
        self._reach = _REACH_MIN
        self._pause = 0
        self._broken: tuple[str, str] | None = None
        self.decoded = 0
        """Messages so far, each of a run; up to date whenever `messages` has come to its end."""

    @property
    def buffered(self) -> int:
        """Bytes held back because their message is not complete."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes; iterate `messages()` to its end before feeding again, or memory use is unbounded."""
        if self._broken is None:
            self._buffer += data

    def messages(self) -> Iterator[Message | DamageBatch]:
        """Yield every complete message, each once. Raises PeerMisbehaved at the place where a rule was broken.

        Nothing is accepted after that: every further call raises the same again.
        """
        if self._broken is not None:
            raise PeerMisbehaved(*self._broken)
        buffer, fixed, strict = self._buffer, self._fixed, self._strict
        exact = self._minor >= limits.SINCE_STRICT_LENGTH
        unpack_header, header_size = HEADER.unpack_from, HEADER.size
        message: Message | DamageBatch | None
        single = 0
        while True:
            if self._skip:
                self._step_over()
            at = self._at
            ready = len(buffer) - at
            if ready < header_size:
                break
            kind, window, length = unpack_header(buffer, at)
            if kind == _SHMIMAGE and ready >= _BATCH_BYTES and strict:
                message = self._batch(at, ready)
                if message is not None:
                    self._at = at + len(message.windows) * _SHMIMAGE_BYTES
                    self.decoded += len(message.windows)
                    yield message
                    continue
            entry = fixed.get(kind)
            if entry is not None:
                body, total, unpack, make = entry
                # Before 1.6 a wrong length was a warning, and the right one was read all the same.
                if length != body and exact:
                    self._break("message length", f"type {kind} has {length} bytes, not {body}")
                if ready < total:
                    break
                message = make(unpack(buffer, at))
                self._at = at + total
            elif (spec := self._variable.get(kind)) is not None:
                size = self._size(spec, kind, window, length)
                if ready < header_size + size:
                    break
                message = _variable(spec, window, buffer, at + header_size, size)
                self._at = at + header_size + size
            elif strict:
                self._break("unknown message type", f"type {kind}")
            else:
                self._at = at + header_size
                self._skip = length
                continue
            single += 1
            yield message
        self.decoded += single
        if self._at:
            del buffer[: self._at]
            self._at = 0

    def _step_over(self) -> None:
        step = min(self._skip, len(self._buffer) - self._at)
        self._skip -= step
        self._at += step

    def _break(self, rule: str, detail: str) -> NoReturn:
        self._broken = rule, detail
        self._buffer.clear()
        self._at = 0
        raise PeerMisbehaved(rule, detail)

    def _size(self, spec: Spec, kind: int, window: int, length: int) -> int:
        """The length of a variable body, as far as it is known: at least that many bytes are needed to go on."""
        longest = spec.longest
        counted: int | None = None
        if spec.message is ClipboardData:
            if self._minor < limits.SINCE_CLIPBOARD_LENGTH:
                length = window
            if self._minor < limits.SINCE_LARGE_CLIPBOARD:
                longest = limits.CLIPBOARD_MAX_1_7
        elif spec.message is MfnDump and self.buffered >= HEADER.size + spec.shortest:
            counted = spec.shortest + 4 * _WORD.unpack_from(self._buffer, self._at + _MFN_COUNT_AT)[0]
        if spec.message is MfnDump and self._minor < limits.SINCE_STRICT_LENGTH:
            # As with fixed lengths: the header's word is not believed, the count in the body is.
            length = spec.shortest if counted is None else counted
        if not spec.shortest <= length <= longest:
            self._break("message length", f"type {kind} has {length} bytes, not {spec.shortest} to {longest}")
        if length % 4 and spec.message is not ClipboardData:
            self._break("message length", f"type {kind} has {length} bytes, not a multiple of 4")
        if counted is not None and counted != length:
            self._break("message length", f"type {kind} has {length} bytes, not {counted}")
        return length

    def _batch(self, at: int, ready: int) -> DamageBatch | None:
        """The run of SHMIMAGE messages at `at`, or None where it is too short to pay."""
        buffer = self._buffer
        if self._pause:
            self._pause -= 1
            return None
        if _WORD.unpack_from(buffer, at + _SECOND)[0] != _SHMIMAGE:
            return None
        if _WORD.unpack_from(buffer, at + _TWELFTH)[0] != _SHMIMAGE:
            return None
        count = min(ready // _SHMIMAGE_BYTES, self._reach)
        rows = np.frombuffer(buffer, _U32, count * 7, at).reshape(count, 7)
        good = (rows[:, 0] == _SHMIMAGE) & (rows[:, 2] == _SHMIMAGE_BODY)
        run = int(good.argmin())
        if good[run]:
            run = count
        self._reach = min(max(4 * run, _REACH_MIN), _REACH_MAX)
        if run < _BATCH_MIN:
            self._pause = _PAUSE
            return None
        return DamageBatch(rows[:run, 1].astype(np.uint32), rows[:run, 3:].astype(np.uint32).view(np.int32))


def _variable(spec: Spec, window: int, buffer: bytearray, at: int, size: int) -> Message:
    if spec.message is ClipboardData:
        return ClipboardData(window, bytes(buffer[at : at + size]))
    # A copy: the buffer is used again, and no array may hold on to it.
    refs = np.frombuffer(buffer, _U32, (size - spec.head.size) // 4, at + spec.head.size).astype(np.uint32)
    return spec.message._make((window, *spec.head.unpack_from(buffer, at), refs))
