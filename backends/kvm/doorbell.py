"""What wakes up the other side of a vchan in shared memory: bytes on a line, whose number and values mean nothing.

By default the line is a virtio-serial port, which every kernel has and libvirt gives to anybody: a character device in
the guest, a Unix socket of QEMU on the host. QEMU serves one connection at a time and keeps the next ones waiting.
"""

import contextlib
import os
import select
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Final

from backends.arrival import Arrival
from backends.rendezvous import connect, is_fresh
from guiproto.errors import MachineCannot

_RING: Final = b"!"
_DRAIN_BYTES: Final = 4096
_DRAINS: Final = 64
_ARRIVALS: Final = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET
_GONE: Final = select.POLLHUP | select.POLLRDHUP | select.POLLERR


class Doorbell(ABC):
    """One end of the line. It registers whatever wakes it up with an epoll that it is given."""

    @abstractmethod
    def look(self) -> bool:
        """Whether the other end is there now; connects to it, if that is possible and was not done."""

    @abstractmethod
    def ring(self) -> None:
        """Wake up the other side. Never blocks: a line that is full of rings rings."""

    @abstractmethod
    def silence(self) -> None:
        """Forget what has rung. Call it before looking at what it may have rung for."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the line. May be called twice."""


MakeDoorbell = Callable[[select.epoll], Doorbell]


class PortDoorbell(Doorbell):
    """The guest's end: a virtio-serial port.

    The port polls as hung up for as long as nobody is connected on the host, and a poll for it would never sleep. So
    until somebody is, it wakes up once for each change (edge-triggered): the kernel reports the arrival as one, and as
    the only difference of a port that was silent before, that it can be written to.
    """

    def __init__(self, epoll: select.epoll, path: Path) -> None:
        """Raises MachineCannot when there is no such port, or another process has it."""
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise MachineCannot(
                f"cannot open {path}: {error.strerror}", "is this a VM that guid made, and no other agent running?"
            ) from None
        self._epoll = epoll
        self._mode = _ARRIVALS
        epoll.register(self._fd, self._mode)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def look(self) -> bool:
        if self._mode == _ARRIVALS:
            # An edge is over when the epoll itself was asked, and until then whoever polls the epoll is told of it.
            self._epoll.poll(0)
        there = not any(events & _GONE for _, events in self._poll.poll(0))
        mode = select.EPOLLIN if there else _ARRIVALS
        if mode != self._mode:
            self._mode = mode
            self._epoll.modify(self._fd, mode)
        return there

    def ring(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._fd, _RING)

    def silence(self) -> None:
        # Without a host the end of file; with one, EAGAIN once it is empty.
        with contextlib.suppress(OSError):
            while len(os.read(self._fd, _DRAIN_BYTES)) == _DRAIN_BYTES:
                pass

    def close(self) -> None:
        if self._fd >= 0:
            self._epoll.unregister(self._fd)
            os.close(self._fd)
            self._fd = -1


class ChannelDoorbell(Doorbell):
    """The host's end: a connection to QEMU's socket for the port, which is there while the VM runs."""

    def __init__(self, epoll: select.epoll, path: Path) -> None:
        self._epoll = epoll
        self._path = path
        self._socket: socket.socket | None = None
        self._poll = select.poll()
        self._arrival: Arrival | None = None
        self._wait()

    def look(self) -> bool:
        if self._arrival is not None:
            self._arrival.begin_look()
            self._socket = connect(self._path, socket.SOCK_STREAM)
            if self._socket is None:
                if is_fresh(self._path):
                    self._arrival.retry()
                return False
            self._stop_waiting()
            self._epoll.register(self._socket, select.EPOLLIN | select.EPOLLRDHUP)
            self._poll.register(self._socket, select.POLLRDHUP)
        if any(events & _GONE for _, events in self._poll.poll(0)):
            self._hang_up()  # or its end would wake us up for ever
            self._wait()
        return self._socket is not None

    def ring(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.send(_RING, socket.MSG_NOSIGNAL)

    def silence(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                for _ in range(_DRAINS):  # a guest that rings without end must not keep us here
                    if len(self._socket.recv(_DRAIN_BYTES)) < _DRAIN_BYTES:
                        break

    def close(self) -> None:
        self._stop_waiting()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._poll.unregister(self._socket)
            self._epoll.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _wait(self) -> None:
        self._arrival = Arrival(self._path)
        for fd in self._arrival.filenos:
            self._epoll.register(fd, select.EPOLLIN)

    def _stop_waiting(self) -> None:
        if self._arrival is not None:
            for fd in self._arrival.filenos:
                self._epoll.unregister(fd)
            self._arrival.close()
            self._arrival = None
