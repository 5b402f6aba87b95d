"""Memory that a program shares is a file in a directory of our choice: memfd_create is refused to it.

Xwayland then takes files in $XDG_RUNTIME_DIR, as it does with kernels that have no memfd. The filter is written by
hand: a VM need not have libseccomp.
"""

import ctypes
import errno
import os
import platform
from struct import Struct
from typing import Final

from guiproto.errors import MachineCannot

_MACHINES: Final = {"x86_64": (0xC000003E, 319), "aarch64": (0xC00000B7, 279)}
"""By machine: its AUDIT_ARCH of linux/audit.h, and the number of memfd_create."""
_INSTRUCTION: Final = Struct("=HBBI")
"""struct sock_filter: code, jump if true, jump if false, operand."""
_LOAD: Final = 0x20
_JUMP_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_NUMBER_AT: Final = 0
_ARCH_AT: Final = 4
"""Offsets in struct seccomp_data."""
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.ENOSYS
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_MODE_FILTER: Final = 2


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def refuse_memfds() -> None:
    """From now on this process, and all that it starts, has no memfd_create. Raises MachineCannot."""
    try:
        arch, number = _MACHINES[platform.machine()]
    except KeyError:
        raise MachineCannot(f"{platform.machine()} is not known here", "choose the source x11") from None
    filter_ = b"".join(
        _INSTRUCTION.pack(*instruction)
        for instruction in (
            (_LOAD, 0, 0, _ARCH_AT),
            (_JUMP_IF_EQUAL, 0, 3, arch),
            (_LOAD, 0, 0, _NUMBER_AT),
            (_JUMP_IF_EQUAL, 0, 1, number),
            (_RETURN, 0, 0, _REFUSE),
            (_RETURN, 0, 0, _ALLOW),
        )
    )
    kept = ctypes.create_string_buffer(filter_, len(filter_))
    program = _Program(len(filter_) // _INSTRUCTION.size, ctypes.addressof(kept))
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
        or libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program)) != 0
    ):
        why = os.strerror(ctypes.get_errno())
        raise MachineCannot(f"memfd_create cannot be refused: {why}", "choose the source x11")
