"""How a client comes to a connection with a server: by itself, through the socket file, or through a door.

Whoever runs inside another domain's sandbox sees no socket files of others. It has a door instead: a socket to somebody
outside who connects for it, to one server and no other, and hands the connection in.
"""

import contextlib
import select
import socket
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

from backends.arrival import Arrival
from backends.base import MachineCannot
from backends.rendezvous import ANCILLARY_BYTES, connect, is_fresh, received_descriptors
from shm.region import close_untrusted

VCHAN: Final = b"V"
"""Asks for a connection to the vchan's server; the answer is the same with a descriptor, as soon as there is one."""
PAGES: Final = b"P"
"""Asks for one to the sharer of pages; answered at once, without a descriptor when nobody shares."""
_PAGES_SECONDS: Final = 5.0


class Approach(ABC):
    """One client's way to one server."""

    @property
    @abstractmethod
    def filenos(self) -> tuple[int, ...]:
        """Any of them polls readable when it is worth to look; the first time at once."""

    @abstractmethod
    def look(self) -> socket.socket | None:
        """A non-blocking connection, if it can be had now."""

    @abstractmethod
    def close(self) -> None:
        """Give up, or have enough. May be called twice."""


class PathApproach(Approach):
    """Waits for the socket file."""

    def __init__(self, path: Path) -> None:
        """Raises MachineCannot when the system has no watch left."""
        self._path = path.absolute()
        self._arrival = Arrival(self._path)

    @property
    def filenos(self) -> tuple[int, ...]:
        return self._arrival.filenos

    def look(self) -> socket.socket | None:
        self._arrival.begin_look()
        met = connect(self._path, socket.SOCK_STREAM)
        if met is None and is_fresh(self._path):
            self._arrival.retry()
        return met

    def close(self) -> None:
        self._arrival.close()


class Door:
    """The inner end of a door, `connection`, a SOCK_SEQPACKET socket. One approach at a time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.setblocking(False)

    def fileno(self) -> int:
        """Polls readable when there is an answer."""
        return self._connection.fileno()

    def ask(self, what: bytes) -> None:
        """Raises MachineCannot when nobody is behind the door any more."""
        try:
            self._connection.send(what, socket.MSG_NOSIGNAL)
        except OSError as error:
            raise MachineCannot(
                f"nobody connects for us any more: {error.strerror}", "the supervisor has ended"
            ) from None

    def answer(self, what: bytes) -> tuple[bool, socket.socket | None]:
        """Whether that has been answered, and the connection. Answers to what nobody waits for are dropped.

        Raises MachineCannot as `ask`.
        """
        while True:
            try:
                said, ancillary, _, _ = self._connection.recvmsg(16, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return False, None
            except OSError:
                said, ancillary = b"", []
            fds = received_descriptors(ancillary)
            if not said:
                raise MachineCannot("nobody connects for us any more", "the supervisor has ended")
            if said == what and len(fds) <= 1:
                met = socket.socket(fileno=fds[0]) if fds else None
                if met is not None:
                    met.setblocking(False)
                return True, met
            for fd in fds:
                close_untrusted(fd)

    def pages(self) -> socket.socket | None:
        """A connection to the sharer of pages, if there is one. Raises MachineCannot when the answer does not come."""
        self.ask(PAGES)
        while True:
            ready, _, _ = select.select([self._connection], [], [], _PAGES_SECONDS)
            if not ready:
                raise MachineCannot("whoever connects for us does not answer", "is the supervisor stopped?")
            answered, met = self.answer(PAGES)
            if answered:
                return met


class DoorApproach(Approach):
    """Waits for somebody outside to have connected."""

    def __init__(self, door: Door) -> None:
        """Raises MachineCannot."""
        self._door = door
        door.ask(VCHAN)

    @property
    def filenos(self) -> tuple[int, ...]:
        return (self._door.fileno(),)

    def look(self) -> socket.socket | None:
        return self._door.answer(VCHAN)[1]

    def close(self) -> None:
        """The door stays open for the next."""


def keep_door(outer: socket.socket, vchan: Path, pages: Path) -> None:
    """Connect for whoever is inside, until he closes his end. Call it in a process of its own.

    `vchan`, `pages`: the two servers' socket files. Whoever is inside can ask for these and for nothing else.
    """
    outer.setblocking(False)
    poll = select.poll()
    poll.register(outer, select.POLLIN)
    approach: Approach | None = None
    with contextlib.suppress(OSError):
        while True:
            poll.poll()
            try:
                asked = outer.recv(16)
            except BlockingIOError:
                asked = None
            if asked == b"":
                return
            if asked == VCHAN and approach is None:
                approach = PathApproach(vchan)
                for fd in approach.filenos:
                    poll.register(fd, select.POLLIN)
            elif asked == PAGES:
                _hand_in(outer, PAGES, connect(pages, socket.SOCK_SEQPACKET))
            if approach is not None and (met := approach.look()) is not None:
                for fd in approach.filenos:
                    poll.unregister(fd)
                approach.close()
                approach = None
                _hand_in(outer, VCHAN, met)


def _hand_in(outer: socket.socket, what: bytes, met: socket.socket | None) -> None:
    if met is None:
        outer.send(what, socket.MSG_NOSIGNAL)
        return
    with met:
        socket.send_fds(outer, [what], [met.fileno()], socket.MSG_NOSIGNAL)
