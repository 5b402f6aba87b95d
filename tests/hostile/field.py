"""Where attacks take place: a desktop, a bystander's VM with a window, and a fresh real worker for each attack."""

import contextlib
import re
import select
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from backends.base import Backend
from backends.local import LocalBackend
from guid.bench.accounting import cpu_seconds
from guid.config.settings import VmSettings
from guid.control import Message
from guid.spec import ViewSpec, VmSpec
from guid.worker.child import Child
from guid.worker.pauses import BRIEF_SECONDS
from guid.worker.process import fork_worker
from tests.backends.kvm import line
from tests.e2e.rig import Screen, wait_for
from tests.guid.hosts.x11.managed import start_openbox
from tests.hostile.agent import HEIGHT, WIDTH, WINDOW, Agent
from tests.xserver import XServer

MORE_MEMORY_KIB: Final = 60 * 1024
"""What a worker may have resident on top of what it began with, whatever an agent does."""
RINGS: Final = "6000:0"
"""The vchans of a VM that has them in shared memory: one, for its windows."""


VM = tuple[str, int, str]
"""Name, domain id and label."""


def resident_kib(pid: int) -> int:
    """What a process has resident, 0 once it has ended."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) if found else 0
    return 0


class Shown:
    """A VM with one window, and the worker that shows it."""

    def __init__(
        self, directory: Path, display: str, vm: VM, place: tuple[int, int], *, rings: bool = False, **chosen: Any
    ) -> None:
        """`rings`: with a vchan in shared memory, that of the backend kvm. `chosen`: settings."""
        name, domid, label = vm
        backend, environ = "local", {"VCHAN_SOCKET_DIR": str(directory)}
        self.backend: Backend = LocalBackend(directory)
        if rings:
            backend, environ = "kvm", dict(line.environ(directory, RINGS))
            self.backend = line.backend(directory, RINGS)
        settings = VmSettings().but(chosen)
        spec = VmSpec(
            name, domid, label, backend=backend, view=ViewSpec(display=display), settings=settings, environ=environ
        )
        self.directory = directory
        self.domid = domid
        self.place = place
        self.agent = Agent(self.backend, domid, 0)
        self.worker: Child = fork_worker(spec)
        self.said: list[Message] = []
        self.agent.connect()
        self._met = time.monotonic()
        self.agent.show(*place)
        self._memory_at_first = self.memory_kib()

    def reconnect(self) -> None:
        """An agent that behaves is there: wait until its window is shown again."""
        self.agent.close()
        self.agent = Agent(self.backend, self.domid, 0)
        self.agent.connect()
        self.agent.show(*self.place)

    def hear(self) -> list[Message]:
        """What the worker has said so far."""
        self.said += self.worker.hear()
        return self.said

    def reason(self) -> str:
        """Why it ended; "" while it lives."""
        return next((str(said["reason"]) for said in self.hear() if said.get("event") == "ended"), "")

    def logged(self) -> list[str]:
        """What the worker has logged so far."""
        return [str(said.get("text")) for said in self.hear() if said.get("event") == "log"]

    def windows(self) -> list[dict[str, Any]]:
        """As the worker sees them."""
        before = self._answers()
        self.worker.line.send({"op": "windows", "id": len(before)})
        return list(wait_for("the worker's answer", lambda: self._answers()[len(before) :])[0]["rows"])

    def row(self) -> dict[str, Any]:
        """Of its window."""
        return next(row for row in self.windows() if row["remote_id"] == WINDOW)

    def corner(self) -> tuple[int, int]:
        """Where a window manager has put its content."""
        row = self.row()
        return row["x"], row["y"]

    def _answers(self) -> list[Message]:
        return [said for said in self.hear() if said.get("event") == "windows"]

    def is_young(self) -> bool:
        """Whether its agent has only just connected: if it hung up now, it would have come and gone."""
        return time.monotonic() - self._met < 1.2 * BRIEF_SECONDS

    def is_idle(self) -> bool:
        """Whether the worker used no processor time for a moment."""
        before = cpu_seconds(self.worker.pid)
        time.sleep(0.2)
        return cpu_seconds(self.worker.pid) == before

    def memory_kib(self) -> int:
        """What the worker has resident, 0 once it has ended."""
        return resident_kib(self.worker.pid)

    def grew(self) -> int:
        """How much more the worker has resident than at first, in KiB."""
        return self.memory_kib() - self._memory_at_first

    def close(self) -> None:
        """End both."""
        with contextlib.suppress(OSError):
            self.agent.close()
        poll = select.epoll()
        poll.register(self.worker.pidfd)
        self.worker.end(poll)
        poll.close()


class Field:
    """The desktop and the bystander; `hostile` brings in the other one."""

    def __init__(self, directory: Path, *, managed: bool = False) -> None:
        """`managed`: by a window manager."""
        self._directory = directory
        self.managed = managed
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        server = self._stack.enter_context(XServer(2048, 1280))
        if self.managed:
            start_openbox(server)
        self.screen = Screen(server.display)
        self._stack.callback(self.screen.close)
        self.bystander = Shown(self._directory, server.display, ("work", 8, "blue"), (1700, 1000))
        self._stack.callback(self.bystander.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def hostile(self, *, rings: bool = False, **chosen: Any) -> Iterator[Shown]:
        """A VM that shows one window and then does what it likes; see `Shown`."""
        directory = self._directory
        if rings:
            directory = Path(tempfile.mkdtemp(dir=directory))
        shown = Shown(directory, self.screen.name, ("bad", 7, "red"), (50, 50), rings=rings, **chosen)
        try:
            yield shown
        finally:
            shown.close()

    def bystander_is_served(self) -> NDArray[np.uint32]:
        """At once, and with nothing lost: AssertionError otherwise. What it shows from now on."""
        began = time.monotonic()
        pixels = self.bystander.agent.paint()
        self.bystander.agent.settle()
        assert time.monotonic() - began < 5, "the bystander had to wait"
        assert not self.bystander.reason()
        self._pixels = pixels
        return pixels

    def bystander_is_shown(self) -> None:
        """Its last pixels are on the desktop, now that nobody else's are."""
        x, y = self.bystander.corner()
        wait_for("its pixels", lambda: bool((self.screen.pixels(x, y, WIDTH, HEIGHT) == self._pixels).all()))
