"""A region is a descriptor whose memory cannot shrink under those who map it, or that is known to be able to."""

import fcntl
import mmap
import os
from typing import Self

from guiproto.errors import PeerMisbehaved
from guiproto.limits import PAGE_SIZE

_SIZE_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class Region:
    """A file or memfd of `size` bytes that several processes map. Owns `fd`.

    A region never decides what its bytes mean. Equality is identity: one object stands for one piece of memory, so
    that a display server can be told to attach it once.
    """

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size

    @classmethod
    def create(cls, size: int, name: str = "window-buffers") -> Self:
        """A new memfd of `size` bytes, sparse: memory is used only where something was written.

        Sealed against shrinking and growing, so that nobody who maps it can be hit by SIGBUS. It is not sealed
        against future writes: the guest's display server maps it writable later, and again after a restart.
        """
        fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SIZE_SEALS | fcntl.F_SEAL_SEAL)
        except OSError:
            os.close(fd)
            raise
        return cls(fd, size)

    @classmethod
    def adopt_untrusted(cls, fd: int, size: int) -> Self:
        """A descriptor that another domain sent, which it says has `size` bytes. Owns `fd`, also on failure.

        Raises PeerMisbehaved unless it is a memfd of exactly that size, sealed so that it keeps it.
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
            os.close(fd)
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
        punch_hole(self.fd, offset, length)

    def close(self) -> None:
        """Close the descriptor; mappings made before stay valid."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def punch_hole(fd: int, offset: int, length: int) -> None:
    """fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE), which Python does not wrap."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if libc.fallocate(fd, 0x02 | 0x01, offset, length) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
