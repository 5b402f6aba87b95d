"""A process of this machine's inside a running AppVM's sandbox: its namespaces, its user, none of its descriptors.

It stays in this machine's pid namespace, so nothing inside can signal or trace it. Like everything inside it gains no
privileges, and it leaves our groups behind, whose files the sandbox may show. A sandbox's mount, network and ipc
namespaces may belong to another user namespace than the one its processes are in (bubblewrap can put one into another):
root may enter them from outside; an ordinary user has to enter the owner first, where he is allowed everything.
"""

import ctypes
import fcntl
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from backends.local import sandbox
from guiproto.errors import MachineCannot

_NS_GET_USERNS: Final = 0xB701
_PR_SET_NO_NEW_PRIVS: Final = 38
_OTHERS: Final = ("ipc", "uts", "net", "mnt")
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def spawn(session: int, argv: Sequence[str], environ: Mapping[str, str], fds: Sequence[int]) -> int:
    """Start `argv` in the sandbox whose first process is `session`; its pid. Raises MachineCannot with the step."""
    told, tell = os.pipe()  # both close on exec: nothing is told when that was reached
    try:
        pid = os.fork()
        if pid == 0:
            _child(session, argv, environ, fds, tell)
    finally:
        os.close(tell)
    with open(told, "rb") as pipe:
        problem = pipe.read()
    if problem:
        os.waitpid(pid, 0)
        raise MachineCannot(f"cannot enter the AppVM: {problem.decode(errors='replace')}", "does it still run?")
    return pid


def _child(session: int, argv: Sequence[str], environ: Mapping[str, str], fds: Sequence[int], tell: int) -> NoReturn:
    step = "start"
    try:
        step = "open its namespaces"
        own = os.open(f"/proc/{session}/ns/user", os.O_RDONLY)
        current = os.stat("/proc/self/ns/user").st_ino  # in the sandbox's /proc we shall not be found
        others = [os.open(f"/proc/{session}/ns/{name}", os.O_RDONLY) for name in _OTHERS]
        if os.geteuid() == 0:
            step = "leave our groups"
            os.setgroups([])
        else:
            step = "enter the user namespace around it"
            owner = fcntl.ioctl(others[-1], _NS_GET_USERNS)
            _setns(owner)
            current = os.fstat(owner).st_ino
        step = "enter its namespaces"
        for namespace in others:
            _setns(namespace)
        step = "become its user"
        if os.fstat(own).st_ino != current:
            _setns(own)
        if os.getuid() != sandbox.USER_ID:
            os.setgid(sandbox.USER_ID)
            os.setuid(sandbox.USER_ID)
        step = "renounce privileges"
        if _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        os.chdir("/")
        step = f"start {argv[0]} in it"
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for fd in fds:
            os.set_inheritable(fd, True)
        os.execve(argv[0], list(argv), dict(environ))  # noqa: S606 - no shell is wanted
    except BaseException as error:
        os.write(tell, f"{step}: {error}".encode())
    finally:
        os._exit(1)


def _setns(fd: int) -> None:
    if _LIBC.setns(fd, 0):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
