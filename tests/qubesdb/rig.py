"""Both daemons of a VM as processes of their own, meeting over the local backend's vchan.

`python -m tests.qubesdb.rig admin|vm DIRECTORY DOMID` runs one until its standard input is closed.
"""

import logging
import subprocess
import sys
from pathlib import Path

from backends.local import LocalBackend
from qubesdb.client import Database
from qubesdb.daemon import admin_daemon, vm_daemon
from qubesdb.sockets import socket_path
from qubesdb.store import Store
from tests.xserver import wait_until

VM = "work"
DOMID = 7


class House:
    """A directory with both; each can be started, killed and asked."""

    def __init__(self, directory: Path, domid: int = DOMID) -> None:
        self.directory = directory
        self.domid = domid
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        (directory / "admin").mkdir(parents=True)

    def start(self, *sides: str) -> None:
        """Start these daemons."""
        for side in sides:
            with (self.directory / f"{side}.log").open("ab") as log:
                self.processes[side] = subprocess.Popen(
                    [sys.executable, "-m", "tests.qubesdb.rig", side, str(self.directory), str(self.domid)],
                    stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=Path(__file__).parents[2],
                )  # fmt: skip

    def kill(self, side: str) -> None:
        """Without a word."""
        process = self.processes.pop(side)
        process.kill()
        process.communicate()

    def end(self, side: str) -> int:
        """Tell it to; its exit status."""
        process = self.processes.pop(side)
        process.communicate(timeout=10)
        return process.returncode

    def path(self, side: str, *, writable: bool = True) -> Path:
        """A socket's."""
        return socket_path(self.directory / side, VM if side == "admin" else None, writable=writable)

    def connect(self, side: str, *, writable: bool = True) -> Database:
        """A client, as soon as it can be had."""
        path = self.path(side, writable=writable)
        wait_until(path.exists, f"{path}; {self.log(side)}")
        return Database(path)

    def log(self, side: str) -> str:
        """What it has said."""
        path = self.directory / f"{side}.log"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        """End everything."""
        for side in list(self.processes):
            self.kill(side)


def has(database: Database, path: str, value: bytes | None) -> bool:
    """Whether an entry has that value, or is not there."""
    return database.multiread(path).get(path) == value


def main() -> None:
    """Run one daemon."""
    side, directory, domid = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    logging.basicConfig(format="%(message)s", level=logging.DEBUG)
    backend = LocalBackend(directory / "vchan")
    if side == "admin":
        store = Store(directory / "admin" / "entries", "one life")
        daemon = admin_daemon(backend, VM, domid, directory / "admin", store, {"/name": VM.encode()})
    else:
        daemon = vm_daemon(backend, domid, directory / "vm")
    try:
        daemon.run(sys.stdin.fileno())
    finally:
        daemon.close()


if __name__ == "__main__":
    main()
