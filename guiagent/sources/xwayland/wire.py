"""Wayland's wire, a server's side: bytes and descriptors of a client to requests, and events to bytes. Pure.

A message is the object's id, its size in bytes above 16 bits of opcode, and arguments of whole 32-bit words. Strings
and arrays have their length in front; descriptors come beside the bytes, in order. (The Wayland protocol, chapter 4.)
"""

from collections import deque
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from guiproto.errors import PeerMisbehaved

_HEADER: Final = Struct("=II")
_WORD: Final = Struct("=I")
_LONGEST: Final = 1 << 16


class Request(NamedTuple):
    """What the client asks of one of its objects."""

    object: int
    opcode: int
    body: bytes

    def words(self, count: int) -> tuple[int, ...]:
        """The first `count` words, unsigned. Raises PeerMisbehaved if there are fewer."""
        if len(self.body) < count * _WORD.size:
            raise PeerMisbehaved("wayland", f"request {self.opcode} of object {self.object} is too short")
        return tuple(word for (word,) in _WORD.iter_unpack(self.body[: count * _WORD.size]))

    def text(self, at: int) -> tuple[str, int]:
        """The string that begins with byte `at`, and where the next argument begins. Raises PeerMisbehaved."""
        body = self.body
        if len(body) < at + _WORD.size:
            raise PeerMisbehaved("wayland", f"request {self.opcode} of object {self.object} lacks a string")
        (length,) = _WORD.unpack_from(body, at)
        end = at + _WORD.size + length
        if not length or end > len(body) or body[end - 1]:
            raise PeerMisbehaved("wayland", f"request {self.opcode} of object {self.object} has a bad string")
        return body[at + _WORD.size : end - 1].decode(errors="replace"), -(-end // _WORD.size) * _WORD.size


class Inbox:
    """What a client sends, cut into requests."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.fds: deque[int] = deque()
        """Descriptors that came and that no request has taken yet."""

    def feed(self, data: bytes, fds: list[int]) -> Iterator[Request]:
        """The requests that are complete now. Raises PeerMisbehaved for a size that no message has."""
        self._buffer += data
        self.fds += fds
        at = 0
        try:
            while len(self._buffer) - at >= _HEADER.size:
                target, word = _HEADER.unpack_from(self._buffer, at)
                size = word >> 16
                if size < _HEADER.size or size % _WORD.size:
                    raise PeerMisbehaved("wayland", f"a message of {size} bytes")
                if len(self._buffer) - at < size:
                    break
                body = bytes(self._buffer[at + _HEADER.size : at + size])
                at += size
                yield Request(target, word & 0xFFFF, body)
        finally:
            del self._buffer[:at]

    def take_fd(self) -> int:
        """The descriptor that belongs to the present request; the caller's to close. Raises PeerMisbehaved."""
        if not self.fds:
            raise PeerMisbehaved("wayland", "a descriptor is missing")
        return self.fds.popleft()


def event(target: int, opcode: int, *arguments: int | str) -> bytes:
    """An event of the object `target`. Integers may be negative."""
    body = b"".join(
        [
            _WORD.pack(argument & 0xFFFFFFFF) if isinstance(argument, int) else _string(argument)
            for argument in arguments
        ]
    )
    size = _HEADER.size + len(body)
    assert size < _LONGEST
    return _HEADER.pack(target, size << 16 | opcode) + body


def _string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return _WORD.pack(len(data)) + data + bytes(-len(data) % _WORD.size)
