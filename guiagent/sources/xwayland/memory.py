"""Between an agent and who keeps its Xwayland: which memory each window is drawn into, and who manages the windows.

Messages of one struct each, on a socket that keeps them apart. The keeper says everything that it knows to whoever
connects, and then what changes; a message about a window's memory brings its descriptor.
"""

import os
import select
import socket
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple, Self

from backends.rendezvous import ANCILLARY_BYTES, received_descriptors
from guiproto.errors import MachineCannot

SOCKET_PROPERTY: Final = "_ODYSSEY_WINDOW_MEMORY"
"""A property of the root window: the path of the keeper's socket, text."""

NEWS: Final = Struct("=6I")
"""From the keeper: window, width, height, offset and stride in bytes, 0. All 0: the agent may manage windows now.

Width 0: the window has no memory that is known.
"""
ORDER: Final = Struct("=4I")
"""To the keeper: one of the kinds below, and what it needs."""
READY: Final = 0
"""The agent would manage windows."""
TAKEN: Final = 1
"""The agent manages windows."""
SURFACE: Final = 2
"""Window and the id of its wl_surface, as Xwayland tells the window manager."""
WANT: Final = 3
"""Window, width and height: its memory is of another size."""
SCREEN: Final = 4
"""Width and height of the screen."""

_SECONDS: Final = 10.0


@dataclass(eq=False, slots=True)
class WindowMemory:
    """Pixels of a window, where Xwayland draws them: rows of `stride` bytes from `offset` of `fd` on. Owns `fd`."""

    fd: int
    width: int
    height: int
    offset: int
    stride: int

    def close(self) -> None:
        """May be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class News(NamedTuple):
    """A window is drawn there now; None: its memory is gone, or not known."""

    window: int
    memory: WindowMemory | None


class Keeper:
    """The keeper, from an agent's side. `fileno` polls readable when `news` has some."""

    def __init__(self, path: Path) -> None:
        """Raises MachineCannot when it does not answer."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._granted = False
        self._early: list[News] = []
        try:
            self._socket.settimeout(_SECONDS)
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise MachineCannot(f"who keeps Xwayland does not answer: {error}", "start the AppVM again") from None
        self._socket.setblocking(True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Its number does not change until `close`."""
        return self._socket.fileno()

    def wait_for_grant(self) -> None:
        """Return when this process may manage windows; do it soon then, and say `taken`. Raises MachineCannot."""
        self._send(READY)
        while not self._granted:
            if not select.select([self._socket], [], [], _SECONDS)[0]:
                raise MachineCannot("who keeps Xwayland does not let us manage windows", "does another agent run?")
            self._early = self.news()

    def taken(self) -> None:
        """This process manages windows now."""
        self._send(TAKEN)

    def associate(self, window: int, surface: int) -> None:
        """Xwayland has told us which surface a window is."""
        self._send(SURFACE, window, surface)

    def want(self, window: int, width: int, height: int) -> None:
        """The window has that size, and the memory that we know of has not."""
        self._send(WANT, window, width, height)

    def screen(self, width: int, height: int) -> None:
        """Have a screen of that size."""
        self._send(SCREEN, width, height)

    def news(self) -> list[News]:
        """What has arrived; the memory is the caller's to close. Raises MachineCannot when the keeper is gone."""
        found, self._early = self._early, []
        while True:
            try:
                flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
                data, ancillary, _, _ = self._socket.recvmsg(NEWS.size, ANCILLARY_BYTES, flags)
            except BlockingIOError:
                return found
            except OSError:
                data, ancillary = b"", []
            fds = received_descriptors(ancillary)
            if len(data) != NEWS.size:
                raise MachineCannot("Xwayland is gone", "start the AppVM again")
            window, width, height, offset, stride, _ = NEWS.unpack(data)
            if not window:
                self._granted = True
            elif fds:
                found.append(News(window, WindowMemory(fds[0], width, height, offset, stride)))
            else:
                found.append(News(window, None))

    def close(self) -> None:
        """May be called twice."""
        for _, memory in self._early:
            if memory is not None:
                memory.close()
        self._early = []
        self._socket.close()

    def _send(self, kind: int, *words: int) -> None:
        try:
            self._socket.send(ORDER.pack(kind, *(*words, 0, 0, 0)[:3]), socket.MSG_NOSIGNAL)
        except OSError:
            raise MachineCannot("Xwayland is gone", "start the AppVM again") from None
