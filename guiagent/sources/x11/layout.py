"""The keyboard layout of the VM's X server, set by `setxkbmap`, which knows XKB's rules and compiles them.

It runs beside us, and not where the layout is the right one already: it takes tens of milliseconds, more where the
processor is emulated. One at a time; of several wishes meanwhile the last counts. The server tells everybody of its new
map, us included (see `keyboard`).
"""

import logging
import os
import select
import subprocess
from typing import Any, Final

from Xlib import Xatom

from guiagent.sources.base import LayoutChanger
from qubesdb.keys import KEYBOARD_LAYOUT, Layout
from shm.xkb import RULES_NAMES, layout_in

_PROGRAM: Final = "setxkbmap"

log = logging.getLogger(__name__)


def command(display: str, layout: Layout) -> list[str]:
    """The command line. Options that were set before go: setxkbmap would add to them."""
    argv = [_PROGRAM, "-display", display, "-layout", layout.layout, "-variant", layout.variant, "-option", ""]
    return [*argv, "-option", layout.options] if layout.options else argv


class LayoutSetter(LayoutChanger):
    """Runs the program for one display."""

    def __init__(self, display: Any) -> None:
        """`display` is python-xlib's."""
        self._x = display
        self._display = str(display.get_display_name())
        self._epoll = select.epoll()
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._next: Layout | None = None

    def fileno(self) -> int:
        return self._epoll.fileno()

    def set(self, layout: Layout) -> None:
        if self._process is None and layout == self._present():
            return
        self._next = layout
        if self._process is None:
            self._start()

    def proceed(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._epoll.unregister(self._pidfd)
        os.close(self._pidfd)
        if process.wait() != 0:
            log.warning(
                "%s cannot set this keyboard layout (status %d); it stays as it was", _PROGRAM, process.returncode
            )
        if self._next is not None:
            self._start()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            os.close(self._pidfd)
            self._process = None
        self._epoll.close()

    def _present(self) -> Layout | None:
        """The layout that the X server has, as far as whoever set it has left word."""
        names = self._x.screen().root.get_full_property(self._x.get_atom(RULES_NAMES), Xatom.STRING)
        try:
            found = layout_in(bytes(names.value)) if names is not None and names.format == 8 else None
            return None if found is None else KEYBOARD_LAYOUT.parse(found)
        except ValueError:
            return None

    def _start(self) -> None:
        assert self._next is not None
        layout, self._next = self._next, None
        try:
            self._process = subprocess.Popen(
                command(self._display, layout),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            log.warning(
                "%s, which sets keyboard layouts, cannot be run: %s; apt install x11-xkb-utils",
                _PROGRAM,
                error.strerror,
            )
            return
        self._pidfd = os.pidfd_open(self._process.pid)
        self._epoll.register(self._pidfd, select.EPOLLIN)
