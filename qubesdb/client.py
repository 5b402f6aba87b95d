"""A blocking client of a daemon's local socket, ours or Qubes' own."""

import contextlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from backends.rendezvous import connect
from guiproto.errors import MachineCannot, PeerMisbehaved
from qubesdb.wire import MAX_DATA, MAX_PATH, Decoder, Kind, Message, encode, is_path, is_value

_SECONDS: Final = 10.0
"""The longest that a daemon may take for an answer."""
_READ_BYTES: Final = 64 * 1024


class NoEntry(KeyError):  # noqa: N818 - the name is what is the case, as with the project's other errors
    """There is no such entry."""

    def __str__(self) -> str:
        return f"there is no entry {self.args[0]}"


class Database:
    """A connection. Paths and values that cannot be are refused before they are sent, as MachineCannot."""

    def __init__(self, path: Path, remedy: str = "is the VM running?", *, seconds: float = _SECONDS) -> None:
        """Raises MachineCannot, with that remedy, when there is no daemon. `seconds`: how long an answer may take."""
        found = connect(path, socket.SOCK_STREAM)
        if found is None:
            raise MachineCannot(f"there is no Qubes DB daemon at {path}", remedy)
        self._socket = found
        self._seconds = seconds
        self._decoder = Decoder()
        self._changed: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, path: str) -> bytes:
        """A value. Raises NoEntry."""
        return self._one(Message(Kind.READ, path)).data

    def write(self, path: str, value: bytes) -> None:
        """Set a value. Raises MachineCannot where the namespace is full, or the socket is the one for reading."""
        if not is_value(value):
            raise MachineCannot(f"{path} cannot have this value", f"at most {MAX_DATA} bytes, none of them NUL")
        self._one(Message(Kind.WRITE, path, value))

    def remove(self, path: str) -> None:
        """Remove an entry or, if `path` ends with a slash, all below. Raises NoEntry, or MachineCannot as `write`."""
        self._one(Message(Kind.RM, path))

    def multiread(self, prefix: str) -> Mapping[str, bytes]:
        """Values by path, of all entries whose paths start with `prefix`, in order."""
        return {message.path: message.data for message in self._many(Message(Kind.MULTIREAD, prefix), Kind.ENTRY)}

    def list(self, prefix: str) -> Sequence[str]:
        """Their paths."""
        return [message.path for message in self._many(Message(Kind.LIST, prefix), Kind.PATH)]

    def watch(self, path: str) -> None:
        """Have `changes` tell of an entry or, if `path` ends with a slash, of all below. It need not exist."""
        self._one(Message(Kind.WATCH, path))

    def unwatch(self, path: str) -> None:
        """No longer; `changes` may still tell of a change that was under way. Raises NoEntry."""
        self._one(Message(Kind.UNWATCH, path))

    def fileno(self) -> int:
        """Polls readable when it is worth to call `changes`; other requests may have received some, so call it then."""
        return self._socket.fileno()

    def changes(self) -> Sequence[str]:
        """Paths of watched entries that changed since the last call, in order. Never waits.

        Raises MachineCannot when the daemon is gone.
        """
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                # First what came along with an answer, which nothing on the socket will tell of any more.
                if (message := self._next()) is not None:
                    raise _nonsense(message)
                self._receive()
        changed, self._changed = self._changed, []
        return changed

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    # --- requests ---

    def _one(self, request: Message) -> Message:
        self._send(request)
        answer = self._answer()
        if answer.kind is Kind.NO_ENTRY:
            raise NoEntry(request.path)
        if answer.kind is Kind.ERROR:
            raise MachineCannot(
                f"the daemon refuses to change {request.path}",
                "is the namespace full? Remove entries; and in a VM only the owner of the socket may write",
            )
        if answer.kind is not (Kind.VALUE if request.kind is Kind.READ else Kind.OK):
            raise _nonsense(answer)
        return answer

    def _many(self, request: Message, kind: Kind) -> Iterator[Message]:
        self._send(request)
        while (answer := self._answer()).path:
            if answer.kind is not kind:
                raise _nonsense(answer)
            yield answer

    def _send(self, request: Message) -> None:
        name = request.path
        optional = request.kind in (Kind.MULTIREAD, Kind.LIST)
        directory = optional or request.kind in (Kind.RM, Kind.WATCH, Kind.UNWATCH)
        if not (is_path(name) or (optional and not name)) or (name.endswith("/") and not directory):
            raise MachineCannot(
                f"{name!r} is no path of {'entries' if directory else 'an entry'}",
                f"use up to {MAX_PATH} letters, digits and any of _ . / : @ -",
            )
        self._socket.settimeout(self._seconds)
        try:
            self._socket.sendall(encode(request))
        except OSError as error:
            raise self._gone(error) from None

    def _answer(self) -> Message:
        while (message := self._next()) is None:
            self._socket.settimeout(self._seconds)
            self._receive()
        return message

    def _next(self) -> Message | None:
        """What has arrived, but for changes, which are put aside. Raises MachineCannot."""
        try:
            while (message := self._decoder.next()) is not None:
                if message.kind is not Kind.CHANGED:
                    return message
                self._changed.append(message.path)
        except PeerMisbehaved as error:
            raise MachineCannot(f"what answers is no Qubes DB daemon: {error}") from None
        return None

    def _receive(self) -> None:
        """Raises BlockingIOError when nothing is there and must not be waited for, MachineCannot when all is over."""
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            raise
        except OSError as error:
            raise self._gone(error) from None
        if not data:
            raise self._gone(None)
        self._decoder.feed(data)

    def _gone(self, error: OSError | None) -> MachineCannot:
        if isinstance(error, TimeoutError):
            return MachineCannot(f"the Qubes DB daemon has not answered for {self._seconds:g} s", "see its log")
        return MachineCannot("the Qubes DB daemon is gone", "it is started again by itself, if the VM runs")


def _nonsense(message: Message) -> MachineCannot:
    return MachineCannot(f"the Qubes DB daemon gives an answer of kind {message.kind:d} to something else")
