"""Qubes DB's messages as bytes: a header of 72 bytes, then up to 3071 of data; the same on vchan and on local sockets.

offset  0   u8      kind
        1   64 B    path, ended by NUL; what follows the NUL means nothing
       65   3 B     padding, of any value
       68   u32     bytes of data that follow, little-endian
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from guiproto.errors import PeerMisbehaved

HEADER: Final = Struct("<B64s3xI")
MAX_PATH: Final = 63
MAX_DATA: Final = 3071
MAX_CLIENTS: Final = 256

_PATH: Final = re.compile(r"[A-Za-z0-9_./:@][A-Za-z0-9_./:@-]{0,62}")


class Kind(IntEnum):
    """What a message is."""

    READ = 0
    WRITE = 1
    MULTIREAD = 2
    LIST = 3
    RM = 4
    WATCH = 5
    UNWATCH = 6
    OK = 7
    NO_ENTRY = 8
    ERROR = 9
    VALUE = 10
    """Answers READ."""
    ENTRY = 11
    """Answers MULTIREAD, once for each entry; one with an empty path and no data ends the answer."""
    PATH = 12
    """Answers LIST in the same way."""
    CHANGED = 13
    """A watched entry was written or removed; may come at any time."""


_WITH_DATA: Final = frozenset((Kind.WRITE, Kind.VALUE, Kind.ENTRY))
_OF_ONE_ENTRY: Final = frozenset((Kind.READ, Kind.WRITE))
_OF_SOMETHING: Final = frozenset((Kind.READ, Kind.WRITE, Kind.RM, Kind.WATCH, Kind.UNWATCH))


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `data`: any bytes but NUL."""

    kind: Kind
    path: str
    data: bytes = b""


def is_path(text: str) -> bool:
    """Whether it may name an entry, or, with a slash at the end, all entries below."""
    return _PATH.fullmatch(text) is not None


def is_value(data: bytes) -> bool:
    """Whether an entry may have that value."""
    return len(data) <= MAX_DATA and 0 not in data


def encode(message: Message) -> bytes:
    """The message as bytes; its path and data must be valid."""
    return HEADER.pack(message.kind, message.path.encode("ascii"), len(message.data)) + message.data


class Decoder:
    """Bytes in, messages out, however the bytes are cut. Holds no more than it is fed."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._header: tuple[Kind, str, int] | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrived."""
        self._buffer += data

    def next(self) -> Message | None:
        """The next complete message, None if there is none yet.

        Raises PeerMisbehaved for what is no message, as soon as that is certain; nothing can be decoded after it.
        """
        if self._header is None:
            if len(self._buffer) < HEADER.size:
                return None
            self._header = _checked(*HEADER.unpack_from(self._buffer))
            del self._buffer[: HEADER.size]
        kind, path, length = self._header
        if len(self._buffer) < length:
            return None
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._header = None
        if 0 in data:
            raise PeerMisbehaved("Qubes DB value", f"a NUL at byte {data.index(0)}")
        return Message(kind, path, data)


def _checked(number: int, raw: bytes, length: int) -> tuple[Kind, str, int]:
    try:
        kind = Kind(number)
    except ValueError:
        raise PeerMisbehaved("Qubes DB message kind", f"there is no {number}") from None
    path, end, _ = raw.partition(b"\0")
    text = path.decode("latin-1")
    if not end or (text and not is_path(text)):
        raise PeerMisbehaved("Qubes DB path", f"not one, in a message of kind {number}")
    if (kind in _OF_SOMETHING and not text) or (kind in _OF_ONE_ENTRY and text.endswith("/")):
        raise PeerMisbehaved("Qubes DB path", f"names no entry, in a message of kind {number}")
    if length > (MAX_DATA if kind in _WITH_DATA else 0):
        raise PeerMisbehaved("Qubes DB length", f"{length} bytes of data in a message of kind {number}")
    return kind, text, length
