"""The two ends of a GUI connection without any I/O: bytes in, events out, and messages to bytes.

Both ends begin without headers: the agent offers its version, the daemon answers with the negotiated one (if the agent
is of 1.4 or later) and with its screen. After that everything is a message.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from guiproto import limits
from guiproto.decoder import Decoder
from guiproto.encoder import encode
from guiproto.errors import PeerMisbehaved
from guiproto.messages import XCONF, DamageBatch, Direction, Message, Xconf

_WORD: Final = Struct("<I")


class AgentHello(NamedTuple):
    """The agent offered version 1.`offered`; `minor` is what both speak. Answer with `DaemonConnection.accept`."""

    offered: int
    minor: int


class DaemonHello(NamedTuple):
    """The daemon chose version 1.`minor` and has a screen of `xconf`."""

    minor: int
    xconf: Xconf


class DaemonConnection:
    """The daemon's end."""

    def __init__(self) -> None:
        self.minor: int | None = None
        self._hello = bytearray()
        self._decoder: Decoder | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes from the agent; iterate `events()` to its end before the next call."""
        if self._decoder is None:
            self._hello += data
        else:
            self._decoder.feed(data)

    def events(self) -> Iterator[AgentHello | Message | DamageBatch]:
        """Yield the hello, then messages. Raises PeerMisbehaved where the agent broke a rule."""
        if self._decoder is None:
            if len(self._hello) < _WORD.size:
                return
            (version,) = _WORD.unpack_from(self._hello)
            major, offered = version >> 16, version & 0xFFFF
            if major != limits.VERSION_MAJOR:
                raise PeerMisbehaved("protocol version", f"agent speaks {major}.{offered}, this daemon 1.x")
            self.minor = min(offered, limits.VERSION_MINOR)
            self._decoder = Decoder(Direction.TO_DAEMON, self.minor)
            self._decoder.feed(self._hello[_WORD.size :])
            self._hello.clear()
            yield AgentHello(offered, self.minor)
        yield from self._decoder.messages()

    def accept(self, xconf: Xconf) -> bytes:
        """The answer to the hello."""
        if self.minor is None:
            raise ValueError("no hello has arrived yet")
        version = b"" if self.minor < limits.SINCE_NEGOTIATION else _WORD.pack(limits.VERSION_MAJOR << 16 | self.minor)
        return version + XCONF.pack(*xconf)

    def encode(self, message: Message) -> bytes:
        """The bytes of a message for this agent: none where its version does not know it."""
        if self.minor is None:
            raise ValueError("no hello has arrived yet")
        return encode(message, Direction.TO_AGENT, self.minor)


class AgentConnection:
    """The agent's end."""

    def __init__(self) -> None:
        self.minor: int | None = None
        self._hello = bytearray()
        self._decoder: Decoder | None = None

    def hello(self) -> bytes:
        """The first bytes to send."""
        return _WORD.pack(limits.VERSION)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes from the daemon; iterate `events()` to its end before the next call."""
        if self._decoder is None:
            self._hello += data
        else:
            self._decoder.feed(data)

    def events(self) -> Iterator[DaemonHello | Message | DamageBatch]:
        """Yield the hello, then messages. Raises PeerMisbehaved where the daemon broke a rule."""
        if self._decoder is None:
            if len(self._hello) >= _WORD.size:
                self._check_version()
            if len(self._hello) < _WORD.size + XCONF.size:
                return
            minor = _WORD.unpack_from(self._hello)[0] & 0xFFFF
            self.minor = minor
            xconf = Xconf._make(XCONF.unpack_from(self._hello, _WORD.size))
            self._decoder = Decoder(Direction.TO_AGENT, minor)
            self._decoder.feed(self._hello[_WORD.size + XCONF.size :])
            self._hello.clear()
            yield DaemonHello(minor, xconf)
        yield from self._decoder.messages()

    def encode(self, message: Message) -> bytes:
        """The bytes of a message for this daemon: none where its version does not know it."""
        if self.minor is None:
            raise ValueError("no hello has arrived yet")
        return encode(message, Direction.TO_DAEMON, self.minor)

    def _check_version(self) -> None:
        version = _WORD.unpack_from(self._hello)[0]
        major, minor = version >> 16, version & 0xFFFF
        if version > limits.VERSION or major != limits.VERSION_MAJOR or minor < limits.SINCE_NEGOTIATION:
            raise PeerMisbehaved("protocol version", f"daemon chose {major}.{minor}, this agent offered 1.8")
