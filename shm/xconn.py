"""An X connection that survives every X error, passes descriptors, and sends and receives in batches."""

import contextlib
import os
import select
import socket
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from Xlib.protocol import request as core_request

from shm.xwire import RawEvents, open_display

__all__ = ["Fence", "RawEvents", "XConnection"]


class Fence(NamedTuple):
    """Passed when the X server has executed everything that was queued before it."""

    request: Any

    def passed(self) -> bool:
        """Whether the answer has been read by `XConnection.events` or any call that waits."""
        return self.request._data is not None or self.request._error is not None


class SendRaw(Protocol):
    """Queues finished X requests, in order with those of python-xlib."""

    def __call__(self, data: bytes | bytearray | memoryview, requests: int, fds: tuple[int, ...] = ()) -> None:
        """`data` holds `requests` requests; the server gets copies of `fds`."""


class XConnection:
    """`display` is a python-xlib Display for everything that is not on the frame path.

    `on_error` gets every X error that no reply was waited for with; by default errors are counted in `errors` only.
    Every method, and those of `display`, raise MachineCannot when the server is gone.
    """

    def __init__(self, name: str | None = None, on_error: Callable[[Any], None] | None = None) -> None:
        """Connect to the display `name` ($DISPLAY if None). Raises MachineCannot if that fails."""
        self.errors = 0
        self._on_error = on_error
        self.display = open_display(name)
        self._wire: Any = self.display.display
        self._wire.set_error_handler(self._count_error)
        self._poll = select.epoll()
        self._poll.register(self._wire.socket.fileno(), select.EPOLLIN)
        self._poll.register(self._wire.bell, select.EPOLLIN)
        # The frame path goes through these: they are the wire's own, without a layer in between.
        self.send_raw: SendRaw = self._wire.send_raw
        self.flush: Callable[[], None] = self._wire.push
        """Send everything queued; waits while the server is slow to read."""
        self.ask: Callable[..., list[bytes]] = self._wire.ask
        """(*requests): the replies to finished requests, one each, as the server sent them. Waits."""
        self.events: Callable[[], list[Any]] = self._wire.take
        """Everything that has arrived: python-xlib events and `RawEvents`, in order. Never waits."""

    def _count_error(self, error: Any, request: Any) -> None:  # noqa: ARG002 - python-xlib's signature
        self.errors += 1
        if self._on_error is not None:
            self._on_error(error)

    @property
    def passes_descriptors(self) -> bool:
        """Whether the server is reached through a socket that can carry descriptors: MIT-SHM needs that."""
        return bool(self._wire.socket.family == socket.AF_UNIX)

    def fileno(self) -> int:
        """Polls readable until `events` was called, when the server sent something or another call read something."""
        return self._poll.fileno()

    @property
    def unseen(self) -> bool:
        """Whether a call that waited has read something since the last `events`."""
        return bool(self._wire.unseen)

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

    def new_id(self) -> int:
        """A fresh X resource id."""
        return int(self._wire.allocate_resource_id())

    def free_id(self, resource: int) -> None:
        """Let the id of a freed resource be used again."""
        self._wire.free_resource_id(resource)

    def fence(self) -> Fence:
        """Queue a request whose answer tells that all before it is done."""
        return Fence(core_request.GetInputFocus(display=self._wire, defer=True))

    def wait(self, fence: Fence) -> None:
        """Return when the fence is passed."""
        fence.request.reply()

    def sync(self) -> None:
        """Wait until the server has executed everything queued; errors of those requests have been handled then."""
        core_request.GetInputFocus(display=self._wire)

    def close(self) -> None:
        """Close the connection; the server frees what belonged to it. May be called twice."""
        if self._poll.closed:
            return
        with contextlib.suppress(Exception):
            self._wire.push()
        self._poll.close()
        os.close(self._wire.bell)
        with contextlib.suppress(OSError):
            self._wire.socket.close()
