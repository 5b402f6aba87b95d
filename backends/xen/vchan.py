"""A vchan of Xen's own: libxenvchan, whose rings lie in granted pages and whose doorbell is an event channel.

Where a server is, xenstore tells, under the names that Qubes uses. An end asks to be notified of whatever it finds
missing, by looking: `libxenvchan_data_ready` and `_buffer_space` arm the notification. libxenvchan itself checks what
the peer writes into the rings' page; a peer that writes nonsense there finds its ring stalled, or wrong bytes in it.

A peer whose process dies is noticed by the notification of its unmapping; one whose whole domain dies, by xenstore,
where this domain may know.
"""

import contextlib
import os
import select
from abc import abstractmethod
from typing import Any, Final

from backends.base import Vchan, VchanState
from backends.xen.libxen import ffi, library, trouble
from backends.xen.store import Store, vchan_path
from guiproto.errors import MachineCannot

_CLOSED, _OPEN, _UNMET = 0, 1, 2
_TOLD: Final = ("ring-ref", "event-channel")
RING_BYTES: Final = 64 * 1024


class _XenVchan(Vchan):
    """What both ends do. The one descriptor is an epoll of the event channel, xenstore, and `_again`: bytes are left.

    What both do not is to find each other.
    """

    def __init__(self, peer: int) -> None:
        self._peer = peer
        self._library = library("vchan")
        self._control: Any = None
        self._state = VchanState.WAITING
        self._closed = False
        self._store = Store()
        self._epoll = select.epoll()
        self._again = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._is_again = False
        self._event = select.poll()
        self._epoll.register(self._again, select.EPOLLIN)

    @abstractmethod
    def _meet(self) -> bool:
        """Whether the peer is there now."""

    def fileno(self) -> int:
        return self._epoll.fileno()

    @property
    def state(self) -> VchanState:
        return self._state

    def update(self) -> VchanState:
        if self._closed:
            return self._state
        told = self._store.drain()
        self._take_event()
        if self._state is VchanState.WAITING and self._meet():
            self._state = VchanState.CONNECTED
        if self._state is VchanState.CONNECTED and (
            self._is_open() == _CLOSED or (told and not self._store.lives(self._peer))
        ):
            self._state = VchanState.DISCONNECTED
        self._look()
        return self._state

    def data_ready(self) -> int:
        if self._state is VchanState.WAITING or self._control is None:
            return 0
        return max(0, int(self._library.libxenvchan_data_ready(self._control)))

    def buffer_space(self) -> int:
        if self._state is not VchanState.CONNECTED or self._is_open() != _OPEN:
            return 0
        return max(0, int(self._library.libxenvchan_buffer_space(self._control)))

    def read(self, size: int) -> bytes:
        if size <= 0 or self._state is VchanState.WAITING or self._control is None:
            return b""
        # Before looking for bytes: those that it wrote before it went are there by then.
        gone = self._is_open() == _CLOSED
        count = min(size, self.data_ready())
        data = b""
        if count > 0:
            buffer = ffi().new("char[]", count)
            count = int(self._library.libxenvchan_read(self._control, buffer, count))
            data = bytes(ffi().buffer(buffer, max(0, count)))
        elif gone:
            self._lost()
        if self._state is VchanState.CONNECTED:  # when it is over, it stays readable until somebody has looked
            self._look()
        return data

    def write(self, data: bytes | bytearray | memoryview) -> int:
        if self._state is not VchanState.CONNECTED:
            return 0
        if self._is_open() != _OPEN:
            self._lost()
            return 0
        given = memoryview(data)
        count = min(len(given), self.buffer_space())
        if count <= 0:
            return 0
        written = int(self._library.libxenvchan_write(self._control, ffi().from_buffer(given[:count]), count))
        if 0 < written < len(given):
            self.buffer_space()  # asks to be told of more
        return max(0, written)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._state = VchanState.DISCONNECTED
        self._drop()
        self._epoll.close()
        os.close(self._again)
        self._store.close()

    # --- small things ---

    def _hold(self, control: Any) -> None:
        """Take a vchan of libxenvchan's into use."""
        self._control = control
        fd = int(self._library.libxenvchan_fd_for_select(control))
        self._epoll.register(fd, select.EPOLLIN)
        self._event.register(fd, select.POLLIN)

    def _drop(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            fd = int(self._library.libxenvchan_fd_for_select(control))
            self._epoll.unregister(fd)
            self._event.unregister(fd)
            self._library.libxenvchan_close(control)

    def _is_open(self) -> int:
        return int(self._library.libxenvchan_is_open(self._control))

    def _take_event(self) -> None:
        """libxenvchan_wait takes the pending event, and would block if there were none."""
        if self._control is not None and self._event.poll(0):
            self._library.libxenvchan_wait(self._control)

    def _lost(self) -> None:
        """The peer is gone, and whoever polls shall hear of it until he has looked (`update`)."""
        if self._state is VchanState.CONNECTED:
            self._state = VchanState.DISCONNECTED
            self._come_again(True)

    def _look(self) -> None:
        """Be readable while bytes are left."""
        self._come_again(self.data_ready() > 0)

    def _come_again(self, wanted: bool) -> None:
        if wanted is not self._is_again:
            self._is_again = wanted
            if wanted:
                os.eventfd_write(self._again, 1)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._again)


class XenServer(_XenVchan):
    """The server end."""

    def __init__(self, peer: int, port: int) -> None:
        """Can be connected to when it returns. Raises MachineCannot."""
        super().__init__(peer)
        self._place = ""
        self._own: list[str | None] = []
        try:
            path = vchan_path(peer, port)
            control = self._library.libxenvchan_server_init(ffi().NULL, peer, path.encode(), RING_BYTES, RING_BYTES)
            if control == ffi().NULL:
                raise MachineCannot(
                    f"no vchan for domain {peer} on port {port}: {trouble()}",
                    "may this process use /dev/xen/gntalloc, /dev/xen/evtchn and xenstore?",
                )
            self._hold(control)
            self._place = path
            self._own = self._told()
            self._store.watch_domains()
            self._epoll.register(self._store.fileno(), select.EPOLLIN)
        except BaseException:
            self.close()
            raise

    def _meet(self) -> bool:
        return self._is_open() == _OPEN

    def _drop(self) -> None:
        # libxenvchan removes what xenstore tells of this place, even if that is about the next server by now.
        told = self._told()
        super()._drop()
        if told != self._own and None not in told:
            with contextlib.suppress(MachineCannot):
                for name, value in zip(_TOLD, told, strict=True):
                    self._store.write(f"{self._place}/{name}", str(value))
                    self._store.permit(f"{self._place}/{name}", self._peer)

    def _told(self) -> list[str | None]:
        return [self._store.read(f"{self._place}/{name}") for name in _TOLD]


class XenClient(_XenVchan):
    """The client end."""

    def __init__(self, server: int, own: int, port: int) -> None:
        """Returns at once; the first look for the server is due, and `fileno()` says so. Raises MachineCannot."""
        super().__init__(server)
        self._path = vchan_path(own, port, server)
        try:
            self._store.watch(self._path)
            self._store.watch_domains()
            self._epoll.register(self._store.fileno(), select.EPOLLIN)
        except BaseException:
            self.close()
            raise

    def _meet(self) -> bool:
        if self._store.read(f"{self._path}/event-channel") is None:
            return False
        control = self._library.libxenvchan_client_init(ffi().NULL, self._peer, self._path.encode())
        if control == ffi().NULL:
            return False  # what xenstore tells is of one that is gone, or taken: the next one's will be told
        if int(self._library.libxenvchan_is_open(control)) == _CLOSED:
            self._library.libxenvchan_close(control)
            return False
        self._hold(control)
        return True
