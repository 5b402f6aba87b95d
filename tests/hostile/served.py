"""A supervisor in a process of its own that shows several VMs; who their agents are is the test's business."""

import contextlib
import logging
import os
import select
import signal
from pathlib import Path
from typing import Any, Final, Self

from backends.local import LocalBackend
from guid.config.configuration import Configuration
from guid.control import Client, LineSocket, Listener
from guid.spec import ViewSpec, VmSpec
from guid.supervisor.supervisor import Supervisor
from guid.worker.process import fork
from guiproto.errors import MachineCannot
from qubesdb.sockets import socket_path
from tests.e2e.rig import Screen, wait_for
from tests.hostile.agent import Agent
from tests.hostile.field import VM
from tests.xserver import XServer

VMS: Final[tuple[VM, ...]] = (("work", 8, "blue"), ("bad", 7, "red"), ("mail", 9, "green"))


class Served:
    """`agents`: by the names of the VMs, those that the test has made."""

    def __init__(self, directory: Path, server: XServer) -> None:
        self.directory = directory
        self.screen = Screen(server.display)
        self.backend = LocalBackend(directory / "vchan")
        self.agents: dict[str, Agent] = {}
        self.logged: list[str] = []
        (directory / "vchan").mkdir(mode=0o700)
        (directory / "run").mkdir(mode=0o700)
        (directory / "guid.toml").touch()
        self._child = fork("supervisor", self._serve)
        wait_for("the supervisor", self._is_ready)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for agent in self.agents.values():
            agent.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._child.pid, signal.SIGTERM)
        with select.epoll() as poll:
            poll.register(self._child.pidfd)
            self._child.end(poll, patience=10)
        self.screen.close()

    @property
    def _path(self) -> Path:
        return self.directory / "run" / "supervisor.sock"

    def _is_ready(self) -> bool:
        databases = [socket_path(self.directory / "run" / "qubesdb", name) for name, _, _ in VMS]
        return self._path.exists() and len(self.rows()) == len(VMS) and all(path.exists() for path in databases)

    def _serve(self, _: LineSocket) -> dict[str, str]:
        """In the process of its own."""
        logging.getLogger().setLevel(logging.INFO)
        os.environ.update(GUID_RUNTIME_DIR=str(self.directory / "run"), DISPLAY=self.screen.name)
        listener = Listener(self._path)
        supervisor = Supervisor(listener, None, self.directory, Configuration.read(self.directory / "guid.toml"))
        for name, domid, label in VMS:
            environ = {"VCHAN_SOCKET_DIR": str(self.directory / "vchan")}
            supervisor.attach(VmSpec(name, domid, label, view=ViewSpec(display=self.screen.name), environ=environ))
        supervisor.run()
        return {}

    # --- VMs ---

    def agent(self, name: str) -> Agent:
        """A fresh one, not connected."""
        if name in self.agents:
            self.agents.pop(name).close()
        domid = next(domid for vm, domid, _ in VMS if vm == name)
        self.agents[name] = Agent(self.backend, domid, 0)
        return self.agents[name]

    def show(self, name: str, x: int, y: int) -> Agent:
        """One that shows a window there."""
        agent = self.agent(name)
        agent.connect()
        agent.show(x, y)
        return agent

    # --- what guid says ---

    def request(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Ask the supervisor, which has to answer at once."""
        with Client(self._path) as client:
            return client.request(op, **arguments)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Of `guid ps`, by name."""
        try:
            return {row["name"]: row for row in self.request("ps")["vms"]}
        except MachineCannot:
            return {}  # it is about to begin

    def log(self) -> str:
        """What it has said so far, a line each."""
        self.logged += [str(said["text"]) for said in self._child.hear() if said.get("event") == "log"]
        return "\n".join(self.logged)

    def said(self, text: str) -> None:
        """Wait until it has said that."""
        wait_for(f"{text!r} in the log", lambda: text in self.log())

    # --- the user ---

    def local_id(self, name: str) -> int:
        """The desktop's number of that VM's window."""
        rows = self.request("windows")["windows"]
        return int(next(row["local_id"] for row in rows if row["vm"] == name))

    def press(self, name: str, *keys: str) -> None:
        """Give a VM's window the keyboard, and press keys in it: all down, then all up."""
        self.screen.focus(self.local_id(name))
        self.screen.press(*keys)
