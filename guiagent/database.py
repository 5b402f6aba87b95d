"""The VM's Qubes DB daemon as a child of its session: started before everything else, started again when it dies.

A VM lives without one: it is neither waited for without end, nor does its death end anything.
"""

import logging
import os
import select
import time
from collections.abc import Callable, Sequence
from typing import Final

from guiagent.kept import Part
from guiproto.errors import MachineCannot

Run = Callable[[Callable[[], None]], None]
"""The daemon: serves for ever, and calls what it is given when its sockets are there."""

Fork = Callable[[Callable[[], int], int], int]
"""Makes a child, which does the first, returns its status, and keeps the descriptor; its pid."""

_PATIENCE_SECONDS: Final = 1.0
"""How long the display server's start may wait for what the daemon has to say about it."""

log = logging.getLogger("session")


class DatabasePart:
    """The process, and a pipe that it closes when it is ready, or the kernel when it has ended."""

    def __init__(self, run: Run, fork: Fork, poll: select.poll, delays: Sequence[float]) -> None:
        self._run = run
        self._fork = fork
        self._poll = poll
        self._part = Part("the Qubes DB daemon", delays)
        self._pipe: int | None = None
        self._wait_until: float | None = time.monotonic() + _PATIENCE_SECONDS

    @property
    def pid(self) -> int:
        """0 while there is none."""
        return self._part.pid

    def start_if_due(self) -> None:
        """Start it, at first or again."""
        if not self._part.due():
            return
        ready, tell = os.pipe()
        try:
            pid = self._fork(lambda: self._serve(tell), tell)
        finally:
            os.close(tell)
        self._part.started(pid)
        self._pipe = ready
        self._poll.register(ready, select.POLLIN)

    def _serve(self, tell: int) -> int:
        """In the child."""
        try:
            self._run(lambda: os.close(tell))
        except MachineCannot as error:
            log.warning("Qubes DB: %s", error)
            return 1
        return 0

    def spoke(self, fds: set[int]) -> None:
        """It is ready, or has ended, if its pipe is among `fds`: nobody needs to wait any longer."""
        if self._pipe is not None and self._pipe in fds:
            self._poll.unregister(self._pipe)
            os.close(self._pipe)
            self._pipe = self._wait_until = None

    def awaited(self) -> float | None:
        """Until when the display server's start waits for it; None if it does not, or not any more."""
        if self._wait_until is not None and time.monotonic() >= self._wait_until:
            log.info("Qubes DB: nothing has come from the admin side so far; starting without")
            self._wait_until = None
        return self._wait_until

    def start_at(self) -> float | None:
        """When it is to be started again."""
        return self._part.start_at

    def died(self) -> None:
        """It has ended."""
        try:
            self._part.died()
        except MachineCannot as error:
            log.warning("%s; the VM goes on without it", error)
