"""The local vchan: an AF_UNIX stream at `vchan.<server id>.<client id>.<port>.sock`, raw bytes without framing.

The same rendezvous as that of Qubes' libvchan-socket, so its C programs can be the other end. What they do and we rely
on: a server binds, listens and serves one client; it makes a new socket for the next one; a client tries again while
the socket is missing or refuses.

Our server stops listening and removes the socket as soon as it has its client. A second client so goes on waiting for
the next server instead of being connected to one that will never serve it.
"""

import fcntl
import select
import socket
import struct
import termios
from abc import abstractmethod
from pathlib import Path
from typing import Final

from backends.base import Vchan, VchanState
from backends.local.approach import Approach, Door, DoorApproach, PathApproach
from backends.rendezvous import ANCILLARY_BYTES, Listener, hang_up, received_descriptors
from shm.region import close_untrusted

DEFAULT_SOCKET_DIR: Final = "/var/run/vchan"
"""libvchan-socket's own; $VCHAN_SOCKET_DIR overrides it there and here."""
BUFFER_BYTES: Final = 256 * 1024
"""What each end asks the kernel to buffer of its writes. A Unix socket charges them to the sender alone."""

_READ_EVENTS: Final = select.EPOLLIN | select.EPOLLRDHUP
_GONE_EVENTS: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_SIOCOUTQ: Final = termios.TIOCOUTQ
_INT: Final = struct.Struct("@i")
# Linux 6.16: a socket may refuse descriptors. Before, they have to be received to be closed as `close_untrusted` does.
_SO_PASSRIGHTS: Final = 83
# Callers read with a large size. A new bytes object of that size would make libc map and unmap memory at every read.
_READ_BYTES: Final = 256 * 1024


def socket_path(directory: Path, server: int, client: int, port: int) -> Path:
    """Where server and client of that port meet."""
    return directory / f"vchan.{server}.{client}.{port}.sock"


class _Stream(Vchan):
    """What both ends do once they are connected.

    The one descriptor is an epoll that holds the sockets of the moment, so its number stays and callers poll only for
    reading. Everything in it is level-triggered. Space to write is part of it only after a short write.
    """

    def __init__(self, buffer_bytes: int) -> None:
        self._buffer_bytes = buffer_bytes
        self._epoll = select.epoll()
        self._socket: socket.socket | None = None
        self._state = VchanState.WAITING
        self._polled = False
        self._wants_space = False
        self._drained = False
        self._capacity = 0
        self._takes_descriptors = False
        self._buffer = memoryview(b"")

    @abstractmethod
    def _meet(self) -> socket.socket | None:
        """The connection to the peer, if it can be had now."""

    @abstractmethod
    def _part(self) -> None:
        """Let go of the place where we meet: we have met, lost each other, or give up. May be called twice."""

    def fileno(self) -> int:
        return self._epoll.fileno()

    @property
    def state(self) -> VchanState:
        return self._state

    def update(self) -> VchanState:
        if self._state is VchanState.WAITING:
            met = self._meet()
            if met is not None:
                self._begin(met)
        elif self._polled:
            self._drained = False
            for _, events in self._epoll.poll(0):
                if events & select.EPOLLOUT:
                    self._want_space(False)
                if events & _GONE_EVENTS:
                    self._lost()
            # The end of a stream polls readable for ever. Once it is noticed and all was read it is no news any more.
            if self._state is VchanState.DISCONNECTED and self._socket is not None and not self.data_ready():
                self._epoll.unregister(self._socket)
                self._polled = False
        return self._state

    def data_ready(self) -> int:
        if self._socket is None:
            return 0
        self._drained = False
        return _ioctl_int(self._socket, termios.FIONREAD)

    def buffer_space(self) -> int:
        if self._socket is None or self._state is not VchanState.CONNECTED:
            return 0
        # The kernel counts what bytes cost, up to about twice their number, and lets the last write go over the limit.
        free = self._capacity - _ioctl_int(self._socket, _SIOCOUTQ)
        return 0 if free <= 0 else max(1, free // 2)

    def read(self, size: int) -> bytes:
        # A short read emptied the queue. The second half of "read until nothing is left" then needs no system call:
        # what comes later polls readable again, because the descriptor is level-triggered.
        if self._drained:
            self._drained = False
            return b""
        if self._socket is None or size == 0:
            return b""
        size = min(size, _READ_BYTES)
        try:
            count = self._receive(self._socket, size)
        except BlockingIOError:
            return b""
        except OSError:
            count = 0
        if count == 0:
            self._lost()
        self._drained = count < size
        return bytes(self._buffer[:count])

    def write(self, data: bytes | bytearray | memoryview) -> int:
        if self._socket is None or self._state is not VchanState.CONNECTED:
            return 0
        try:
            written = self._socket.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            written = 0
        except OSError:
            self._lost()
            return 0
        short = written < len(data)
        if short is not self._wants_space:
            self._want_space(short)
        return written

    def close(self) -> None:
        self._part()
        if self._socket is not None:
            hang_up(self._socket)
            self._socket = None
        self._epoll.close()
        self._polled = self._drained = False
        self._state = VchanState.DISCONNECTED

    def _begin(self, met: socket.socket) -> None:
        met.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_bytes)
        try:
            met.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)
        except OSError:
            self._takes_descriptors = True
        self._capacity = met.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._socket = met
        self._epoll.register(met, _READ_EVENTS)
        self._polled = True
        self._state = VchanState.CONNECTED

    def _receive(self, connection: socket.socket, size: int) -> int:
        if not self._takes_descriptors:
            return connection.recv_into(self._buffer, size)
        count, ancillary, _, _ = connection.recvmsg_into([self._buffer[:size]], ANCILLARY_BYTES)
        for fd in received_descriptors(ancillary):
            close_untrusted(fd)
        return count

    def _want_space(self, wanted: bool) -> None:
        assert self._socket is not None
        self._wants_space = wanted
        if self._polled:
            self._epoll.modify(self._socket, _READ_EVENTS | (select.EPOLLOUT if wanted else 0))

    def _lost(self) -> None:
        if self._state is VchanState.CONNECTED:
            self._state = VchanState.DISCONNECTED
            self._part()


class LocalServer(_Stream):
    """The server end in domain `server`: waits for one client of domain `client`."""

    def __init__(
        self, directory: Path, server: int, client: int, port: int, *, buffer_bytes: int = BUFFER_BYTES
    ) -> None:
        """Listens when it returns. Raises MachineCannot when a live server has the port."""
        super().__init__(buffer_bytes)
        path = socket_path(directory, server, client, port)
        what = f"vchan port {port} of domain {server} for domain {client}"
        # The kernel queues one connection more than the backlog says.
        self._listener = Listener(path, socket.SOCK_STREAM, what, backlog=0)
        self._epoll.register(self._listener, select.EPOLLIN)

    def _meet(self) -> socket.socket | None:
        met = self._listener.accept()
        if met is not None:
            self._epoll.unregister(self._listener)
            self._listener.stop()
        return met

    def _part(self) -> None:
        self._listener.close()


class LocalClient(_Stream):
    """The client end in domain `client`: connects to the server in domain `server` when that exists."""

    def __init__(
        self,
        directory: Path,
        server: int,
        client: int,
        port: int,
        *,
        buffer_bytes: int = BUFFER_BYTES,
        door: Door | None = None,
    ) -> None:
        """Returns at once; the first look for the server is due, and `fileno()` says so."""
        super().__init__(buffer_bytes)
        path = socket_path(directory, server, client, port)
        self._approach: Approach | None = PathApproach(path) if door is None else DoorApproach(door, port)
        for fd in self._approach.filenos:
            self._epoll.register(fd, select.EPOLLIN)

    def _meet(self) -> socket.socket | None:
        assert self._approach is not None
        met = self._approach.look()
        if met is not None:
            self._part()
        return met

    def _part(self) -> None:
        if self._approach is not None:
            for fd in self._approach.filenos:
                self._epoll.unregister(fd)
            self._approach.close()
            self._approach = None


def _ioctl_int(connection: socket.socket, request: int) -> int:
    (value,) = _INT.unpack(fcntl.ioctl(connection, request, bytes(_INT.size)))
    return int(value)
