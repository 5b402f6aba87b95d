"""A text that goes from one process to another as a descriptor, so that those in between hold it and do not read it."""

import fcntl
import os
import stat
from typing import Final

from guiproto.errors import MachineCannot

_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def pack(content: bytes) -> int:
    """A descriptor of memory that has this content and can have no other. Raises MachineCannot."""
    try:
        fd = os.memfd_create("clipboard", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        raise MachineCannot(f"no memory for {len(content)} bytes: {error.strerror}", "close something") from None
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError as error:
        os.close(fd)
        raise MachineCannot(f"no memory for {len(content)} bytes: {error.strerror}", "close something") from None
    return fd


def is_sound(fd: int, size: int, most: int) -> bool:
    """Whether a descriptor that somebody sent is what `pack` makes of `size` bytes, 1 to `most`."""
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        found = os.fstat(fd)
    except OSError:
        return False
    return seals & _SEALS == _SEALS and stat.S_ISREG(found.st_mode) and found.st_size == size and 1 <= size <= most


def unpack(fd: int) -> bytes:
    """The content of a sound one."""
    return os.pread(fd, os.fstat(fd).st_size, 0)
