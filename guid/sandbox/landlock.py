"""Landlock: a process gives up its access to files, to the network, and to processes outside of itself, for good.

The three system calls have no wrapper in libc; their numbers are the same on every architecture. See the kernel's
Documentation/userspace-api/landlock.rst.
"""

import ctypes
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from struct import Struct
from typing import Any, Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION: Final = 1
_PATH_BENEATH: Final = 1

_RULESET: Final = Struct("=QQQ")
"""Accesses to files, to the network, and scopes, that are handled: forbidden unless a rule allows them."""
_RULE: Final = Struct("=Qi")
_RULESET_BYTES: Final = {1: 8, 2: 8, 3: 8, 4: 16, 5: 16}
"""By version of the interface; from 6 on all of it."""

_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_IOCTL_DEV: Final = 1 << 15
_FILES: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
"""All accesses to files that a version knows; from 5 on also ioctl on devices."""
_ALL_FILES: Final = (1 << 16) - 1
_TCP: Final = 0b11
"""bind and connect."""
_SCOPES: Final = 0b11
"""Abstract Unix sockets and signals of processes outside."""


def version() -> int:
    """The interface's version, 0 where the kernel has no Landlock or it is switched off."""
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION))))


def restrict(kept: Sequence[Path] = ()) -> int:
    """Give up everything but reading and writing of what is `kept`, files or whole directories; the version, 0 if none.

    Needs no privilege but no_new_privs. What is open stays open, and Unix sockets that have a path can still be
    connected to. Raises OSError.
    """
    known = version()
    if not known:
        return 0
    files = _FILES.get(known, _ALL_FILES)
    ruleset = _RULESET.pack(files, _TCP if known >= 4 else 0, _SCOPES if known >= 6 else 0)
    size = _RULESET_BYTES.get(known, _RULESET.size)
    fd = _call(_CREATE_RULESET, ruleset, ctypes.c_size_t(size), ctypes.c_uint(0))
    try:
        for path in kept:
            _keep(fd, path, (_READ_FILE | _WRITE_FILE | _IOCTL_DEV) & files)
        _call(_RESTRICT_SELF, ctypes.c_int(fd), ctypes.c_uint(0))
    finally:
        os.close(fd)
    return known


def _keep(ruleset: int, path: Path, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rule = _RULE.pack(access, place)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0))
    finally:
        os.close(place)


def _call(number: int, *arguments: Any) -> int:
    result = int(_libc().syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return result


@functools.cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
