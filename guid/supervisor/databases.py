"""The admin side's Qubes DB daemons, one process for each VM: started before it is shown, started again when they die.

What a VM wrote is a matter between it and whoever reads it: nothing of it comes here.
"""

import contextlib
import logging
import select
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from guid.control import LineSocket
from guid.runtime import qubesdb_dir, runtime_dir
from guid.spec import VmSpec
from guid.supervisor.vm import Vm
from guid.worker.child import Child
from guid.worker.process import enter, fork
from guiproto.errors import MachineCannot
from qubesdb.daemon import Daemon, admin_daemon
from qubesdb.keys import DEFAULT_USER, GUI_DOMAIN, GUI_ENABLED, GUI_NEXT, NAME, VM_TYPE
from qubesdb.sockets import socket_path
from qubesdb.store import Store

_BACKOFF_FIRST: Final = 0.25
_BACKOFF_MAX: Final = 30.0
_HEALTHY_AFTER: Final = 60.0
_KEEPING_SECONDS: Final = 1.0
"""How long a daemon may take to keep what it has, when it is hung up on."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(slots=True)
class _Running:
    """A daemon, or the wait for its next start."""

    vm: Vm
    child: Child | None = None
    started: float = 0.0
    backoff: float = 0.0
    restart_at: float | None = None
    last_words: str = ""
    untold: dict[str, str] = field(default_factory=dict)
    """Entries to be set once there is a daemon."""


class Databases:
    """By the names of the VMs; their descriptors are in `poll`."""

    def __init__(self, poll: select.epoll, clock: Callable[[], float]) -> None:
        self._poll = poll
        self._clock = clock
        self._running: dict[str, _Running] = {}

    def serve(self, vm: Vm) -> None:
        """Serve that VM as its description says, from now on; whatever was served under its name is so no more."""
        self._end(vm.spec.name)
        if vm.spec.qubesdb:
            self._running[vm.spec.name] = running = _Running(vm)
            self._start(running)

    def tell(self, name: str, path: str, value: str) -> None:
        """Set an entry of that VM soon, if it is served; `value` is ASCII. Lost only if its daemon is just dying."""
        running = self._running.get(name)
        if running is not None:
            running.untold[path] = value
            self._tell_all(running)

    def drop(self, name: str, *, forget: bool) -> None:
        """Serve it no longer. `forget`: its values are of no use any more either."""
        if self._end(name) and forget:
            with contextlib.suppress(MachineCannot):
                _store_path(qubesdb_dir(runtime_dir()), name).unlink(missing_ok=True)

    def ready(self, fd: int) -> bool:
        """Serve a descriptor that polls ready; False if it is none of ours."""
        for running in self._running.values():
            child = running.child
            if child is not None and fd in (child.pidfd, child.line.fileno()):
                self._spoke(running, child, ended=fd == child.pidfd)
                if fd == child.pidfd:
                    self._died(running)
                elif child.line.closed:
                    self._poll.unregister(child.line.fileno())  # it is about to end; its pidfd will tell
                    child.hung_up(self._clock())
                return True
        return False

    def deadlines(self) -> list[float]:
        """Moments at which `due` has something to do."""
        moments = [running.restart_at for running in self._running.values()]
        moments += [running.child.overdue_at for running in self._running.values() if running.child is not None]
        return [moment for moment in moments if moment is not None]

    def due(self, now: float) -> None:
        """Start again what has waited long enough, and end what should have ended."""
        for running in self._running.values():
            if running.child is not None:
                running.child.due(now)
            if running.restart_at is not None and running.restart_at <= now:
                running.restart_at = None
                self._start(running)

    def close(self) -> None:
        """End all; what they keep is there for the next supervisor."""
        for name in list(self._running):
            self._end(name)

    def _start(self, running: _Running) -> None:
        vm = running.vm
        directory = qubesdb_dir(runtime_dir())
        life = _life(vm)
        running.child = child = fork(
            f"qubesdb:{vm.spec.name}", lambda line: _serve(vm.spec, life, directory, line), end_with_parent=False
        )
        running.started = self._clock()
        vm.database_pid = child.pid
        self._poll.register(child.line.fileno(), select.EPOLLIN)
        self._poll.register(child.pidfd, select.EPOLLIN)
        self._tell_all(running)

    def _tell_all(self, running: _Running) -> None:
        if running.child is not None:
            for path, value in running.untold.items():
                running.child.line.send({"path": path, "value": value})
            running.untold.clear()

    def _spoke(self, running: _Running, child: Child, *, ended: bool) -> None:
        for message in child.hear(ended=ended):
            if message.get("event") == "log":
                running.vm.say(f"Qubes DB: {message['text']}", message["level"])
            elif message.get("event") == "ended":
                running.last_words = str(message.get("reason", ""))

    def _died(self, running: _Running) -> None:
        fault = running.child.fault if running.child is not None else ""
        self._reap(running)
        healthy = self._clock() - running.started >= _HEALTHY_AFTER
        running.backoff = _BACKOFF_FIRST if healthy or not running.backoff else min(2 * running.backoff, _BACKOFF_MAX)
        running.restart_at = self._clock() + running.backoff
        reason, running.last_words = fault or running.last_words or "its daemon was killed, or failed", ""
        running.vm.report(f"Qubes DB: {reason}; again in {running.backoff:g} s", logging.WARNING)

    def _end(self, name: str) -> bool:
        """Whether there was one."""
        running = self._running.pop(name, None)
        if running is not None:
            if running.child is not None:
                self._reap(running)
            for writable in (True, False):  # one that was killed has left them
                socket_path(qubesdb_dir(runtime_dir()), name, writable=writable).unlink(missing_ok=True)
        return running is not None

    def _reap(self, running: _Running) -> None:
        child, running.child = running.child, None
        assert child is not None
        running.vm.database_pid = None
        child.end(self._poll, _KEEPING_SECONDS)


def _serve(spec: VmSpec, life: str, directory: Path, line: LineSocket) -> dict[str, str]:
    """In the process of its own."""
    try:
        backend = enter(spec)
        directory.mkdir(mode=0o700, exist_ok=True)
        store = Store(_store_path(directory, spec.name), life)
        daemon = admin_daemon(backend, spec.name, spec.domid, directory, store, first(spec), certain(spec))
        try:
            daemon.run(line.fileno(), lambda: _hear(line, daemon))
        finally:
            daemon.close()
    except MachineCannot as error:
        return {"reason": str(error)}
    return {"reason": "the supervisor ended it"}


def _hear(line: LineSocket, daemon: Daemon) -> bool:
    """Do what the supervisor says; whether it has hung up."""
    for message in line.receive():
        daemon.put(message["path"], message["value"].encode())
    return line.closed


def first(spec: VmSpec) -> Mapping[str, bytes]:
    """The entries that a VM finds when it starts."""
    entries = {
        NAME: spec.name,
        VM_TYPE: "AppVM",
        DEFAULT_USER.path: "user",
        GUI_ENABLED.path: "True",
    }
    return {path: value.encode() for path, value in {**entries, **spec.entries}.items()}


def certain(spec: VmSpec) -> Mapping[str, bytes | None]:
    """The entries that say whose the windows are: an earlier supervisor may have died while they moved."""
    return {GUI_DOMAIN.path: str(spec.gui_domid).encode(), GUI_NEXT.path: None}


def _life(vm: Vm) -> str:
    """What is the same from a VM's start to its end, and never again: who takes over finds its values by it."""
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    pid = vm.domain.pid if vm.domain is not None else None
    return f"{boot} {vm.spec.backend} {vm.spec.domid} {pid}"


def _store_path(directory: Path, name: str) -> Path:
    return socket_path(directory, name).with_suffix(".entries")
