"""Children that are a part of the session: forked from it, so that they share its memory, and nothing else of it."""

import gc
import logging
import os
import signal
from collections.abc import Callable
from typing import Final, NoReturn

from guiagent.processes import set_name

ENDING: Final = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
"""Signals that tell a session to end."""

log = logging.getLogger("session")


def fork(name: str, be: Callable[[], int], keep: int = 2) -> int:
    """A child that is `be`, whose exit status that returns, and of our descriptors keeps the first three and one more.

    Its pid. `name` is what `ps` shows.
    """
    gc.freeze()  # the child's collector then leaves our pages alone, and they stay shared
    # A signal to the child before it is one of its own would be told to us, through the pipe that it still shares.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        pid = os.fork()
        if pid == 0:
            _become(name, be, keep)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    return pid


def _become(name: str, be: Callable[[], int], keep: int) -> NoReturn:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (*ENDING, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        os.closerange(3, keep)
        os.closerange(max(3, keep + 1), os.sysconf("SC_OPEN_MAX"))
        set_name(name)
        status = be()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        log.exception("%s failed", name)
    finally:
        os._exit(status)
