"""A socket file belongs to at most one live process, appears only when it accepts, and leaves nothing behind.

Unix sockets alone give none of the three: the file of a dead server stays, whoever unlinks it first may take the place
of a live one, and it exists between bind and listen, when it still refuses. So a server holds a lock on a file beside
it, which the kernel drops with the process; binds under another name; and renames when it listens.
"""

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from array import array
from pathlib import Path
from typing import Final

from guiproto.errors import MachineCannot
from shm.region import close_untrusted

ANCILLARY_BYTES: Final = socket.CMSG_LEN(253 * 4)
"""Room for as many descriptors as one message can bring (SCM_MAX_FD): the kernel closes what does not fit."""

_DRAIN_BYTES: Final = 64 * 1024
_FRESH_SECONDS: Final = 10.0
_NOBODY: Final = (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED, errno.EAGAIN, errno.EPROTOTYPE)
_MOMENTARY: Final = (errno.EAGAIN, errno.ECONNABORTED, errno.EINTR)


class Listener:
    """Listens on the socket file `path` until `stop`, and keeps others from doing so until `close`."""

    def __init__(self, path: Path, kind: socket.SocketKind, what: str, *, backlog: int, mode: int = 0o600) -> None:
        """`what` is what the path stands for, in a message to the user. A missing directory is made, for us alone.

        `mode` is the socket file's, which belongs to whom the directory belongs to, as far as we may give it away: in
        a directory of an AppVM's own, the AppVM may connect.

        Raises MachineCannot when a live process has it, or the directory cannot be used. Servers that take no lock
        (those of Qubes' libvchan-socket) are not noticed but replaced, as they replace each other.
        """
        self.path = path
        self._socket: socket.socket | None = None
        self._lock = -1
        new = path.with_name(path.name + ".new")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock(path.with_suffix(".lock"), what)
            self._socket = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
            os.fchmod(self._socket.fileno(), mode)  # Linux gives the file that bind makes this mode, but for the umask
            new.unlink(missing_ok=True)
            umask = os.umask(0o777 & ~mode)
            try:
                bind(self._socket, new)
            finally:
                os.umask(umask)
            owner = path.parent.stat()
            if os.geteuid() == 0 and owner.st_uid != 0:
                os.chown(new, owner.st_uid, owner.st_gid, follow_symlinks=False)
            self._socket.listen(backlog)
            self._inode = new.stat().st_ino
            new.rename(path)
        except OSError as error:
            self.close()
            raise MachineCannot(f"cannot listen on {path}: {error.strerror}", "check the directory") from None

    def fileno(self) -> int:
        """Polls readable when somebody connects; -1 after `stop`."""
        return -1 if self._socket is None else self._socket.fileno()

    def accept(self) -> socket.socket | None:
        """The next connection, non-blocking, if there is one. Raises MachineCannot when descriptors have run out."""
        if self._socket is None:
            return None
        try:
            connection, _ = self._socket.accept()
        except OSError as error:
            if error.errno in _MOMENTARY:
                return None
            raise MachineCannot(f"cannot accept on {self.path}: {error.strerror}", "raise `ulimit -n`") from None
        connection.setblocking(False)
        return connection

    def stop(self) -> None:
        """Listen no longer, and remove the socket file; those who connected and were not accepted see the end."""
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()
        self._socket.close()
        self._socket = None

    def close(self) -> None:
        """Stop, and let others listen. May be called twice."""
        self.stop()
        if self._lock >= 0:
            # Unlinked while it is held: whoever opened it before, and locks it later, sees that it is the file no more.
            self.path.with_suffix(".lock").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


def bind(listener: socket.socket, path: Path) -> None:
    """Bind to `path` however long it is: the kernel takes 107 bytes, and a directory's descriptor stands for more."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


def _lock(path: Path, what: str) -> int:
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise MachineCannot(f"{what} is in use", f"a live process holds {path}; stop it or use other ids") from None
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(fd).st_ino:
                return fd
        os.close(fd)


def connect(path: Path, kind: socket.SocketKind) -> socket.socket | None:
    """A non-blocking connection to the server of the socket file, or None when nobody listens there now.

    The directory may be a guest's. So the last component must be a socket and no symbolic link, which could lead to a
    socket of the host, and the connection never waits. Raises MachineCannot when the socket may not be used.
    """
    found = -1
    connection = None
    try:
        found = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        if stat.S_ISSOCK(os.fstat(found).st_mode):
            connection = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
            connection.connect(f"/proc/self/fd/{found}")
        return connection
    except OSError as error:
        if connection is not None:
            connection.close()
        if error.errno in _NOBODY:
            return None
        raise MachineCannot(f"cannot connect to {path}: {error.strerror}", "it must belong to you") from None
    finally:
        if found >= 0:
            os.close(found)


def received_descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors in what `recvmsg` returned. They are open, and the caller's; `close_untrusted` closes them."""
    fds = array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) // fds.itemsize * fds.itemsize])
    return fds.tolist()


def hang_up(connection: socket.socket) -> None:
    """Close a connection to a peer that is not trusted.

    Descriptors on their way to us are received and closed in a way that cannot take long. Left to the kernel, they are
    closed just as surely, but at the peer's pace: see `close_untrusted`.
    """
    with connection, contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)  # nothing can be added from now on, so the loop ends
        while True:
            data, ancillary, _, _ = connection.recvmsg(_DRAIN_BYTES, ANCILLARY_BYTES)
            fds = received_descriptors(ancillary)
            for fd in fds:
                close_untrusted(fd)
            if not data and not fds:
                return


def is_fresh(path: Path) -> bool:
    """Whether the file is so new that the server which made it may be about to listen, rather than be dead."""
    with contextlib.suppress(OSError):
        return abs(time.time() - path.lstat().st_ctime) < _FRESH_SECONDS
    return False
