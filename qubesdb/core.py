"""What a daemon does: local clients' requests are answered, changes are repeated to the other daemon, watches fire.

Pure. Bytes come in through `receive`, what is to be sent waits in the `out` of each client and of the link. A client is
not heard while it leaves its answers unread, and dropped when that becomes too much.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from guiproto.errors import PeerMisbehaved
from qubesdb.namespace import ALL_LIMITS, VM_LIMITS, Namespace, concerns
from qubesdb.wire import Decoder, Kind, Message, encode

_UNHEARD_FROM: Final = 64 * 1024
"""With so many bytes of answers unread, a client's next request waits."""
_CLIENT_LIMIT: Final = 4 << 20
"""With so many it is dropped: an answer with a whole namespace is less, so these are watches that nobody reads."""


class Side(Enum):
    """Which of the two daemons this is."""

    ADMIN = "admin"
    VM = "vm"


@dataclass(eq=False, slots=True)
class Client:
    """A local connection. `writable`: whether it came over the socket for writing."""

    writable: bool
    decoder: Decoder = field(default_factory=Decoder)
    out: bytearray = field(default_factory=bytearray)
    watches: list[str] = field(default_factory=list)

    @property
    def heard(self) -> bool:
        """Whether its next request would be taken now."""
        return len(self.out) < _UNHEARD_FROM


class Repeater(Protocol):
    """Who tells the other daemon."""

    def repeat(self, message: Message) -> None:
        """A local client has changed something."""


class Core:
    """One namespace and its local clients."""

    def __init__(self, side: Side, namespace: Namespace) -> None:
        self.side = side
        self.namespace = namespace
        self.changes = 0
        """Grows with every change of the namespace."""
        self.repeater: Repeater | None = None
        self._limits = ALL_LIMITS if side is Side.ADMIN else VM_LIMITS
        self._clients: list[Client] = []
        self._handlers: dict[Kind, Callable[[Client, Message], None]] = {
            Kind.READ: self._read,
            Kind.WRITE: self._write,
            Kind.MULTIREAD: self._multiread,
            Kind.LIST: self._list,
            Kind.RM: self._remove,
            Kind.WATCH: self._watch,
            Kind.UNWATCH: self._unwatch,
        }

    # --- local clients ---

    def add(self, *, writable: bool) -> Client:
        """Somebody has connected."""
        client = Client(writable)
        self._clients.append(client)
        return client

    def drop(self, client: Client) -> None:
        """It is gone."""
        self._clients.remove(client)

    def receive(self, client: Client, data: bytes) -> None:
        """It has sent these bytes. Raises PeerMisbehaved if it has to be dropped for them."""
        client.decoder.feed(data)
        self.proceed(client)

    def proceed(self, client: Client) -> None:
        """Answer what it has sent, as far as it reads the answers. Raises PeerMisbehaved."""
        while client.heard and (message := client.decoder.next()) is not None:
            handler = self._handlers.get(message.kind)
            if handler is None:
                raise PeerMisbehaved("Qubes DB message kind", f"{message.kind:d} from a client")
            handler(client, message)

    def overdue(self) -> Iterable[Client]:
        """Clients that have to be dropped because they do not read."""
        return [client for client in self._clients if len(client.out) > _CLIENT_LIMIT]

    def put(self, path: str, value: bytes) -> None:
        """Set a value, as a local client that may write does; where there is no room for it nothing happens."""
        if self.namespace.read(path) != value and self.namespace.write(path, value, self._limits):
            self._repeat(Message(Kind.WRITE, path, value))
            self._changed(path)

    # --- changes that come from the other daemon ---

    def take(self, path: str, value: bytes) -> bool:
        """Set a value; False, and nothing happens, if the other side may not fill up so much."""
        if not self.namespace.write(path, value, VM_LIMITS if self.side is Side.ADMIN else ALL_LIMITS):
            return False
        self._changed(path)
        return True

    def take_removal(self, path: str, spared: Callable[[str], bool] = lambda _: False) -> None:
        """Remove one entry or all below a path that ends with a slash, without those that are `spared`."""
        names = [name for name, _ in self.namespace.below(path)] if path.endswith("/") else [path]
        for name in names:
            if not spared(name) and self.namespace.remove(name):
                self._changed(name)

    def replace(self, namespace: Namespace) -> None:
        """Have this namespace instead; whoever watches what is different hears of it."""
        before, after = dict(self.namespace), dict(namespace)
        self.namespace = namespace
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) != after.get(path):
                self._changed(path)

    # --- requests ---

    def _read(self, client: Client, message: Message) -> None:
        value = self.namespace.read(message.path)
        client.out += encode(
            Message(Kind.NO_ENTRY, message.path) if value is None else Message(Kind.VALUE, message.path, value)
        )

    def _multiread(self, client: Client, message: Message) -> None:
        client.out += encode_entries(self.namespace, message.path)

    def _list(self, client: Client, message: Message) -> None:
        for path, _ in self.namespace.below(message.path):
            client.out += encode(Message(Kind.PATH, path))
        client.out += encode(Message(Kind.PATH, ""))

    def _write(self, client: Client, message: Message) -> None:
        if not client.writable or not self.namespace.write(message.path, message.data, self._limits):
            client.out += encode(Message(Kind.ERROR, message.path))
            return
        self._repeat(message)
        client.out += encode(Message(Kind.OK, message.path))
        self._changed(message.path)

    def _remove(self, client: Client, message: Message) -> None:
        if not client.writable:
            client.out += encode(Message(Kind.ERROR, message.path))
            return
        gone = self.namespace.remove(message.path)
        if gone:
            self._repeat(message)
        client.out += encode(Message(Kind.OK if gone else Kind.NO_ENTRY, message.path))
        for path in gone:
            self._changed(path)

    def _watch(self, client: Client, message: Message) -> None:
        if len(client.watches) >= VM_LIMITS.entries:
            client.out += encode(Message(Kind.ERROR, message.path))
            return
        client.watches.append(message.path)
        client.out += encode(Message(Kind.OK, message.path))

    def _unwatch(self, client: Client, message: Message) -> None:
        found = message.path in client.watches
        if found:
            client.watches.remove(message.path)
        client.out += encode(Message(Kind.OK if found else Kind.NO_ENTRY, message.path))

    # --- small things ---

    def _repeat(self, message: Message) -> None:
        if self.repeater is not None:
            self.repeater.repeat(message)

    def _changed(self, path: str) -> None:
        self.changes += 1
        for client in self._clients:
            for watched in client.watches:
                if concerns(watched, path):
                    client.out += encode(Message(Kind.CHANGED, path))


def encode_entries(namespace: Namespace, prefix: str = "") -> bytes:
    """The answer to MULTIREAD. Everything comes in reverse order, which spares the existing daemon's sorted list."""
    entries = namespace.below(prefix)
    ordered = entries if prefix else reversed(entries)
    records = b"".join(encode(Message(Kind.ENTRY, path, value)) for path, value in ordered)
    return records + encode(Message(Kind.ENTRY, ""))
