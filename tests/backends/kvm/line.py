"""A doorbell line without a guest: this process plays QEMU's socket and the guest's port at once.

Like QEMU's, the socket serves one connection and keeps the next one waiting; like a port, it belongs to one process.
"""

import contextlib
import select
import socket
from collections.abc import Mapping
from pathlib import Path

from backends.base import Backend
from backends.kvm import KvmBackend
from backends.kvm.doorbell import Doorbell
from backends.kvm.layout import MAX_SLOTS
from backends.rendezvous import Listener


class LineDoorbell(Doorbell):
    """The guest's end."""

    def __init__(self, epoll: select.epoll, path: Path) -> None:
        self._epoll = epoll
        self._listener = Listener(path, socket.SOCK_STREAM, str(path), backlog=16)
        epoll.register(self._listener, select.EPOLLIN)
        self._line: socket.socket | None = None

    def look(self) -> bool:
        if self._line is None:
            self._line = self._listener.accept()
            if self._line is not None:
                self._epoll.register(self._line, select.EPOLLIN | select.EPOLLRDHUP)
        elif self._ended():
            self._drop()
            return False
        return self._line is not None

    def ring(self) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.send(b"!", socket.MSG_NOSIGNAL)

    def silence(self) -> None:
        if self._line is not None:
            with contextlib.suppress(OSError):
                while self._line.recv(4096):
                    pass

    def close(self) -> None:
        self._drop()
        if self._listener.fileno() >= 0:
            self._epoll.unregister(self._listener)
        self._listener.close()

    def _ended(self) -> bool:
        assert self._line is not None
        poll = select.poll()
        poll.register(self._line, select.POLLRDHUP)
        return bool(poll.poll(0))

    def _drop(self) -> None:
        if self._line is not None:
            self._epoll.unregister(self._line)
            self._line.close()
            self._line = None


class LineBackend(KvmBackend):
    """The KVM backend with both ends on this machine."""

    guest_doorbell = LineDoorbell  # type: ignore[assignment]  # any Doorbell with the same arguments will do


def backend(directory: Path, vchans: str, size: int = 64 << 20, side: str = "") -> Backend:
    """A VM's region and lines in `directory`. `side`: host or guest, for vchans whose server is on the host."""
    region = directory / "region"
    if not region.exists():
        with region.open("wb") as file:
            file.truncate(size)
        region.chmod(0o600)
    return LineBackend({**environ(directory, vchans), "VCHAN_SIDE": side})


def environ(directory: Path, vchans: str) -> Mapping[str, str]:
    """What the host's side is told."""
    assert vchans.count(",") < MAX_SLOTS
    return {"VCHAN_REGION": str(directory / "region"), "VCHAN_DOORBELLS": f"{directory}/bell-", "VCHAN_SLOTS": vchans}
