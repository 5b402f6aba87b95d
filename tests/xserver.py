"""A real X server of one's own: no fixed display number, no TCP, gone afterwards with everything started on it.

Usable without pytest: `with XServer(800, 600) as server: ... server.display`.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from guiagent.processes import below

_DEADLINE = 20.0


def wait_until(condition: Callable[[], object], what: str = "the condition", timeout: float = _DEADLINE) -> None:
    """Return as soon as `condition` is true; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true in {timeout} s")
        time.sleep(0.005)


class XServer:
    """An Xvfb of `width` x `height` pixels, depth 24, that answers from the moment `__enter__` returns.

    `log` is a file with everything it wrote; it stays when `log_dir` is given and is removed otherwise.
    """

    def __init__(
        self, width: int = 2048, height: int = 1280, *, log_dir: Path | None = None, arguments: tuple[str, ...] = ()
    ) -> None:
        self.width = width
        self.height = height
        self._arguments = arguments
        self._log_dir = log_dir
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes]
        self.display = ""
        self.log = Path()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def __enter__(self) -> Self:
        directory = self._log_dir or Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="xserver-")))
        self.log = directory / f"xvfb-{os.getpid()}-{id(self):x}.log"
        reader, writer = os.pipe()
        try:
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command(writer), pass_fds=(writer,), stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            self._stack.callback(self.kill, signal.SIGTERM)
            os.close(writer)
            writer = -1
            with open(reader, "rb", closefd=False) as pipe:
                number = pipe.readline()  # EOF if it could not start; it writes the number and the newline apart
            if not number.endswith(b"\n"):
                reason = self.log.read_text(errors="replace")
                self._stack.close()
                raise AssertionError(f"Xvfb did not start: {reason}")
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)
        self.display = f":{int(number)}"
        return self

    def _command(self, writer: int) -> list[str]:
        return [
            "Xvfb", "-displayfd", str(writer), "-screen", "0", f"{self.width}x{self.height}x24",
            "-nolisten", "tcp", "-noreset", *self._arguments,
        ]  # fmt: skip

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def environment(self) -> dict[str, str]:
        """`os.environ` with DISPLAY naming this server."""
        return os.environ | {"DISPLAY": self.display}

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """A client of this server, killed when the server goes."""
        client = subprocess.Popen(
            command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._stack.callback(_end, client, signal.SIGKILL)
        return client

    def run(self, *command: str) -> str:
        """Run a client to its end and return what it printed; CalledProcessError if it fails."""
        return subprocess.run(
            command,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=_DEADLINE,
        ).stdout.decode(errors="replace")

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the server and wait for it. No error if it is gone already."""
        if self.alive and how is not signal.SIGKILL:
            self._process.send_signal(signal.SIGCONT)  # a test may have stopped it
        _end(self._process, how)
        if self.display:
            _remove_stale(Path(f"/tmp/.X11-unix/X{self.display.removeprefix(':')}"))


class XwaylandServer(XServer):
    """The same, kept by the process that AppVMs have for it, which `kill` kills."""

    @property
    def pid(self) -> int:
        (found,) = [pid for pid, name in below(self._process.pid).items() if name == "Xwayland"]
        return found

    def _command(self, writer: int) -> list[str]:
        keeper = "guiagent.sources.xwayland.keeper"
        return [sys.executable, "-m", keeper, str(self.width), str(self.height), str(writer)]


SERVERS: Mapping[str, Callable[[int, int], XServer]] = {"x11": XServer, "xwayland": XwaylandServer}
"""The display server of each source of windows."""


def _remove_stale(path: Path) -> None:
    """Remove the socket that a killed server left, unless another server listens there by now."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            return


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
