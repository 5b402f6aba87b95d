"""Two displays, AppVMs with restless programs, their supervisor; and every process of theirs, to look at or to kill."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self

from guid.config.gui_domains import GuiDomain
from guid.control import Client
from guid.supervisor.daemon import SOCKET_NAME
from guid.xserver import Xvfb
from guiproto.errors import MachineCannot

WINDOWS: Final = 3
"""Of each AppVM."""
_KILLED: Final = {
    "guiagent": "agent", "Xvfb": "x server", "Xwayland": "x server", "xwayland-keeper": "who keeps an x server"
}  # fmt: skip
"""Processes of VMs that are killed, by the names that the kernel has for them."""
_LABELS: Final = ("blue", "red", "green", "yellow", "orange", "purple", "gray", "black")
_SCREEN: Final = (1600, 1000)
_REVIVE: Final = """
from guid.supervisor.daemon import connect
from guid.runtime import runtime_dir
connect(runtime_dir()).close()
"""
_PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") // 1024


class World:
    """`vms` AppVMs whose programs come to rest at `until`, in seconds since 1970."""

    def __init__(self, vms: int, seed: int, until: float) -> None:
        self._stack = contextlib.ExitStack()
        self.names = [f"vm{number}" for number in range(vms)]
        self._seed, self._until = seed, until

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        self._directory = Path(enter(tempfile.TemporaryDirectory(prefix="guid-soak-")))
        self.runtime = self._directory / "run"
        self.displays = [enter(Xvfb(*_SCREEN)), enter(Xvfb(*_SCREEN))]
        self.domains = [
            GuiDomain("here", 0, "x11", self.displays[0].display),
            GuiDomain("there", 32, "x11", self.displays[1].display),
        ]
        self._environ = {
            **os.environ,
            "DISPLAY": self.displays[0].display,
            "GUID_RUNTIME_DIR": str(self.runtime),
            "GUID_CONFIG": str(self._directory / "guid.toml"),
            "XDG_DATA_HOME": str(self._directory / "data"),
            "XDG_STATE_HOME": str(self._directory / "state"),
        }
        self._stack.callback(self.stop)
        for name in self.names:
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def guid(self, *arguments: str) -> str:
        """A guid command's output, "" if it failed."""
        done = subprocess.run(
            [sys.executable, "-m", "guid.cli.main", *arguments],
            env=self._environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return done.stdout if done.returncode == 0 else ""

    def start(self, name: str) -> None:
        """Start an AppVM. Raises MachineCannot."""
        number = self.names.index(name)
        program = [
            sys.executable, "-sP", "-m", "guid.soak.scribbler", "--windows", str(WINDOWS),
            "--seed", str(self._seed + number), "--until", str(self._until),
        ]  # fmt: skip
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        command = ["env", f"PYTHONPATH={path}", "OPENBLAS_NUM_THREADS=1", *program]
        self.guid(
            "run", name, "--label", _LABELS[number % len(_LABELS)], "--gui-domain", "dom0", "--detach", "--", *command
        )
        self.until(lambda: self.state(name) == "connected", f"{name} to start", 60)

    def stop(self) -> None:
        """End all AppVMs and the supervisor."""
        self.guid("stop", "--all")

    def revive(self) -> None:
        """Have a supervisor again, which finds the AppVMs that run on."""
        subprocess.run([sys.executable, "-c", _REVIVE], env=self._environ, stdin=subprocess.DEVNULL, check=False)

    def rows(self) -> list[dict[str, Any]]:
        """As `guid ps --json`; empty while there is no supervisor."""
        return list(self._ask("ps", "vms"))

    def windows(self) -> list[dict[str, Any]]:
        """As `guid windows --json`."""
        return list(self._ask("windows", "windows"))

    def state(self, name: str) -> str:
        """Of an AppVM; "" if there is none."""
        return next((str(row["state"]) for row in self.rows() if row["name"] == name), "")

    def swap(self, name: str, domain: GuiDomain) -> bool:
        """Move an AppVM's windows; whether they moved."""
        with contextlib.suppress(MachineCannot), Client(self.runtime / SOCKET_NAME, timeout=60) as client:
            return bool(client.request("swap", names=[name], to=asdict(domain))["swaps"][0]["moved"])
        return False

    def display_of(self, row: dict[str, Any]) -> int:
        """Which of the displays shows an AppVM."""
        return next(n for n, server in enumerate(self.displays) if server.display == row["display"])

    def until(self, true: Callable[[], bool], what: str, seconds: float) -> None:
        """Wait for it. Raises MachineCannot."""
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                raise MachineCannot(f"waited {seconds:g} s for {what}")
            time.sleep(0.1)

    # --- processes ---

    def processes(self) -> Iterator[tuple[str, int]]:
        """What it is, and the pid: supervisor, worker, database, agent, x server, of every AppVM."""
        rows = self.rows()
        for row in rows[:1]:
            yield "supervisor", row["supervisor_pid"]
        for row in rows:
            for what, key in (("worker", "worker_pid"), ("database", "qubesdb_pid")):
                if row[key]:
                    yield what, row[key]
            for pid in _below(row["vm_pid"]):
                name = _comm(pid)
                if name in _KILLED:
                    yield _KILLED[name], pid

    def _ask(self, op: str, what: str) -> list[Any]:
        with contextlib.suppress(MachineCannot), Client(self.runtime / SOCKET_NAME, timeout=20) as client:
            return list(client.request(op)[what])
        return []


def kill(pid: int) -> None:
    """With SIGKILL, if it is there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def memory_kib(pid: int) -> int:
    """Resident memory; 0 for one that has ended."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KIB
    return 0


def descriptors(pid: int) -> int:
    """How many are open; 0 for one that has ended."""
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def _comm(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _below(pid: int | None) -> Iterator[int]:
    """All descendants."""
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield int(child)
            yield from _below(int(child))
