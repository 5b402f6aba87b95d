"""The conversation of the two daemons of a VM over vchan. Pure: bytes in through `receive`, out through `out`.

The VM's daemon asks for everything once, right after connecting; from then on each repeats its clients' changes to the
other and answers the other's. Two rules keep both sides the same where the existing daemon leaves it to luck:

- What the VM's side changed and the admin side has not acknowledged yet stands: a change of the same entry that comes
  meanwhile was made before it. The admin side knows of no such thing; it takes changes in the order of their arrival.
- After a loss of the connection the VM's side takes over what the admin side has, and then repeats its own changes that
  were not acknowledged.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Final

from guiproto.errors import PeerMisbehaved
from qubesdb.core import Core, encode_entries
from qubesdb.namespace import ALL_LIMITS, VM_LIMITS, Namespace
from qubesdb.wire import Decoder, Kind, Message, encode

_OUT_LIMIT: Final = 4 << 20
"""Bytes that may wait for the other daemon: a whole namespace is less than half of it."""
_UNANSWERED_LIMIT: Final = 1 << 16
_PENDING_LIMIT: Final = 1 << 13
_ANSWERS: Final = (Kind.OK, Kind.ERROR, Kind.NO_ENTRY)


class Link(ABC):
    """One connection, from its beginning to its end."""

    def __init__(self, core: Core, log: Callable[[str], None]) -> None:
        self._core = core
        self._log = log
        self._decoder = Decoder()
        self._unanswered: deque[str] = deque()
        self._refused = False
        self.synced = False
        """Whether both sides have the same; only then changes are repeated."""
        self.out = bytearray()

    def receive(self, data: bytes) -> None:
        """The other daemon has sent these bytes. Raises PeerMisbehaved."""
        self._decoder.feed(data)
        while (message := self._decoder.next()) is not None:
            if not self.synced:
                self._synchronise(message)
            elif message.kind is Kind.WRITE:
                self._written(message)
                self._say(Message(Kind.OK, message.path))
            elif message.kind is Kind.RM:
                # The existing daemon takes NO_ENTRY for the end of everything, and there may be none without anybody's
                # fault: when both sides have removed it at the same time.
                self._removed(message)
                self._say(Message(Kind.OK, message.path))
            elif message.kind in _ANSWERS and self._unanswered:
                self._answered(self._unanswered.popleft(), message.kind)
            else:
                raise PeerMisbehaved("Qubes DB message kind", f"{message.kind:d} from the other daemon, unasked")

    def repeat(self, message: Message) -> None:
        """A local client has changed something: tell the other daemon, if it has everything else."""
        if self.synced:
            self._unanswered.append(message.path)
            self._say(message)

    def check(self) -> None:
        """Raises PeerMisbehaved if the other daemon leaves no room, or does not answer."""
        if len(self.out) > _OUT_LIMIT:
            raise PeerMisbehaved("Qubes DB peer does not read", f"{len(self.out)} bytes are waiting for it")
        if len(self._unanswered) > _UNANSWERED_LIMIT:
            raise PeerMisbehaved("Qubes DB peer does not answer", f"{len(self._unanswered)} changes")

    @abstractmethod
    def _synchronise(self, message: Message) -> None:
        """A message before both sides have the same."""

    @abstractmethod
    def _written(self, message: Message) -> None:
        """The other side has set a value."""

    @abstractmethod
    def _removed(self, message: Message) -> None:
        """The other side has removed entries."""

    def _answered(self, path: str, kind: Kind) -> None:  # noqa: ARG002 - for those who want to know which
        if kind is Kind.ERROR and not self._refused:
            self._refused = True  # once: how often is the other side's choice
            self._log("the other side has refused a change; both differ until it connects again")

    def _say(self, message: Message) -> None:
        self.out += encode(message)


class AdminLink(Link):
    """The admin side's end."""

    def _synchronise(self, message: Message) -> None:
        if message.kind is not Kind.MULTIREAD or message.path:
            raise PeerMisbehaved("Qubes DB message kind", f"{message.kind:d} before everything was asked for")
        self.out += encode_entries(self._core.namespace)
        self.synced = True

    def _written(self, message: Message) -> None:
        if not self._core.take(message.path, message.data):
            raise PeerMisbehaved(
                "Qubes DB limit", f"more than {VM_LIMITS.entries} entries or {VM_LIMITS.size} bytes from the VM"
            )

    def _removed(self, message: Message) -> None:
        self._core.take_removal(message.path)


class Pending:
    """Changes of the VM's side that the admin side has not acknowledged, in order; outlives a connection."""

    def __init__(self) -> None:
        self._paths: dict[str, int] = {}

    def add(self, path: str) -> None:
        """Changed here. Of too many, which can only be while there is no admin side, the oldest is given up."""
        self._paths[path] = self._paths.pop(path, 0) + 1
        if len(self._paths) > _PENDING_LIMIT:
            del self._paths[next(iter(self._paths))]

    def acknowledged(self, path: str) -> None:
        """The admin side has taken note of one change."""
        left = self._paths.get(path, 1) - 1
        if left:
            self._paths[path] = left
        else:
            self._paths.pop(path, None)

    def covers(self, path: str) -> bool:
        """Whether what the admin side says of that entry is older than what happened here."""
        return path in self._paths or any(path.startswith(p) for p in self._paths if p.endswith("/"))

    def take(self) -> list[str]:
        """All of them, and forget them."""
        paths = list(self._paths)
        self._paths.clear()
        return paths


class VmLink(Link):
    """The VM's end: asks for everything first."""

    def __init__(self, core: Core, log: Callable[[str], None], pending: Pending) -> None:
        super().__init__(core, log)
        self._pending = pending
        self._dump = Namespace()
        self._say(Message(Kind.MULTIREAD, ""))

    def repeat(self, message: Message) -> None:
        self._pending.add(message.path)
        super().repeat(message)

    def _synchronise(self, message: Message) -> None:
        if message.kind is not Kind.ENTRY or message.path.endswith("/"):
            raise PeerMisbehaved("Qubes DB message kind", f"{message.kind:d} where entries were asked for")
        if message.path:
            if not self._dump.write(message.path, message.data, ALL_LIMITS):
                raise PeerMisbehaved("Qubes DB limit", f"more than {ALL_LIMITS.entries} entries at once")
            return
        ours, both = self._core.namespace, self._dump
        self.synced = True
        for path in self._pending.take():
            value = ours.read(path)
            if value is None:
                if both.remove(path):
                    self.repeat(Message(Kind.RM, path))
            elif both.write(path, value, VM_LIMITS):
                self.repeat(Message(Kind.WRITE, path, value))
        self._core.replace(both)

    def _written(self, message: Message) -> None:
        if not self._pending.covers(message.path) and not self._core.take(message.path, message.data):
            raise PeerMisbehaved("Qubes DB limit", f"more than {ALL_LIMITS.entries} entries")

    def _removed(self, message: Message) -> None:
        self._core.take_removal(message.path, self._pending.covers)

    def _answered(self, path: str, kind: Kind) -> None:
        self._pending.acknowledged(path)
        super()._answered(path, kind)
