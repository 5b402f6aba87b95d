"""An X connection that survives every X error, passes descriptors, and sends and receives in batches."""

import contextlib
import os
import select
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import Xlib.error
from Xlib.protocol import request as core_request

from guiproto.errors import MachineCannot
from shm.xwire import RawEvents, open_display

__all__ = ["Fence", "RawEvents", "XConnection"]


class Fence(NamedTuple):
    """Passed when the X server has executed everything that was queued before it."""

    request: Any

    def passed(self) -> bool:
        """Whether the answer has been read by `XConnection.events` or any call that waits."""
        return self.request._data is not None or self.request._error is not None


class XConnection:
    """`display` is a python-xlib Display for everything that is not on the frame path.

    `on_error` gets every X error that no reply was waited for with; by default errors are counted in `errors` only.
    """

    def __init__(self, name: str | None = None, on_error: Callable[[Any], None] | None = None) -> None:
        """Connect to the display `name` ($DISPLAY if None). Raises MachineCannot if that fails."""
        self.errors = 0
        self._on_error = on_error
        self.display = open_display(name)
        self._wire: Any = self.display.display
        self._wire.set_error_handler(self._count_error)
        # A call that waits reads events off the socket, whose readiness is then lost: the eventfd stands in for it.
        self._unseen = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._announced = False
        self._poll = select.epoll()
        self._poll.register(self._wire.socket.fileno(), select.EPOLLIN)
        self._poll.register(self._unseen, select.EPOLLIN)
        self._wire.on_read = self._announce

    def _count_error(self, error: Any, request: Any) -> None:  # noqa: ARG002 - python-xlib's signature
        self.errors += 1
        if self._on_error is not None:
            self._on_error(error)

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            os.eventfd_write(self._unseen, 1)

    def fileno(self) -> int:
        """Polls readable until `events` was called, when the server sent something or another call read something."""
        return self._poll.fileno()

    @property
    def serial(self) -> int:
        """How many requests were queued so far: the number of the last one."""
        return int(self._wire.sent)

    def serial_of(self, low: int) -> int:
        """The full number of the request that the 16 bits `low` in an event mean."""
        sent = int(self._wire.sent)
        return sent - ((sent - low) & 0xFFFF)

    @property
    def raw_events(self) -> frozenset[int]:
        """Event codes that `events` delivers as `RawEvents`."""
        return frozenset(self._wire.raw_codes)

    @raw_events.setter
    def raw_events(self, codes: frozenset[int]) -> None:
        self._wire.raw_codes = codes

    def send_raw(self, data: bytes | bytearray | memoryview, requests: int, fds: tuple[int, ...] = ()) -> None:
        """Queue `requests` finished X requests in order with those of python-xlib. The server gets copies of `fds`."""
        try:
            self._wire.send_raw(data, requests, fds)
        except Xlib.error.ConnectionClosedError as error:
            raise _gone(error) from None

    def new_id(self) -> int:
        """A fresh X resource id."""
        return int(self._wire.allocate_resource_id())

    def free_id(self, resource: int) -> None:
        """Let the id of a freed resource be used again."""
        self._wire.free_resource_id(resource)

    def flush(self) -> None:
        """Send everything queued; waits while the server is slow to read."""
        try:
            self._wire.push()
        except Xlib.error.ConnectionClosedError as error:
            raise _gone(error) from None

    def fence(self) -> Fence:
        """Queue a request whose answer tells that all before it is done."""
        with _closed_means_machine_cannot():
            return Fence(core_request.GetInputFocus(display=self._wire, defer=True))

    def wait(self, fence: Fence) -> None:
        """Return when the fence is passed."""
        with _closed_means_machine_cannot():
            fence.request.reply()

    def sync(self) -> None:
        """Wait until the server has executed everything queued; errors of those requests have been handled then."""
        with _closed_means_machine_cannot():
            core_request.GetInputFocus(display=self._wire)

    def events(self) -> Iterator[Any]:
        """Everything that has arrived: python-xlib events and `RawEvents`, in order. Never waits.

        Raises MachineCannot when the server is gone.
        """
        wire = self._wire
        wire.on_read = _nothing
        try:
            try:
                wire.pull(block=False)
            except Xlib.error.ConnectionClosedError as error:
                raise _gone(error) from None
            queue = wire.queue
            while queue:
                batch, queue[:] = queue[:], []
                yield from batch
        finally:
            wire.on_read = self._announce
            if self._announced:
                self._announced = False
                os.eventfd_read(self._unseen)

    def close(self) -> None:
        """Close the connection; the server frees what belonged to it. May be called twice."""
        if self._poll.closed:
            return
        with contextlib.suppress(Exception):
            self._wire.push()
        self._poll.close()
        os.close(self._unseen)
        with contextlib.suppress(OSError):
            self._wire.socket.close()


def _nothing() -> None:
    """What reading inside `events` has to announce."""


def _gone(error: Exception) -> MachineCannot:
    return MachineCannot("the X server is gone", str(error))


@contextlib.contextmanager
def _closed_means_machine_cannot() -> Iterator[None]:
    try:
        yield
    except Xlib.error.ConnectionClosedError as error:
        raise _gone(error) from None
