"""The bytes between python-xlib and the X server, moved by this module instead of python-xlib's own loops.

python-xlib does the protocol. Reasons for replacing the part of it that moves bytes, in order of weight:

- python-xlib 0.33 registers RandR's error classes over the core ones, so that any BadValue raises AttributeError out of
  an unrelated call, or makes it spin. Here the table is repaired, and errors that nobody waits for go to a handler.
- It cannot send a file descriptor, which MIT-SHM 1.2 needs. `send_raw` can.
- Its `flush` may return with requests unsent, it builds its output by quadratic concatenation, and it makes a Python
  object of every event. Events whose codes are in `raw_codes` are delivered as their 32 bytes, in runs.

One thread only: python-xlib's locks are not used.
"""

import contextlib
import importlib
import os
import select
import socket
import sys
from struct import Struct
from typing import Any, Final, NamedTuple, NoReturn

import Xlib.display
import Xlib.error
import Xlib.ext
import Xlib.protocol.event
import Xlib.support.connect

from guiproto.errors import MachineCannot

# python-xlib imports these when it connects. A process that forks wants them before, in memory that is shared.
_extensions: Any = Xlib.ext
for _, _module in _extensions.__extensions__:
    importlib.import_module(f"Xlib.ext.{_module}")

_REPLY: Final = 1
_GENERIC_EVENT: Final = 35
_EVENT_BYTES: Final = 32
_LENGTH: Final = Struct("=I")
# Most of what comes is an event or two. A large piece of memory for each of them would be mapped and unmapped by libc.
_FIRST_RECEIVE_BYTES: Final = 4096
_RECEIVE_BYTES: Final = 256 * 1024
_OUTPUT_SOFT_LIMIT: Final = 256 * 1024


class ServerGone(MachineCannot, Xlib.error.ConnectionClosedError):
    """The X server is gone: in this project's words, and in python-xlib's, whose own code raises it too."""

    def __init__(self, why: str) -> None:
        super().__init__("the X server is gone", why)

    def __str__(self) -> str:
        return f"{self.what} ({self.remedy})"


class RawEvents(NamedTuple):
    """A run of events of one code, 32 bytes each, as the server sent them."""

    code: int
    data: bytes


class Wire(Xlib.display._BaseDisplay):
    """python-xlib's display with its byte moving replaced; see the module docstring."""

    def __init__(self, name: str | None) -> None:
        self._out = bytearray()
        self._in = bytearray()
        self.raw_codes: frozenset[int] = frozenset()
        self.sent = 0
        self.unseen = False
        """Whether a call that waited has read something since the last `take`."""
        self._asked: dict[int, bytes] = {}
        # Such a call reads events off the socket, whose readiness is then lost: the bell stands in for it.
        self.bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # python-xlib shares these tables among all displays, and one server's extension codes are not another's.
        self.error_classes: dict[int, Any] = dict(Xlib.error.xerror_class)
        self.event_classes: dict[int, Any] = dict(Xlib.protocol.event.event_class)
        super().__init__(name)
        # python-xlib's own list, under a type that admits both kinds of event.
        self.queue: list[Any] = self.event_queue

    def send_request(self, request: Any, wait_for_response: bool) -> None:
        if self.socket_error:
            raise self.socket_error
        request._serial = self.request_serial
        self.sent += 1
        self.request_serial = (self.request_serial + 1) & 0xFFFF
        self._out += request._binary
        if wait_for_response:
            self.sent_requests.append(request)
        if len(self._out) > _OUTPUT_SOFT_LIMIT:
            self.push()

    def send_raw(self, data: bytes | bytearray | memoryview, requests: int, fds: tuple[int, ...] = ()) -> None:
        if self.socket_error:
            raise self.socket_error
        if fds:
            self.push()
            self._wait(writing=True)
            try:
                sent = socket.send_fds(self.socket, [data], list(fds))
            except OSError as error:
                self._fail(str(error))
            data = memoryview(data)[sent:]
        self.sent += requests
        self.request_serial = (self.request_serial + requests) & 0xFFFF
        self._out += data
        if len(self._out) > _OUTPUT_SOFT_LIMIT:
            self.push()

    def push(self) -> None:
        """Send everything; while the server does not take it, receive, so that neither side waits for the other."""
        out = self._out
        while out:
            try:
                sent = self.socket.send(out, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._wait(writing=True)
                continue
            except OSError as error:
                self._fail(str(error))
            del out[:sent]

    def ask(self, *questions: bytes) -> list[bytes]:
        """The replies to finished requests, one each, as the server sent them; an X error is its 32 bytes. Waits."""
        serials = []
        for question in questions:
            serials.append(self.request_serial)
            self._asked[self.request_serial] = b""
            self.send_raw(question, 1)
        self.push()
        while not all(self._asked[serial] for serial in serials):
            self._wait(writing=False)
            self.pull()
        return [self._asked.pop(serial) for serial in serials]

    def pull(self) -> None:
        """Receive and parse what is there, into `queue`, and ring the bell."""
        if not self.unseen:
            self.unseen = True
            os.eventfd_write(self.bell, 1)
        self._receive()

    def take(self) -> list[Any]:
        """Everything that has arrived: python-xlib events and `RawEvents`, in order. Never waits."""
        if self.unseen:
            self.unseen = False
            os.eventfd_read(self.bell)
        queue = self.queue
        self._receive()
        if len(queue) == 1:
            return [queue.pop()]
        # In place: python-xlib holds the list under a name of its own.
        arrived = queue[:]
        queue.clear()
        return arrived

    def _receive(self) -> None:
        size = _FIRST_RECEIVE_BYTES
        while True:
            try:
                data = self.socket.recv(size, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(str(error))
            if len(data) == _EVENT_BYTES and data[0] & 0x7F in self.raw_codes and not self._in:
                # Worth a shortcut: one event is what mostly comes.
                self.queue.append(RawEvents(data[0] & 0x7F, data))
                return
            if not data:
                self._fail("server closed the connection")
            self._parse(data)
            if len(data) < size:
                return
            size = _RECEIVE_BYTES

    def send_and_recv(
        self,
        flush: bool = False,  # noqa: ARG002 - the signature is python-xlib's; every call sends everything here
        event: bool = False,
        request: int | None = None,
        recv: bool = False,
    ) -> None:
        """What python-xlib's own code calls to move bytes; `send_recv_lock` is held on entry and free on return."""
        if request == -1:
            super().send_and_recv(request=-1)
            return
        self.send_recv_lock.release()
        self.push()
        if event or request is not None:
            self._wait(writing=False)
        if event or request is not None or recv:
            self.pull()

    def _wait(self, *, writing: bool) -> None:
        poll = select.poll()
        poll.register(self.socket, select.POLLIN | (select.POLLOUT if writing else 0))
        while True:
            ready = poll.poll()[0][1]
            if writing and ready & select.POLLIN:
                self.pull()
            if not writing or ready & (select.POLLOUT | select.POLLERR | select.POLLHUP):
                return

    def _fail(self, why: str) -> NoReturn:
        if not self.socket_error:
            self.socket_error = ServerGone(why)
        raise self.socket_error

    def _parse(self, data: bytes) -> None:
        buffer: bytes | bytearray = data
        if self._in:
            self._in += data
            buffer = self._in
        size = len(buffer)
        at = 0
        while size - at >= _EVENT_BYTES:
            kind = buffer[at]
            code = kind & 0x7F
            end = at + _EVENT_BYTES
            if kind == _REPLY or code == _GENERIC_EVENT:
                end += 4 * _LENGTH.unpack_from(buffer, at + 4)[0]
                if end > size:
                    break
            elif code in self.raw_codes:
                while size - end >= _EVENT_BYTES and buffer[end] == kind:
                    end += _EVENT_BYTES
                self.queue.append(RawEvents(code, bytes(buffer[at:end])))
                at = end
                continue
            if code <= _REPLY and self._asked:
                serial = int.from_bytes(buffer[at + 2 : at + 4], sys.byteorder)
                if serial in self._asked:
                    self._asked[serial] = bytes(buffer[at:end])
                    at = end
                    continue
            # python-xlib's own parsers take one packet from the front of `data_recv`.
            self.data_recv = bytes(buffer[at:end])
            self.recv_packet_len = end - at
            at = end
            if kind == 0:
                self.parse_error_response(-2)
            elif kind == _REPLY:
                self.parse_request_response(-2)
            else:
                # Any program may send any bytes as an event of any code, also of one that python-xlib cannot parse.
                with contextlib.suppress(Exception):
                    self.parse_event_response(kind)
            self.recv_packet_len = 0
        if buffer is self._in:
            del self._in[:at]
        else:
            self._in += data[at:]


def open_display(name: str | None) -> Any:
    # Xlib.display.Display names its base display class in the middle of its constructor and offers no way in. Its
    # connecting falls back to TCP, which cannot pass descriptors, and forgets sockets that it does not use.
    module: Any = Xlib.display
    connect: Any = Xlib.support.connect
    originals = module._BaseDisplay, connect.get_socket
    sockets: list[socket.socket] = []
    display: Any = None

    def get_socket(name: str, protocol: str | None, host: str, number: int) -> socket.socket:
        if host not in ("", "unix") and protocol != "unix":
            sockets.append(originals[1](name, protocol, host, number))
        else:
            sockets.append(_connect_locally(name, number))
        return sockets[0]

    module._BaseDisplay, connect.get_socket = Wire, get_socket
    try:
        display = Xlib.display.Display(name)
    except Xlib.error.DisplayNameError:
        raise MachineCannot(
            f"no X display {name or '(DISPLAY is not set)'}", "set DISPLAY or give --display :N"
        ) from None
    except (Xlib.error.DisplayError, Xlib.error.ConnectionClosedError, OSError) as error:
        where = name or "of $DISPLAY"
        raise MachineCannot(f"cannot connect to X display {where}: {error}", "is the X server running?") from None
    finally:
        module._BaseDisplay, connect.get_socket = originals
        if display is None:
            for unused in sockets:
                unused.close()
    wire: Any = display.display
    wire.error_classes = {
        code: cls if issubclass(cls, Xlib.error.XError) else Xlib.error.xerror_class.get(code, Xlib.error.XError)
        for code, cls in wire.error_classes.items()
    }
    return display


def _connect_locally(name: str, number: int) -> socket.socket:
    error: OSError | None = None
    for path in (f"/tmp/.X11-unix/X{number}", f"\0/tmp/.X11-unix/X{number}"):  # noqa: S108 - where X servers listen
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.connect(path)
        except OSError as why:
            error = error or why
            connection.close()
        else:
            return connection
    raise Xlib.error.DisplayConnectionError(name, str(error))
