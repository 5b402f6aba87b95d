"""The process that serves one VM's namespace on one side: two local sockets, a vchan to the other side, and a file.

It never waits for any of them. The other daemon may come and go; one that breaks the protocol, or leaves no room, is
cut off and met again after a pause that grows. In the VM the sockets appear when the first synchronisation is complete,
so that nobody reads half of it.
"""

import logging
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from backends.base import Backend, Vchan, VchanState
from backends.rendezvous import Listener
from guiproto.errors import MachineCannot, PeerMisbehaved
from guiproto.ports import ADMIN_DOMID, QUBESDB_PORT
from qubesdb.core import Client, Core, Side
from qubesdb.link import AdminLink, Link, Pending, VmLink
from qubesdb.namespace import ALL_LIMITS, Namespace
from qubesdb.sockets import listen, receive, send, socket_path
from qubesdb.store import Damaged, Store
from qubesdb.wire import MAX_CLIENTS

_READ_BYTES: Final = 4096
"""Taken from the other daemon at a time: what its ring holds in the existing implementation."""
_SAVING_SHARE: Final = 5
"""Of the time, at most one part in so many goes into writing the file, however fast a VM makes changes."""
_SAVE_SECONDS: Final = 0.2
"""But no change waits longer than that to be written."""
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 30.0
_BRIEF_SECONDS: Final = 0.25
"""A connection that was shorter has helped nobody."""
_WRITABLE: Final = (True, False)
"""Of the two sockets."""

log = logging.getLogger("qubesdb")


@dataclass(frozen=True, slots=True)
class Places:
    """Where a daemon meets others. `store`: None where nothing is kept."""

    sockets: Path
    vm: str | None
    open_vchan: Callable[[], Vchan]
    store: Store | None = None


class Daemon:
    """Serves until `run` is told to stop."""

    def __init__(self, core: Core, make_link: Callable[[], Link], places: Places) -> None:
        """Listens on the admin side. Raises MachineCannot, for example when there is another daemon."""
        self._core = core
        self._make_link = make_link
        self._places = places
        self._epoll = select.epoll()
        self._wakers: dict[int, Callable[[], None]] = {}
        self._listeners: list[Listener] = []
        self._clients: dict[socket.socket, Client] = {}
        self._vchan: Vchan | None = None
        self._link: Link = make_link()
        self._pause = 0.0
        self._meet_at = 0.0
        self._synced_at = 0.0
        self._saved = -1
        self._save_at = 0.0
        self._said = ""
        self._stopping = False
        self.on_ready: Callable[[], None] = lambda: None
        """Called when the sockets are there."""
        core.repeater = self._link
        if core.side is Side.ADMIN:
            self._listen()

    def run(self, fd: int, wake: Callable[[], bool] = lambda: True) -> None:
        """Serve until `fd` is readable and `wake`, which may `put` values, says that this means to stop.

        Raises MachineCannot when this machine lets us down.
        """

        def woken() -> None:
            self._stopping = wake()

        self._watch(fd, woken)
        while not self._stopping:
            self._meet_if_due()
            self._settle()
            for fd, _ in self._epoll.poll(self._patience()):
                waker = self._wakers.get(fd)
                if waker is not None:  # otherwise it was closed by one before it in this turn
                    waker()
        self._save_at = 0.0
        self._save()

    def put(self, path: str, value: bytes) -> None:
        """Set a value on this side, as far as there is room for it."""
        self._core.put(path, value)

    def close(self) -> None:
        """Hang up everywhere."""
        for connection in list(self._clients):
            self._drop(connection)
        for listener in self._listeners:
            listener.close()
        if self._vchan is not None:
            self._vchan.close()
        self._epoll.close()

    def _watch(self, fd: int, waker: Callable[[], None]) -> None:
        self._epoll.register(fd, select.EPOLLIN)
        self._wakers[fd] = waker

    def _unwatch(self, fd: int) -> None:
        self._epoll.unregister(fd)
        del self._wakers[fd]

    def _settle(self) -> None:
        """Once a turn: keep what has changed, then let the answers out. So what is acknowledged is kept."""
        if not self._save():
            return
        for client in self._core.overdue():
            self._drop(next(connection for connection, known in self._clients.items() if known is client))
        for connection, client in list(self._clients.items()):
            if client.out:
                self._flush(connection, client)
        vchan, link = self._vchan, self._link
        if vchan is not None and vchan.state is VchanState.CONNECTED and link.out:
            try:
                del link.out[: vchan.write(link.out)]
                link.check()
            except PeerMisbehaved as error:
                self._cut_off(error)

    # --- the other daemon ---

    def _meet_if_due(self) -> None:
        if self._vchan is None and time.monotonic() >= self._meet_at:
            try:
                self._vchan = self._places.open_vchan()
            except MachineCannot as error:
                self._again_later(f"no vchan to the other side: {error}")
                return
            self._watch(self._vchan.fileno(), self._hear)

    def _hear(self) -> None:
        vchan = self._vchan
        assert vchan is not None
        try:
            if vchan.update() is VchanState.WAITING:
                return
            before = self._link.synced
            if data := vchan.read(_READ_BYTES):
                self._link.receive(data)
            if self._link.synced and not before:
                self._synced_at = time.monotonic()
                self._synchronised()
            if not data and vchan.update() is VchanState.DISCONNECTED and not vchan.data_ready():
                self._lost()
        except PeerMisbehaved as error:
            self._cut_off(error)
        except MachineCannot as error:
            self._hang_up()
            self._again_later(str(error))

    def _synchronised(self) -> None:
        log.debug("both sides have the same %d entries", len(self._core.namespace))
        if len(self._listeners) < len(_WRITABLE):
            self._listen()
            self.on_ready()

    def _lost(self) -> None:
        log.debug("the other side is gone; waiting for it")
        if self._link.synced:
            self._said = ""
        # One that comes and goes is not to be met as fast as it can.
        now = time.monotonic()
        lasted = self._link.synced and now - self._synced_at >= _BRIEF_SECONDS
        self._pause = 0.0 if lasted else min(max(_FIRST_PAUSE, 2 * self._pause), _LONGEST_PAUSE)
        self._meet_at = now + self._pause
        self._hang_up()

    def _cut_off(self, error: PeerMisbehaved) -> None:
        self._hang_up()
        self._again_later(f"the other side misbehaved: {error}")

    def _again_later(self, why: str) -> None:
        self._pause = min(max(_FIRST_PAUSE, 2 * self._pause), _LONGEST_PAUSE)
        self._meet_at = time.monotonic() + self._pause
        if why != self._said:
            log.warning("%s; again in %g s, then less often", why, self._pause)
            self._said = why

    def _hang_up(self) -> None:
        vchan, self._vchan = self._vchan, None
        assert vchan is not None
        self._unwatch(vchan.fileno())
        vchan.close()
        self._link = self._core.repeater = self._make_link()

    def _patience(self) -> float | None:
        moments = [] if self._vchan is not None else [self._meet_at]
        if self._places.store is not None and self._saved != self._core.changes:
            moments.append(self._save_at)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    # --- local clients ---

    def _listen(self) -> None:
        for writable in _WRITABLE[len(self._listeners) :]:
            path = socket_path(self._places.sockets, self._places.vm, writable=writable)
            listener = listen(path, writable=writable)
            self._listeners.append(listener)
            self._watch(listener.fileno(), partial(self._accept, listener, writable))

    def _accept(self, listener: Listener, writable: bool) -> None:
        connection = listener.accept()
        if connection is None:
            return
        if len(self._clients) >= MAX_CLIENTS:
            connection.close()
            return
        client = self._clients[connection] = self._core.add(writable=writable)
        self._watch(connection.fileno(), lambda: self._serve(connection, client))

    def _serve(self, connection: socket.socket, client: Client) -> None:
        try:
            if client.out:
                self._flush(connection, client)
            elif not receive(connection, lambda data: self._core.receive(client, data)):
                self._drop(connection)
        except PeerMisbehaved as error:
            log.info("a local client misbehaved: %s", error)
            self._drop(connection)

    def _flush(self, connection: socket.socket, client: Client) -> None:
        """Send, and let it go on when it has read: what it asked meanwhile is waiting."""
        try:
            while send(connection, client.out):
                if client.out:
                    self._epoll.modify(connection.fileno(), select.EPOLLOUT)
                    return
                self._core.proceed(client)
                if not client.out:
                    self._epoll.modify(connection.fileno(), select.EPOLLIN)
                    return
        except PeerMisbehaved as error:
            log.info("a local client misbehaved: %s", error)
        self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._core.drop(self._clients.pop(connection))
        self._unwatch(connection.fileno())
        connection.close()

    # --- the file ---

    def _save(self) -> bool:
        """Write the file, if that is due; whether everything is in it."""
        store = self._places.store
        if store is None or self._saved == self._core.changes:
            return True
        began = time.monotonic()
        if began < self._save_at:
            return False
        try:
            store.write(self._core.namespace)
        except MachineCannot as error:
            log.error("%s", error)
        self._saved = self._core.changes
        ended = time.monotonic()
        self._save_at = ended + min((ended - began) * (_SAVING_SHARE - 1), _SAVE_SECONDS)
        return True


def admin_daemon(
    backend: Backend,
    vm: str,
    domid: int,
    sockets: Path,
    store: Store,
    first: Mapping[str, bytes],
    certain: Mapping[str, bytes | None] = MappingProxyType({}),
) -> Daemon:
    """The admin side's for that VM. Raises MachineCannot.

    `first`: the entries that a life of the VM begins with. `certain`: those that have these values whenever the daemon
    starts, None for those that are not there then.
    """
    try:
        kept = store.read()
    except Damaged as error:
        log.error("%s", error)
        kept = None
    namespace = kept
    if namespace is None:
        namespace = Namespace()
        for path, value in first.items():
            namespace.write(path, value, ALL_LIMITS)
    for path, wanted in certain.items():
        if wanted is None:
            namespace.remove(path)
        else:
            namespace.write(path, wanted, ALL_LIMITS)
    core = Core(Side.ADMIN, namespace)
    return Daemon(
        core,
        lambda: AdminLink(core, log.warning),
        Places(sockets, vm, lambda: backend.server(ADMIN_DOMID, domid, QUBESDB_PORT), store),
    )


def vm_daemon(backend: Backend, domid: int, sockets: Path) -> Daemon:
    """That in the VM, which is this domain. Raises MachineCannot."""
    core, pending = Core(Side.VM, Namespace()), Pending()
    try:
        sockets.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise MachineCannot(f"cannot make {sockets}: {error.strerror}", "its owner has to make it") from None
    return Daemon(
        core,
        lambda: VmLink(core, log.warning, pending),
        Places(sockets, None, lambda: backend.client(domid, ADMIN_DOMID, QUBESDB_PORT)),
    )
