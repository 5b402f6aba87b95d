"""A worker that an AppVM has taken over can talk to its display, its AppVM and its supervisor, and to nobody else.

It has its connections when it is confined. New ones to its AppVM come through its door where the backend can keep one;
backends that cannot leave it the means to make them, and the files that they say.
"""

import ctypes
import logging
import mmap
import os
import socket
import termios
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy.ma  # noqa: F401 - what numpy imports when it needs it, which a worker no longer can

from guid.sandbox import landlock, seccomp
from guid.sandbox.seccomp import Argument

_PR_SET_NO_NEW_PRIVS: Final = 38

_PLAIN: Final = """
    read readv write writev pread64 preadv preadv2 recvfrom recvmsg sendto sendmsg shutdown close close_range
    fstat newfstatat fcntl lseek dup ftruncate fallocate getsockopt setsockopt getsockname getpeername
    poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2
    timerfd_create timerfd_settime inotify_init1 inotify_add_watch inotify_rm_watch
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday sched_yield
    memfd_create munmap mremap madvise brk membarrier futex
    getpid gettid getuid geteuid getgid getegid getrandom getrusage uname getcwd
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall rseq set_robust_list exit exit_group
""".split()  # noqa: SIM905 - as a list it would have sixty lines
_NEVER: Final = """
    execve execveat ptrace process_vm_readv process_vm_writev pidfd_getfd pidfd_send_signal kill tkill
    setns unshare mount umount2 pivot_root chroot open_by_handle_at bpf perf_event_open userfaultfd
    add_key keyctl request_key init_module finit_module kexec_load
""".split()  # noqa: SIM905 - as a list it would have sixty lines
"""What nobody needs who shows windows, whatever the backend's libraries do."""
_IOCTLS: Final = (termios.FIONBIO, termios.FIONREAD, termios.FIOCLEX)
_FILES: Final = ("open", "openat")
log = logging.getLogger("guid")


def confine(files: Sequence[Path] | None, *, connects: bool) -> None:
    """Confine this process, which must be of one thread, for good. What this machine has no means for is left out.

    `files`: as `Backend.files`. `connects`: whether it makes Unix connections by itself.
    """
    seccomp.available()  # loads the library, while that is possible
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    try:
        if files is not None:
            landlock.restrict(files)
    except OSError as error:
        log.warning("a worker is not confined by Landlock: %s", error)
    try:
        if files is None:
            seccomp.give_up(_NEVER)
        else:
            seccomp.keep(_rules(files=bool(files), connects=connects))
    except OSError as error:
        log.warning("a worker is not confined by seccomp: %s", error)


def in_force() -> Sequence[str]:
    """What workers on this machine are confined by, a sentence each."""
    version = landlock.version()
    said = [
        f"Landlock, version {version}: workers open no files, and reach no abstract socket and no process."
        if version
        else "The kernel has no Landlock: a worker that is taken over could open files."
    ]
    said.append(
        "seccomp: workers start no programs, trace nothing and, on backend local, connect to nobody."
        if seccomp.available()
        else "libseccomp is missing (apt install libseccomp2): a worker that is taken over could start programs."
    )
    return said


def _rules(*, files: bool, connects: bool) -> seccomp.Rules:
    rules: dict[str, Sequence[Sequence[Argument]]] = dict.fromkeys(_PLAIN, ())
    no_code = [[Argument(2, 0, mmap.PROT_EXEC)]]
    rules["mmap"] = rules["mprotect"] = no_code
    rules["tgkill"] = [[Argument(0, os.getpid())]]  # how a process aborts itself
    rules["ioctl"] = [[Argument(1, number)] for number in _IOCTLS]
    if files:
        rules |= dict.fromkeys((*_FILES, "ioctl"), ())
    if connects:
        rules["socket"] = [[Argument(0, socket.AF_UNIX)]]
        rules |= dict.fromkeys(("connect", *_FILES), ())
    return rules
