"""A worker on a display server of its own, reachable over a real vchan: what every benchmark runs on."""

import contextlib
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from backends import registry
from guid.bench.synthetic import SyntheticAgent
from guid.config.settings import VmSettings
from guid.spec import ViewSpec, VmSpec
from guid.worker.child import Child
from guid.worker.process import fork_worker
from guid.xserver import KeptXwayland, Xvfb
from guiproto.errors import MachineCannot

DESK: Final = (2048, 1280)
DESK_4K: Final = (3900, 2220)
DOMID: Final = 9
_GUEST_OPTIONS: Final = ("-nolisten", "tcp", "-schedInterval", "1")
"""As an AppVM's own X server is started."""
_TIMEOUT: Final = 20.0
AT_FULL_SPEED: Final = VmSettings(max_message_rate=10_000_000)
"""For figures of what a worker can do, instead of what it does for one VM."""


class Bed:
    """Temporary rendezvous directory and a desktop; workers are made on demand."""

    def __init__(self, screen: tuple[int, int] = DESK, *, tcp: bool = False) -> None:
        """`tcp`: whether the desktop's X server listens on TCP as well; it lets in this machine's users alone."""
        self._stack = contextlib.ExitStack()
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="guid-bench-")))
        options = ("-listen", "tcp") if tcp else ("-nolisten", "tcp")
        self.desk = self._stack.enter_context(Xvfb(*screen, options))
        self.environ = {"VCHAN_SOCKET_DIR": str(self.directory)}
        self.backend = registry.load("local", self.environ)

    def __enter__(self) -> "Bed":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def worker(self, domid: int = DOMID, name: str = "bench", settings: VmSettings | None = None) -> Iterator[Child]:
        """A worker for that domain, ended on exit."""
        view, settings = ViewSpec(display=self.desk.display), settings or VmSettings()
        spec = VmSpec(name=name, domid=domid, label="blue", view=view, settings=settings, environ=self.environ)
        with self.running(fork_worker(spec)) as child:
            yield child

    @staticmethod
    @contextlib.contextmanager
    def running(child: Child) -> Iterator[Child]:
        """Ends the worker on exit."""
        try:
            yield child
        finally:
            child.line.close()
            os.waitpid(child.pid, 0)
            os.close(child.pidfd)

    @contextlib.contextmanager
    def synthetic(
        self, domid: int = DOMID, settings: VmSettings | None = None
    ) -> Iterator[tuple[Child, SyntheticAgent]]:
        """A worker with a synthetic agent that has shaken hands with it."""
        agent = SyntheticAgent(self.backend, domid, 0)
        try:
            with self.worker(domid, settings=settings) as child:
                agent.connect()
                yield child, agent
        finally:
            agent.close()

    @contextlib.contextmanager
    def guest(
        self, domid: int = DOMID, screen: tuple[int, int] = DESK, source: str = "x11"
    ) -> Iterator[tuple[Xvfb, int]]:
        """An AppVM's display server with the real agent on it; yields it and the agent's pid."""
        program = shutil.which("guiagent", path=str(Path(sys.executable).parent)) or shutil.which("guiagent")
        command = [program] if program else [sys.executable, "-m", "guiagent.main"]
        kind = KeptXwayland if source == "xwayland" else Xvfb
        with kind(*screen, _GUEST_OPTIONS) as server:
            process = subprocess.Popen(
                [*command, "--domid", str(domid), "--gui-domid", "0", "--display", server.display, "--source", source],
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            try:
                yield server, process.pid
            finally:
                process.terminate()
                process.wait(_TIMEOUT)


def windows_of(child: Child) -> list[dict[str, Any]]:
    """The worker's windows, as `guid windows --json` shows them."""
    child.line.send({"op": "windows", "id": 0})
    poll = select.poll()
    poll.register(child.line.fileno(), select.POLLIN)
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end:
        poll.poll(1000)
        for message in child.line.receive():
            if message.get("event") == "windows":
                return list(message["rows"])
            if message.get("event") == "ended":
                raise MachineCannot(f"the worker ended: {message.get('reason')}")
    raise MachineCannot("the worker does not answer")
