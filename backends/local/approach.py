"""How a client comes to a connection with a server: by itself, through the socket file, or through a door.

Whoever runs inside another domain's sandbox sees no socket files of others. It has a door instead: a socket to somebody
outside who connects for it, to a few servers of one domain and no others, and hands the connections in.
"""

import contextlib
import os
import select
import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from backends.arrival import Arrival
from backends.base import MachineCannot
from backends.rendezvous import ANCILLARY_BYTES, connect, is_fresh, received_descriptors
from shm.region import close_untrusted

VCHAN: Final = b"V"
"""Asks, with the port's number behind it, for a connection to that vchan's server; the answer is the same with a
descriptor, as soon as there is one.
"""
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
    """The inner end of a door, `connection`, a SOCK_SEQPACKET socket. One approach at a time to each server."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._approaches: dict[bytes, DoorApproach] = {}
        self._asked_pages = False
        self._pages: socket.socket | None = None
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

    def enter(self, what: bytes, approach: "DoorApproach") -> None:
        """Ask, and give the answer to `approach`. Raises MachineCannot as `ask`."""
        self.ask(what)
        self._approaches[what] = approach

    def leave(self, what: bytes) -> None:
        """Nobody waits for that answer any more."""
        self._approaches.pop(what, None)

    def look(self) -> None:
        """Take the answers that are there to whom they are for. Those that nobody waits for are dropped.

        Raises MachineCannot as `ask`.
        """
        while True:
            try:
                said, ancillary, _, _ = self._connection.recvmsg(16, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                said, ancillary = b"", []
            fds = received_descriptors(ancillary)
            if not said:
                raise MachineCannot("nobody connects for us any more", "the supervisor has ended")
            approach = self._approaches.pop(said, None)
            awaited = approach is not None or (said == PAGES and self._asked_pages)
            if len(fds) > 1 or not awaited:
                for fd in fds:
                    close_untrusted(fd)
                continue
            met = socket.socket(fileno=fds[0]) if fds else None
            if met is not None:
                met.setblocking(False)
            if approach is not None:
                approach.answered(met)
            else:
                self._asked_pages, self._pages = False, met

    def pages(self) -> socket.socket | None:
        """A connection to the sharer of pages, if there is one. Raises MachineCannot when the answer does not come."""
        self.ask(PAGES)
        self._asked_pages = True
        while self._asked_pages:
            ready, _, _ = select.select([self._connection], [], [], _PAGES_SECONDS)
            if not ready:
                raise MachineCannot("whoever connects for us does not answer", "is the supervisor stopped?")
            self.look()
        met, self._pages = self._pages, None
        return met


class DoorApproach(Approach):
    """Waits for somebody outside to have connected."""

    def __init__(self, door: Door, port: int) -> None:
        """Raises MachineCannot."""
        self._door = door
        self._what = VCHAN + b"%d" % port
        self._met: socket.socket | None = None
        # Whoever looks at the door first takes all answers off it; this tells the others of theirs.
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            door.enter(self._what, self)
        except BaseException:
            os.close(self._bell)
            raise

    @property
    def filenos(self) -> tuple[int, ...]:
        return (self._door.fileno(), self._bell)

    def look(self) -> socket.socket | None:
        self._door.look()
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        met, self._met = self._met, None
        return met

    def answered(self, met: socket.socket | None) -> None:
        """The door has this for us."""
        self._met = met
        os.eventfd_write(self._bell, 1)

    def close(self) -> None:
        """The door stays open for the next."""
        self._door.leave(self._what)
        if self._met is not None:
            self._met.close()
            self._met = None
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1


def keep_door(outer: socket.socket, vchans: Mapping[int, Path], pages: Path) -> None:
    """Connect for whoever is inside, until he closes his end. Call it in a process of its own.

    `vchans`, `pages`: the servers' socket files, those of vchans by port. Whoever is inside can ask for these and for
    nothing else.
    """
    outer.setblocking(False)
    poll = select.poll()
    poll.register(outer, select.POLLIN)
    places = {VCHAN + b"%d" % port: path for port, path in vchans.items()}
    approaches: dict[bytes, PathApproach] = {}
    with contextlib.suppress(OSError):
        while True:
            poll.poll()
            try:
                asked = outer.recv(16)
            except BlockingIOError:
                asked = None
            if asked == b"":
                return
            if asked in places and asked not in approaches:
                approaches[asked] = approach = PathApproach(places[asked])
                for fd in approach.filenos:
                    poll.register(fd, select.POLLIN)
            elif asked == PAGES:
                _hand_in(outer, PAGES, connect(pages, socket.SOCK_SEQPACKET))
            for what, approach in list(approaches.items()):
                if (met := approach.look()) is not None:
                    for fd in approach.filenos:
                        poll.unregister(fd)
                    approach.close()
                    del approaches[what]
                    _hand_in(outer, what, met)


def _hand_in(outer: socket.socket, what: bytes, met: socket.socket | None) -> None:
    if met is None:
        outer.send(what, socket.MSG_NOSIGNAL)
        return
    with met:
        socket.send_fds(outer, [what], [met.fileno()], socket.MSG_NOSIGNAL)
