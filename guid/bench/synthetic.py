"""An agent without an AppVM: it drives one real worker as fast as it can, or exactly as told."""

import select
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backends.base import Backend, SharedPages, VchanState
from guiproto.connection import AgentConnection, DaemonHello
from guiproto.encoder import encode_damage
from guiproto.errors import MachineCannot
from guiproto.limits import BYTES_PER_PIXEL, GUI_PORT
from guiproto.messages import Create, DamageBatch, Destroy, Map, Message, WindowDump, WindowDumpAck

_TIMEOUT: Final = 20.0


class SyntheticAgent:
    """Speaks the protocol on a real vchan and shares real pages. Blocking; for benchmarks and tests only."""

    def __init__(self, backend: Backend, domid: int, gui_domid: int) -> None:
        self._sharer = backend.sharer(domid, gui_domid)  # before anybody can connect and look for pages
        self._vchan = backend.server(domid, gui_domid, GUI_PORT)
        self._connection = AgentConnection()
        self._poll = select.poll()
        self._poll.register(self._vchan.fileno(), select.POLLIN)
        self.received: Counter[type[object]] = Counter()
        self.on_message: Callable[[object], object] = lambda _: None
        """Gets all that the daemon says."""
        self.screen = (0, 0)

    def connect(self) -> None:
        """Wait for the daemon and shake hands."""
        self._until(lambda: self._vchan.update() is VchanState.CONNECTED, "the daemon")
        self.send(self._connection.hello())
        self._until(lambda: bool(self.received[DaemonHello]), "the daemon's answer")

    def share(self, length: int) -> SharedPages:
        """Pages that the daemon can map."""
        pages = self._sharer.allocate(length)
        self._sharer.publish()
        return pages

    def window(self, number: int, x: int, y: int, width: int, height: int) -> SharedPages:
        """Create, map and dump a window; returns its pages once the daemon has mapped them."""
        pages = self._sharer.allocate(width * height * BYTES_PER_PIXEL)
        self.tell(Create(number, x, y, width, height, 0, 0), Map(number, 0, 0))
        self.dump(number, width, height, pages)
        return pages

    def dump(self, number: int, width: int, height: int, pages: SharedPages) -> None:
        """Announce `pages` as the window's buffer and wait for the acknowledgement."""
        before = self.received[WindowDumpAck]
        self._sharer.publish()
        self.tell(WindowDump(number, 0, width, height, 32, pages.refs))
        self._until(lambda: self.received[WindowDumpAck] > before, "the acknowledgement of a buffer")

    def pixels(self, pages: SharedPages, width: int, height: int) -> NDArray[np.uint32]:
        """The shared pixels, writable: u32 [height, width]."""
        view = pages.region.view(writable=True)
        size = width * height * BYTES_PER_PIXEL
        return np.frombuffer(view[pages.offset : pages.offset + size], np.uint32).reshape(height, width)

    def tell(self, *messages: Message) -> None:
        """Send messages."""
        self.send(b"".join(self._connection.encode(message) for message in messages))

    def send(self, data: bytes | memoryview) -> None:
        """Send bytes, reading what comes meanwhile."""
        rest = memoryview(data)
        while rest:
            written = self._vchan.write(rest)
            rest = rest[written:]
            if rest:
                self._poll.poll(_TIMEOUT * 1000)
                self.read()

    def send_unread(self, data: bytes) -> None:
        """Send bytes and read nothing, until they are out or the daemon has had enough."""
        rest = memoryview(data)
        end = time.monotonic() + _TIMEOUT
        while rest and self._vchan.update() is VchanState.CONNECTED and time.monotonic() < end:
            rest = rest[self._vchan.write(rest) :]
            if rest:
                self._poll.poll(100)

    def read(self) -> None:
        """Take what has arrived."""
        if self._vchan.update() is VchanState.DISCONNECTED:
            raise MachineCannot("the worker hung up in the middle of a benchmark", "see its log")
        while data := self._vchan.read(65536):
            self._connection.feed(data)
            for event in self._connection.events():
                self.received[type(event)] += 1
                self.on_message(event)
                if isinstance(event, DaemonHello):
                    self.screen = (event.xconf.width, event.xconf.height)

    def settle(self) -> None:
        """Return when the worker has dealt with everything sent so far."""
        before = self.received[Destroy]
        self.tell(Create(0xFFFF_FF01, 0, 0, 1, 1, 0, 0), Destroy(0xFFFF_FF01))
        self._until(lambda: self.received[Destroy] > before, "the worker to catch up")

    def close(self) -> None:
        """Hang up and free the pages."""
        self._vchan.close()
        self._sharer.close()

    def _until(self, true: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _TIMEOUT
        while not true():
            left = end - time.monotonic()
            if left <= 0:
                raise MachineCannot(f"waited {_TIMEOUT:g} s for {what}")
            self._poll.poll(left * 1000)
            self.read()


def damage_messages(window: int, rects: NDArray[np.int32]) -> bytes:
    """A run of SHMIMAGE messages, 28 bytes each; `rects`: i32 [n, 4]."""
    return encode_damage(DamageBatch(np.full(len(rects), window, np.uint32), rects))
