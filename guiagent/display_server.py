"""The AppVM's display server as a part of its session: started, given its screen, told to clients, kept alive."""

import logging
import os
import select
import signal
import time
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Final

from guiagent import screen_memory, xserver
from guiagent.forking import fork
from guiagent.kept import Part
from guiagent.settings import Settings
from guiproto.limits import MAX_WINDOW_HEIGHT, MAX_WINDOW_WIDTH
from qubesdb.keys import VIDEORAM_MIN, VIDEORAM_OVERHEAD
from qubesdb.sockets import vm_dir

_SECONDS: Final = 30.0
"""How long it may take to start."""
_ROOM: Final = 2
"""How many times as wide and high as at first the screen can become, as when the desktop gets another monitor."""

log = logging.getLogger("session")


class DisplayServer(Part):
    """`screen` is its size at first; `environ` is that of applications, who find it there. Polled through `poll`."""

    def __init__(
        self,
        screen: tuple[int, int],
        environ: MutableMapping[str, str],
        authority: Path | None,
        poll: select.poll,
        delays: Sequence[float],
    ) -> None:
        super().__init__("the display server", delays)
        self.display = ""
        """Its name, while clients may use it."""
        self.fit_pid = 0
        """Of the child that gives the screen its size, before anybody can look at it."""
        self._screen = screen
        self._environ = environ
        self._authority = authority
        self._poll = poll
        self._cookie = os.urandom(16)
        self._pipe: int | None = None
        self._text = b""
        self._memory: Path | None = None
        """Where it keeps its screen."""
        self._given_back = False

    def start(self, *, configured: bool) -> None:
        """Start it. `configured`: whether there is a Qubes DB that may want room for more. Raises OSError."""
        if self._authority is not None:
            xserver.write_authority(self._authority, 0, self._cookie)
        room = self._room(configured=configured)
        self._memory, self._given_back = screen_memory.make(room), False
        if self._memory is None:
            room = self._screen
        pid, pipe = xserver.start(room, self._environ, self._authority, self._memory)
        self.started(pid)
        self._pipe, self._text = pipe, b""
        self._poll.register(pipe, select.POLLIN)

    def read(self, ready: set[int]) -> None:
        """Take the display number, which it writes when it is ready; give up one that does not."""
        if self._pipe is None or self._pipe not in ready:
            if self._pipe is not None and self.pid and self.age > _SECONDS:
                log.warning("the display server does not answer")
                os.kill(self.pid, signal.SIGKILL)
            return
        text = os.read(self._pipe, 64)
        self._text += text
        if text and not text.endswith(b"\n"):
            return
        self._forget_pipe()
        if not text:
            return  # it ends, as we shall hear
        if self._authority is not None:
            xserver.write_authority(self._authority, int(self._text), self._cookie)
        self.fit_pid = fork("screen", self._fit)

    def is_fit(self) -> None:
        """The child has given the screen its size."""
        self.fit_pid = 0
        self.display = f":{int(self._text)}"
        self._environ["DISPLAY"] = self.display
        log.debug("display %s after %.0f ms", self.display, self.age * 1000)

    def save_memory(self) -> None:
        """Clients have been started, and their server has nothing better to do."""
        if self.display and self._memory is not None and not self._given_back:
            screen_memory.give_back(self._memory)
            self._given_back = True

    def gone(self) -> None:
        """It has ended: nothing is left of it."""
        self.display, self.fit_pid = "", 0
        self._forget_pipe()
        if self._memory is not None:
            screen_memory.remove(self._memory)
            self._memory = None

    def deadline(self) -> float | None:
        """When `read` has something to do though nothing is ready."""
        return None if self._pipe is None else time.monotonic() - self.age + _SECONDS

    def enter(self) -> None:
        """Have this process, a child, be let in."""
        if self._authority is not None:
            os.environ["XAUTHORITY"] = str(self._authority)

    def _fit(self) -> int:
        from guiagent.sources.x11.monitors import fit

        self.enter()
        fit(f":{int(self._text)}", self._screen)
        return 0

    def _forget_pipe(self) -> None:
        if self._pipe is not None:
            self._poll.unregister(self._pipe)
            os.close(self._pipe)
            self._pipe = None

    def _room(self, *, configured: bool) -> tuple[int, int]:
        """The largest size of its screen: more than we were told, and more if Qubes DB wants that."""
        room = min(_ROOM * self._screen[0], MAX_WINDOW_WIDTH), min(_ROOM * self._screen[1], MAX_WINDOW_HEIGHT)
        if not configured:
            return room
        settings = Settings(vm_dir())
        try:
            settings.read()
            return xserver.with_room(room, settings.get(VIDEORAM_MIN), settings.get(VIDEORAM_OVERHEAD))
        finally:
            settings.close()
