"""A backend whose mapper is taken over: in the worker that it is in, it tries what no worker should be able to do.

`--backend tests.conformance.burglar:factory`, or `:unsure` for one that cannot say which files it needs. What became of
each attempt is logged, as JSON behind "burglar: ": the name of the error, or "done". `:shouter` only shouts.
"""

import contextlib
import ctypes
import errno
import json
import logging
import mmap
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backends.base import Backend, PageMapper
from backends.local import LocalBackend
from backends.local import factory as local

_PTRACE_ATTACH = 16
_GETFD = 438
_NEWUSER = 0x10000000


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)


def _command(path: str) -> None:
    """Ask what any user may ask. EPERM if that is refused."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(path)
        with contextlib.suppress(BrokenPipeError):
            line.sendall(b'{"op": "ps"}\n')
        answer = line.makefile("rb").readline()
    if b'"ok": true' not in answer:
        raise PermissionError(errno.EPERM, "refused")


def _orphan_commands(path: str) -> None:
    """The same by a process whose parent has ended, so that nobody knows whose it was."""
    result, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        parent = os.getpid()
        if os.fork() == 0:
            while os.getppid() == parent:
                time.sleep(0.01)
            try:
                _command(path)
                os.write(told, b"0")
            except OSError as error:
                os.write(told, str(error.errno).encode())
        os._exit(0)
    os.close(told)
    os.waitpid(pid, 0)
    with open(result) as pipe:
        number = int(pipe.read())
    if number:
        raise OSError(number, "refused")


def _call(function: str, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), function)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def attempts(supervisor: int, control: str) -> Mapping[str, Callable[[], object]]:
    """By name."""
    return {
        "read a file": lambda: os.open("/etc/hostname", os.O_RDONLY),
        "write a file": lambda: os.open("/tmp/burglar", os.O_WRONLY | os.O_CREAT, 0o600),
        "list a directory": lambda: os.listdir("/"),
        "read another's memory": lambda: os.open(f"/proc/{supervisor}/mem", os.O_RDONLY),
        "take another's descriptor": lambda: os.open(f"/proc/{supervisor}/fd/0", os.O_RDONLY),
        "connect to the supervisor": lambda: _connect(control),
        "command the supervisor": lambda: _command(control),
        "command it by an orphan": lambda: _orphan_commands(control),
        "have a network": lambda: socket.socket(socket.AF_INET),
        "start a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - no shell is the purpose
        "fork": _fork,
        "trace": lambda: _call("ptrace", _PTRACE_ATTACH, supervisor, 0, 0),
        "signal another": lambda: os.kill(supervisor, signal.SIGCONT),
        "have privileges of its own": lambda: _call("unshare", _NEWUSER),
        "load code": _code,
    }


class Burglar(LocalBackend):
    """`sure`: whether it says which files it needs."""

    def __init__(self, honest: LocalBackend, *, sure: bool) -> None:
        super().__init__(honest.socket_dir, honest._door)
        self._sure = sure

    def files(self) -> Sequence[Path] | None:
        return super().files() if self._sure else None

    def mapper(self, domid: int, peer: int) -> PageMapper:
        control = os.environ["GUID_RUNTIME_DIR"] + "/attach-work.sock"
        outcomes = {}
        for name, attempt in attempts(os.getppid(), control).items():
            try:
                attempt()
                outcomes[name] = "done"
            except OSError as error:
                outcomes[name] = errno.errorcode.get(error.errno or 0, "?")
        logging.getLogger("guid").warning("burglar: %s", json.dumps(outcomes))
        return super().mapper(domid, peer)


class Shouter(LocalBackend):
    """A backend whose mapper is taken over, and shouts at the supervisor on its worker's line without end."""

    def mapper(self, domid: int, peer: int) -> PageMapper:  # noqa: ARG002 - it maps nothing
        (handler,) = logging.getLogger().handlers
        line: int = handler._line.fileno()  # type: ignore[attr-defined] # the burglar looks where he likes
        os.set_blocking(line, True)
        while True:
            os.write(line, b'{"event": "notify", "text": "look here"}\n{"event": "pasting"}\n' * 100)


def shouter(environ: Mapping[str, str]) -> Backend:
    """One that shouts."""
    honest = local(environ)
    assert isinstance(honest, LocalBackend)
    return Shouter(honest.socket_dir, honest._door)


def factory(environ: Mapping[str, str]) -> Backend:
    """One that says which files it needs: none."""
    honest = local(environ)
    assert isinstance(honest, LocalBackend)
    return Burglar(honest, sure=True)


def unsure(environ: Mapping[str, str]) -> Backend:
    """One that does not."""
    honest = local(environ)
    assert isinstance(honest, LocalBackend)
    return Burglar(honest, sure=False)
