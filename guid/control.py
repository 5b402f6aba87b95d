"""The control socket: one JSON object a line, both ways, for the user who owns it alone.

A request is {"op": NAME, ...}; the answer is {"ok": true, ...} or {"ok": false, "error": TEXT}. A request that goes on
(`run`, `follow`) is answered and then followed by {"event": NAME, ...} lines until the connection ends.
"""

import array
import contextlib
import fcntl
import functools
import json
import logging
import os
import socket
import struct
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

from backends.rendezvous import bind
from guid import ancestry
from guiproto.errors import MachineCannot

LONGEST_LINE: Final = 4 * 1024 * 1024
_PEER_CREDENTIALS: Final = struct.Struct("iII")
_READ_BYTES: Final = 64 * 1024
_MOST_READS: Final = 32
_MOST_BYTES: Final = 256 * 1024
"""In one `receive`, about: whoever sends without end has to let others have their turn."""
_MOST_DESCRIPTORS: Final = 16
"""That have arrived and were not taken yet."""

Message = dict[str, Any]

log = logging.getLogger("guid")


class LineSocket:
    """A non-blocking stream of JSON lines. Never buffers more than one overlong line, and never blocks in `send`.

    With `descriptors`, a message may have one with it; without, those that somebody sends are the kernel's to close.
    """

    def __init__(self, sock: socket.socket, *, descriptors: bool = False) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._ancillary = socket.CMSG_SPACE(array.array("i").itemsize) if descriptors else 0
        self._in = bytearray()
        self._out = bytearray()
        self._arrived: deque[int] = deque()
        self._leaving: deque[tuple[int, int]] = deque()
        """Descriptors to send, each with the number of bytes of `_out` that go before it."""
        self.received = 0
        """Bytes so far."""
        self.closed = False

    def fileno(self) -> int:
        """The socket's descriptor, -1 once closed."""
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether there is output that did not fit; poll for writing and call `flush`."""
        return bool(self._out) and not self.closed

    def send(self, message: Message, descriptor: int | None = None) -> None:
        """Queue a message and send what fits. `descriptor` goes with it, and is ours to close from now on."""
        if self.closed:
            if descriptor is not None:
                os.close(descriptor)
            return
        if descriptor is not None:
            self._leaving.append((len(self._out), descriptor))
        self._out += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what fits of the queue."""
        while self._out and not self.closed:
            try:
                sent = self._send()
            except BlockingIOError:
                if len(self._out) > LONGEST_LINE:
                    self.closed = True  # somebody who asks and does not read
                return
            except OSError:
                self.closed = True
                return
            del self._out[:sent]
            if self._leaving:
                self._leaving = deque((before - sent, descriptor) for before, descriptor in self._leaving)

    def _send(self) -> int:
        if not self._leaving:
            return self._socket.send(self._out)
        before, descriptor = self._leaving[0]
        if before:
            return self._socket.send(self._out[:before])
        sent = socket.send_fds(self._socket, [self._out], [descriptor])
        self._leaving.popleft()
        os.close(descriptor)
        return sent

    def receive(self, *, everything: bool = False) -> list[Message]:
        """The complete messages that have arrived; `closed` is set at the end of the stream or on nonsense.

        Some of them, if that is much, unless it has to be `everything`, up to 4 MiB: the rest polls readable.
        """
        known, before, reads = len(self._in), self.received, 0
        most_bytes, most_reads = (LONGEST_LINE, LONGEST_LINE) if everything else (_MOST_BYTES, _MOST_READS)
        while not self.closed and reads < most_reads and self.received - before < most_bytes:
            reads += 1
            try:
                data = self._receive()
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.closed = True
                break
            self.received += len(data)
            self._in += data
        end = self._in.rfind(b"\n", known) + 1
        if len(self._in) - end > LONGEST_LINE:
            self.closed = True
            return []
        if not end:  # nothing is looked at twice, however slowly a line comes
            return []
        lines = bytes(self._in[: end - 1]).split(b"\n")
        del self._in[:end]
        messages = []
        for line in lines:
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                message = None
            if not isinstance(message, dict):
                self.closed = True
                break
            messages.append(message)
        return messages

    def _receive(self) -> bytes:
        if not self._ancillary:
            return self._socket.recv(_READ_BYTES)
        data, ancillary, _, _ = self._socket.recvmsg(_READ_BYTES, self._ancillary, socket.MSG_CMSG_CLOEXEC)
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                arrived = array.array("i")
                arrived.frombytes(content[: len(content) - len(content) % arrived.itemsize])
                self._arrived += arrived
        return b"" if len(self._arrived) > _MOST_DESCRIPTORS else data

    def take_descriptor(self) -> int | None:
        """The oldest descriptor that has arrived and was not taken, the caller's from now on; None if there is none.

        They keep the order of their messages. Nobody says that a message has one: take it only where one belongs.
        """
        return self._arrived.popleft() if self._arrived else None

    def close(self) -> None:
        """Close the socket, and descriptors that nobody took."""
        self.closed = True
        self._socket.close()
        for descriptor in (*self._arrived, *(descriptor for _, descriptor in self._leaving)):
            os.close(descriptor)
        self._arrived.clear()
        self._leaving.clear()


class Listener:
    """A control socket that exists as long as its process: 0600, one instance a path, stale ones replaced."""

    def __init__(self, path: Path, ready_made: socket.socket | None = None) -> None:
        """`ready_made`: one that listens at `path` already and that somebody else, who made it, removes.

        Raises MachineCannot if another process serves this path.
        """
        self.path = path
        self._is_ours = ready_made is None
        self._lock = _lock(path)
        self._socket = _listening(path) if ready_made is None else ready_made
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Readable when somebody connects."""
        return self._socket.fileno()

    def accept(self) -> LineSocket | None:
        """The next connection, or None; one from another user, or from a process of a VM, is refused.

        Those are what this process has started (workers, what starts with them, Qubes DB daemons), and, should one
        have got rid of its parents, whoever has forsworn privileges as workers have, unless we have as well.
        """
        try:
            sock, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
        pid, uid, _ = _PEER_CREDENTIALS.unpack(credentials)
        if uid not in (os.getuid(), 0):
            sock.close()
            return None
        line = LineSocket(sock)
        if pid != os.getpid() and (why := _is_no_user(pid)):
            log.warning("process %d is refused at the control socket: %s", pid, why)
            line.send({"ok": False, "error": f"refused: {why}"})
            line.close()
            return None
        return line

    def close(self) -> None:
        """Stop listening and leave nothing behind."""
        self._socket.close()
        if self._is_ours:
            self.path.unlink(missing_ok=True)
        self.path.with_suffix(".lock").unlink(missing_ok=True)
        os.close(self._lock)


def _is_no_user(pid: int) -> str:
    """Why this process, which has connected, does not speak for the user; "" if it does."""
    descends = ancestry.descends(pid, os.getpid())
    forsworn = ancestry.gains_no_privileges(pid)
    if descends is None or forsworn is None:
        return "it has ended, or cannot be seen from here"
    if descends:
        return "it serves a VM"
    return "it can gain no privileges, as what serves a VM" if forsworn and not _forsworn_here() else ""


@functools.cache
def _forsworn_here() -> bool:
    return ancestry.gains_no_privileges() is True


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        bind(sock, path)
    finally:
        os.umask(previous)
    sock.listen(64)
    return sock


def _lock(path: Path) -> int:
    """Lock the path for the life of this process; a lock file that its last holder has just unlinked does not count."""
    lock_path = path.with_suffix(".lock")
    while True:
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise MachineCannot(f"{path.stem} runs already", f"its control socket is {path}") from None
        with contextlib.suppress(FileNotFoundError):
            if os.stat(lock_path).st_ino == os.fstat(lock).st_ino:
                return lock
        os.close(lock)


class HungUp(MachineCannot):
    """The instance ended before it answered."""


class Client:
    """A blocking connection to one instance, for commands."""

    def __init__(self, path: Path, timeout: float | None = 10.0) -> None:
        """Raises MachineCannot if nobody serves `path`."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            # By descriptor, because a path may be longer than the 107 bytes that a socket address holds.
            found = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                self._socket.connect(f"/proc/self/fd/{found}")
            finally:
                os.close(found)
        except OSError as error:
            self._socket.close()
            raise MachineCannot(f"cannot reach {path}: {error.strerror}", "is it running? see `guid ps`") from None
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, op: str, **arguments: Any) -> Message:
        """Send a request and return its answer.

        Raises MachineCannot with the instance's own words if it refused, HungUp if it is gone.
        """
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(json.dumps({"op": op, **arguments}).encode() + b"\n")
        answer = self.next()
        if answer is None:
            raise HungUp("the daemon ended before it answered", "see its log")
        if not answer.get("ok"):
            raise MachineCannot(str(answer.get("error", "refused without a reason")))
        return answer

    def next(self) -> Message | None:
        """The next line, or None at the end of the connection."""
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise MachineCannot("the daemon does not answer", "see its log") from None
        except OSError:
            return None
        message = json.loads(line) if line else None
        return message if isinstance(message, dict) else None

    def follow(self) -> None:
        """Wait without limit from now on."""
        self._socket.settimeout(None)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()


def instances(runtime: Path) -> Iterator[Client]:
    """A client for every instance that answers, the shared supervisor first. The caller closes them."""
    for path in sorted(runtime.glob("*.sock"), key=lambda p: (p.stem != "supervisor", p.stem)):
        with contextlib.suppress(MachineCannot):
            yield Client(path)
