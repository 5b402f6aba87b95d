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


class _Connection:
    """What the two ends share: bytes go to the hello until that is complete, then to the decoder."""

    def __init__(self) -> None:
        self.minor: int | None = None
        """The negotiated minor version, None until the peer's hello has arrived."""
        self._hello = bytearray()
        self._decoder: Decoder | None = None
        self._broken: tuple[str, str] | None = None

    @property
    def decoded(self) -> int:
        """Messages so far, without the hello; see `Decoder.decoded`."""
        return 0 if self._decoder is None else self._decoder.decoded

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes from the peer; iterate `events()` to its end before the next call."""
        if self._decoder is not None:
            self._decoder.feed(data)
        elif self._broken is None:
            self._hello += data

    def _greeted(self, minor: int, flow: Direction, used: int) -> Decoder:
        """The hello, `used` bytes of it, is over: the rest is messages."""
        self.minor = minor
        self._decoder = Decoder(flow, minor)
        self._decoder.feed(self._hello[used:])
        self._hello.clear()
        return self._decoder

    def _version(self) -> tuple[int, int] | None:
        """Major and minor, once they are here. Raises what ended the hello before, if anything did."""
        if self._broken is not None:
            raise PeerMisbehaved(*self._broken)
        if len(self._hello) < _WORD.size:
            return None
        (version,) = _WORD.unpack_from(self._hello)
        return version >> 16, version & 0xFFFF

    def _refuse(self, detail: str) -> PeerMisbehaved:
        self._broken = "protocol version", detail
        self._hello.clear()
        return PeerMisbehaved(*self._broken)


class DaemonConnection(_Connection):
    """The daemon's end."""

    def events(self) -> Iterator[AgentHello | Message | DamageBatch]:
        """Yield the hello, then messages. Raises PeerMisbehaved where the agent broke a rule, and from then on."""
        return self._greet() if self._decoder is None else self._decoder.messages()

    def _greet(self) -> Iterator[AgentHello | Message | DamageBatch]:
        version = self._version()
        if version is None:
            return
        major, offered = version
        if major != limits.VERSION_MAJOR:
            raise self._refuse(f"agent speaks {major}.{offered}, this daemon 1.x")
        minor = min(offered, limits.VERSION_MINOR)
        decoder = self._greeted(minor, Direction.TO_DAEMON, _WORD.size)
        yield AgentHello(offered, minor)
        yield from decoder.messages()

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


class AgentConnection(_Connection):
    """The agent's end."""

    def hello(self) -> bytes:
        """The first bytes to send."""
        return _WORD.pack(limits.VERSION)

    def events(self) -> Iterator[DaemonHello | Message | DamageBatch]:
        """Yield the hello, then messages. Raises PeerMisbehaved where the daemon broke a rule, and from then on."""
        return self._greet() if self._decoder is None else self._decoder.messages()

    def _greet(self) -> Iterator[DaemonHello | Message | DamageBatch]:
        version = self._version()
        if version is None:
            return
        major, minor = version
        if major != limits.VERSION_MAJOR or not limits.SINCE_NEGOTIATION <= minor <= limits.VERSION_MINOR:
            raise self._refuse(f"daemon chose {major}.{minor}, this agent offered 1.{limits.VERSION_MINOR}")
        if len(self._hello) < _WORD.size + XCONF.size:
            return
        xconf = Xconf._make(XCONF.unpack_from(self._hello, _WORD.size))
        decoder = self._greeted(minor, Direction.TO_AGENT, _WORD.size + XCONF.size)
        yield DaemonHello(minor, xconf)
        yield from decoder.messages()

    def encode(self, message: Message) -> bytes:
        """The bytes of a message for this daemon: none where its version does not know it."""
        if self.minor is None:
            raise ValueError("no hello has arrived yet")
        return encode(message, Direction.TO_DAEMON, self.minor)
