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
from guiagent.no_memfd import refuse_memfds
from guiagent.settings import Settings
from guiproto.errors import MachineCannot
from guiproto.limits import MAX_WINDOW_HEIGHT, MAX_WINDOW_WIDTH
from qubesdb.keys import VIDEORAM_MIN, VIDEORAM_OVERHEAD
from qubesdb.sockets import vm_dir

_SECONDS: Final = 30.0
"""How long it may take to start."""
_ROOM: Final = 2
"""How many times as wide and high as at first the screen can become, as when the desktop gets another monitor."""

log = logging.getLogger("session")


class DisplayServer(Part):
    """Xvfb. `screen` is its size at first; `environ` is that of applications, who find it there. `poll` polls it.

    `drawing_place`: the directory of the files that windows are drawn into, where that has to be one.
    """

    program = "Xvfb"
    is_ours = False
    """Whether a process of ours runs it, forked from this one."""

    def __init__(
        self,
        screen: tuple[int, int],
        environ: MutableMapping[str, str],
        authority: Path | None,
        poll: select.poll,
        delays: Sequence[float],
        drawing_place: Path | None = None,
    ) -> None:
        super().__init__("the display server", delays)
        self.display = ""
        """Its name, while clients may use it."""
        self.fit_pid = 0
        """Of the child that gives the screen its size, before anybody can look at it."""
        self._screen = screen
        self._environ = environ
        self._authority = authority
        self._drawing_place = drawing_place
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
        pid, pipe = self._spawn(configured=configured)
        self.started(pid)
        self._pipe, self._text = pipe, b""
        self._poll.register(pipe, select.POLLIN)

    def _spawn(self, *, configured: bool) -> tuple[int, int]:
        """Its pid, and where its display number will be read."""
        room = self._room(configured=configured)
        self._memory, self._given_back = screen_memory.make(room), False
        if self._memory is None:
            room = self._screen
        return xserver.start(room, self._environ, self._authority, self._memory)

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
        self._fit_in()

    def is_fit(self) -> None:
        """The child has given the screen its size."""
        self.fit_pid = 0
        self.display = f":{int(self._text)}"
        self._environ["DISPLAY"] = self.display
        log.debug("display %s after %.0f ms", self.display, self.age * 1000)

    def _fit_in(self) -> None:
        self.fit_pid = fork("screen", self._fit)

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


class KeptXwayland(DisplayServer):
    """An Xwayland, by the process that keeps it. Its screen has any size that it is told, and needs no memory."""

    program = "Xwayland"
    is_ours = True

    def _spawn(self, *, configured: bool) -> tuple[int, int]:  # noqa: ARG002 - there is no screen to make room for
        reader, writer = os.pipe()
        try:
            return fork("xwayland-keeper", lambda: self._keep(writer), writer), reader
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)

    def _keep(self, tell: int) -> int:
        from guiagent.sources.xwayland import keeper

        options = keeper.OPTIONS if self._authority is None else (*keeper.OPTIONS, "-auth", str(self._authority))
        environ = {**self._environ}
        if self._drawing_place is not None:
            try:
                refuse_memfds()
            except MachineCannot as error:
                log.error("Xwayland: %s", error)
                return 1
            environ["XDG_RUNTIME_DIR"] = str(self._drawing_place)
        return keeper.run(self._screen, tell, environ, options, self._let_in)

    def _let_in(self, number: int) -> None:
        """Let this process, the keeper, in."""
        if self._authority is not None:
            xserver.write_authority(self._authority, number, self._cookie)
        self.enter()

    def _fit_in(self) -> None:
        self.is_fit()


def display_server(source: str) -> type[DisplayServer]:
    """What AppVMs with that source of windows have."""
    return KeptXwayland if source == "xwayland" else DisplayServer
