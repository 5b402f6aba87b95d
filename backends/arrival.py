"""Waiting for a path to appear takes no polling: two descriptors wake up when it is worth to look for it again.

inotify tells when something is created in, or moved into, the path's directory; while that does not exist yet, its
nearest ancestor is watched. A timer serves what inotify cannot tell: see `retry`.
"""

import contextlib
import ctypes
import errno
import functools
import os
import struct
from pathlib import Path
from typing import Any, Final

from guiproto.errors import MachineCannot

# <sys/inotify.h>; the values are the kernel's ABI.
_IN_CREATE: Final = 0x100
_IN_MOVED_TO: Final = 0x80
_IN_MOVE_SELF: Final = 0x800
_IN_ONLYDIR: Final = 0x01000000
_WATCHED: Final = _IN_CREATE | _IN_MOVED_TO | _IN_MOVE_SELF | _IN_ONLYDIR
"""That a watched directory was deleted is said without being asked for (IN_IGNORED)."""

_CLOCK_MONOTONIC: Final = 1
_ITIMERSPEC: Final = struct.Struct("@llll")
_EVENT_BYTES: Final = 64 * 1024

_FIRST_DELAY_NS: Final = 1_000_000
_LAST_DELAY_NS: Final = 1_000_000_000


class Arrival:
    """Watches for `path`. Any of `filenos` polls readable when it is worth to look; the first time at once."""

    def __init__(self, path: Path) -> None:
        """Raises MachineCannot when the system has no watch left."""
        self._directory = path.absolute().parent
        self._watch = -1
        self._delay = _FIRST_DELAY_NS
        libc = _libc()
        self._inotify = -1
        self._timer = -1
        try:
            self._inotify = _checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
            self._timer = _checked(libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            self.close()
            raise MachineCannot(
                f"cannot wait for {path}: {error.strerror}", "raise `ulimit -n` or fs.inotify.max_user_instances"
            ) from None
        self._arm(1)

    @property
    def filenos(self) -> tuple[int, int]:
        """The two descriptors to poll for reading."""
        return self._inotify, self._timer

    def begin_look(self) -> None:
        """Call before looking for the path: what happens from now on wakes up again. Raises MachineCannot."""
        if self._drain(self._inotify):
            self._delay = _FIRST_DELAY_NS
        self._drain(self._timer)
        self._watch_nearest()

    def retry(self) -> None:
        """Wake up again in a while, twice as late each time until something new is seen, without any event.

        For a socket that exists but refuses: its server may be between bind and listen, and listen leaves no event.
        """
        self._arm(self._delay)
        self._delay = min(2 * self._delay, _LAST_DELAY_NS)

    def close(self) -> None:
        """Stop watching. May be called twice."""
        for fd in (self._inotify, self._timer):
            if fd >= 0:
                os.close(fd)
        self._inotify = self._timer = -1

    def _watch_nearest(self) -> None:
        # A directory may appear between the failure to watch it and the watch on its parent: then go round again. Only
        # somebody who makes and removes it all the time keeps this from settling; then leave it to the timer.
        for _ in range(8):
            missing = self._directory
            for directory in (self._directory, *self._directory.parents):
                if self._watch_directory(directory):
                    break
                missing = directory
            if directory == self._directory or not missing.is_dir():
                return
        self.retry()

    def _watch_directory(self, directory: Path) -> bool:
        try:
            watch = _checked(_libc().inotify_add_watch(self._inotify, os.fsencode(directory), _WATCHED))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return False
            raise MachineCannot(
                f"cannot watch {directory}: {error.strerror}",
                "its owner must let you read it"
                if error.errno == errno.EACCES
                else "raise fs.inotify.max_user_watches",
            ) from None
        if watch != self._watch and self._watch >= 0:
            _libc().inotify_rm_watch(self._inotify, self._watch)
        self._watch = watch
        return True

    def _drain(self, fd: int) -> bool:
        """Whether there was something. One read: what it leaves wakes up again."""
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(fd, _EVENT_BYTES))
        return False

    def _arm(self, nanoseconds: int) -> None:
        spec = _ITIMERSPEC.pack(0, 0, *divmod(nanoseconds, 1_000_000_000))
        _checked(_libc().timerfd_settime(self._timer, 0, spec, None))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


@functools.cache
def _libc() -> Any:
    """The calls that Python 3.11 does not wrap."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]
    libc.timerfd_settime.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
    return libc
