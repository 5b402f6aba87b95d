"""seccomp filters: system calls that a process gives up for good fail with EPERM from then on.

Through libseccomp, which Debian's own package manager depends on.
"""

import ctypes
import errno
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

_LIBRARY: Final = "libseccomp.so.2"
_ALLOW: Final = 0x7FFF0000
_DENY: Final = 0x00050000 | errno.EPERM
_NO_NEW_PRIVS: Final = 4
"""SCMP_FLTATR_CTL_NNP."""
_EQUAL: Final = 4
_MASKED_EQUAL: Final = 7


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class Argument(NamedTuple):
    """What an argument of a system call has to be: `value` in the bits of `mask`, None for all of them."""

    position: int
    value: int
    mask: int | None = None


Rules = Mapping[str, Sequence[Sequence[Argument]]]
"""By name of a system call: alternatives, each of them conditions that hold together. None at all: in any case."""


def available() -> bool:
    """Whether the library is there."""
    try:
        _library()
    except OSError:
        return False
    return True


def keep(rules: Rules) -> None:
    """Give up all but these, in this process and its children. Raises OSError where that is impossible.

    Names that this architecture does not have are passed over.
    """
    _load(_DENY, _ALLOW, rules)


def give_up(names: Sequence[str]) -> None:
    """Give up these. Otherwise as `keep`."""
    _load(_ALLOW, _DENY, dict.fromkeys(names, ()))


def _load(others: int, action: int, rules: Rules) -> None:
    library = _library()
    context = library.seccomp_init(others)
    if not context:
        raise OSError("seccomp: no memory")
    try:
        _check(library.seccomp_attr_set(context, _NO_NEW_PRIVS, 1))
        for name, alternatives in rules.items():
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number < 0:
                continue
            for conditions in alternatives or [()]:
                compared = (_Comparison * max(1, len(conditions)))(*map(_comparison, conditions))
                _check(library.seccomp_rule_add_array(context, action, number, len(conditions), compared))
        _check(library.seccomp_load(context))
    finally:
        library.seccomp_release(context)


def _comparison(argument: Argument) -> _Comparison:
    if argument.mask is None:
        return _Comparison(argument.position, _EQUAL, argument.value, 0)
    return _Comparison(argument.position, _MASKED_EQUAL, argument.mask, argument.value)


def _check(result: int) -> None:
    if result < 0:
        raise OSError(-result, f"seccomp: {os.strerror(-result)}")


@functools.cache
def _library() -> Any:
    library = ctypes.CDLL(_LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p,
    ]  # fmt: skip
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    return library
