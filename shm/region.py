"""A region is a descriptor whose memory cannot shrink under those who map it, or that is known to be able to."""

import contextlib
import ctypes
import fcntl
import functools
import mmap
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

import numpy as np

from guiproto.errors import MachineCannot, PeerMisbehaved
from guiproto.limits import PAGE_SIZE

_SIZE_SEALS: Final = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW

_FALLOC_KEEP_SIZE: Final = 0x01
_FALLOC_PUNCH_HOLE: Final = 0x02
_MAP_FIXED: Final = 0x10
_MAP_FAILED: Final = ctypes.c_void_p(-1).value


class Region:
    """A file or memfd of `size` bytes that several processes map. Owns `fd`.

    A region never decides what its bytes mean. Equality is identity: one object stands for one piece of memory, so
    that a display server can be told to attach it once, and to let go of it when the region is closed.
    """

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self._on_close: list[Callable[[Region], None]] = []

    @classmethod
    def create(cls, size: int, name: str = "window-buffers") -> Self:
        """A new memfd of `size` bytes, sparse: memory is used only where something was written.

        Sealed against shrinking and growing, so that nobody who maps it can be hit by SIGBUS. It is not sealed
        against future writes: the guest's display server maps it writable later, and again after a restart.

        Raises MachineCannot when the system has no memfd, or no descriptor left.
        """
        try:
            fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError as error:
            raise MachineCannot(f"no shared memory: memfd_create failed ({error.strerror})", _memfd_remedy()) from None
        try:
            os.ftruncate(fd, size)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SIZE_SEALS | fcntl.F_SEAL_SEAL)
        except OSError as error:
            os.close(fd)
            raise MachineCannot(f"no shared memory of {size} bytes: {error.strerror}", _memfd_remedy()) from None
        return cls(fd, size)

    @classmethod
    def adopt_untrusted(cls, fd: int, size: int) -> Self:
        """A descriptor that another domain sent, which it says has `size` bytes. Owns `fd`, also on failure.

        Raises PeerMisbehaved unless it is a memfd of exactly that size, sealed so that it keeps it. Growing matters
        as well: a display server maps whatever size the file has when it attaches, and its address space is finite.
        """
        try:
            try:
                seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
            except OSError:
                raise PeerMisbehaved("page sharing", "the descriptor is not a memfd") from None
            if seals & _SIZE_SEALS != _SIZE_SEALS:
                raise PeerMisbehaved("page sharing", f"the region can change its size (seals {seals:#x})")
            actual = os.fstat(fd).st_size
            if actual != size or size % PAGE_SIZE or size == 0:
                raise PeerMisbehaved("page sharing", f"the region has {actual} bytes, announced were {size}")
        except PeerMisbehaved:
            close_untrusted(fd)
            raise
        return cls(fd, size)

    def view(self, *, writable: bool = False) -> memoryview:
        """The whole region mapped into this process. The mapping lives until the view is garbage."""
        access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        return memoryview(mmap.mmap(self.fd, self.size, mmap.MAP_SHARED, access))

    def read_only_fd(self) -> int:
        """A new descriptor of the same memory through which nobody can write. The caller owns it."""
        return os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)

    def discard(self, offset: int, length: int) -> None:
        """Return the memory of a page range to the system; it reads as zero afterwards."""
        if _libc().fallocate(self.fd, _FALLOC_PUNCH_HOLE | _FALLOC_KEEP_SIZE, offset, length) != 0:
            errno = ctypes.get_errno()
            raise OSError(errno, os.strerror(errno))

    def on_close(self, call: Callable[["Region"], None]) -> None:
        """Have `call(region)` called when the region is closed, so that others who attached it can let go of it."""
        self._on_close.append(call)

    def close(self) -> None:
        """Close the descriptor; mappings made before stay valid. May be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        calls, self._on_close = self._on_close, []
        for call in calls:
            call(self)


def close_untrusted(fd: int) -> None:
    """Close a descriptor of somebody else's choice, without waiting for what he may have prepared.

    Whoever closes a TCP socket last waits until its data is sent, or for as long as its SO_LINGER says.
    """
    try:
        untrusted = socket.socket(fileno=fd)
    except OSError:  # it is no socket
        os.close(fd)
        return
    with untrusted, contextlib.suppress(OSError):
        untrusted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes(8))


def joined_view(runs: Sequence[tuple[Region, int, int]]) -> memoryview:
    """Page runs (region, offset, length) of any regions, mapped read-only one after another as one range.

    The mapping is live, and lives until the view is garbage. Raises OSError when the system cannot map that much.
    """
    total = sum(length for _, _, length in runs)
    # An ordinary mapping reserves the addresses and owns their lifetime; the runs are then laid over it in place.
    reserved = mmap.mmap(-1, total, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ)
    view = memoryview(reserved)
    address = int(np.frombuffer(view, np.uint8).ctypes.data)
    libc = _libc()
    for region, offset, length in runs:
        if libc.mmap(address, length, mmap.PROT_READ, mmap.MAP_SHARED | _MAP_FIXED, region.fd, offset) == _MAP_FAILED:
            errno = ctypes.get_errno()
            raise OSError(errno, os.strerror(errno))
        address += length
    return view


@functools.cache
def _libc() -> Any:
    """The two calls that Python does not wrap."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    libc.mmap.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64
    ]  # fmt: skip
    libc.mmap.restype = ctypes.c_void_p
    return libc


def _memfd_remedy() -> str:
    return "it needs Linux 3.17 or later, free memory, and a free descriptor (see `ulimit -n`)"
