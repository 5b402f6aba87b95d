"""AppVMs of the local backend: started, found again, watched, and nothing left of them when they have ended.

An AppVM is a directory `state_dir/NAME` and the processes that the record in it names. A driver that comes later, or
another one at the same time, reads the records and watches the same processes. The set of directories changes under a
lock, so that nobody sees a half-made one.
"""

import contextlib
import fcntl
import json
import os
import re
import select
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

from backends.base import Domain, DomainDriver, DomainSpec, DomainState
from backends.local import enter, processes, sandbox
from backends.local.launch import furnish, launch, sandbox_environment
from backends.local.output import finish as finish_output
from backends.local.processes import Process
from guiproto.errors import MachineCannot

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,30}")
_FORCE_SECONDS: Final = 5.0
"""How long the kernel gets to end processes that were killed."""
_KEEPER_SECONDS: Final = 1.0
"""How long bubblewrap gets to notice that its sandbox has ended."""


@dataclass(frozen=True, slots=True)
class _Record:
    """What `vm.json` says. `keeper` is the process that ends last; `mark` is never the same for two AppVMs."""

    name: str
    domid: int
    gui_domid: int
    command: list[str]
    sandbox: bool
    mark: str
    session: Process
    keeper: Process
    output: Process
    """What keeps what it prints."""

    @classmethod
    def read(cls, place: Path) -> Self | None:
        """None if there is none, or nothing that makes sense."""
        try:
            data = json.loads((place / "vm.json").read_text())
            return cls(**data | {name: Process(**data[name]) for name in ("session", "keeper", "output")})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, place: Path) -> None:
        """Under the lock, so it need not be atomic."""
        (place / "vm.json").write_text(json.dumps(asdict(self)) + "\n")


@dataclass(slots=True)
class _Watched:
    """A running AppVM and the descriptors of its two processes."""

    record: _Record
    session_fd: int
    keeper_fd: int
    ours: bool
    """Whether the keeper is our child, which we have to reap."""
    leash: int | None = None
    """Closed when the AppVM has ended. Not by `close`: it goes on then, and ends with this process."""
    reason: str = ""

    def close(self) -> None:
        os.close(self.session_fd)
        os.close(self.keeper_fd)


class LocalDomains(DomainDriver):
    """AppVMs under `state_dir`, a directory of this user alone, which is made if it is missing."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir.absolute()
        self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._vms: dict[str, _Watched] = {}
        self._changes: list[Domain] = []
        self._probed = False
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN)
        self.list()

    def start(self, spec: DomainSpec) -> Domain:
        """As the contract says. Call it in the main thread: an ordinary user's AppVM ends with that thread."""
        self._check(spec)
        with self._lock():
            self._find()
            if spec.name in self._vms:
                raise MachineCannot(
                    f"an AppVM {spec.name!r} runs already", f"choose another name, or `guid stop {spec.name}` first"
                )
            place = self._state_dir / spec.name
            shutil.rmtree(place, ignore_errors=True)
            mark = os.urandom(16).hex()
            try:
                furnish(place, spec)
                launched = launch(spec, place, mark)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
            record = _Record(
                spec.name, spec.domid, spec.gui_domid, list(spec.command), spec.sandbox, mark,
                session=Process.of(launched.session), keeper=Process.of(launched.keeper), output=launched.output,
            )  # fmt: skip
            record.write(place)
            # The keeper is not reaped yet, so its pid is its own. The session may have ended.
            keeper_fd = os.pidfd_open(launched.keeper)
            session_fd = record.session.open()
            session_fd = os.dup(keeper_fd) if session_fd is None else session_fd
            self._watch(_Watched(record, session_fd, keeper_fd, ours=True, leash=launched.leash))
        return Domain(spec.name, spec.domid, DomainState.RUNNING, launched.session)

    def terminate(self, name: str) -> None:
        self.list()
        vm = self._vms.get(name)
        if vm is not None:
            vm.reason = "stopped on request"
            processes.send(vm.session_fd, signal.SIGTERM)

    def stop(self, name: str, timeout: float = 5.0) -> None:
        self.terminate(name)
        vm = self._vms.get(name)
        if vm is None:
            return
        if not processes.wait(vm.keeper_fd, timeout):
            vm.reason = f"killed, because it did not end within {timeout:g} s"
        self._ended(vm)

    def list(self) -> Sequence[Domain]:
        with self._lock():
            self._find()
        records = [self._vms[name].record for name in sorted(self._vms)]
        return [Domain(r.name, r.domid, DomainState.RUNNING, r.session.pid) for r in records]

    def fileno(self) -> int:
        return self._epoll.fileno()

    def events(self) -> Sequence[Domain]:
        ready = {fd for fd, _ in self._epoll.poll(0)}
        for vm in [vm for vm in self._vms.values() if vm.keeper_fd in ready]:
            self._ended(vm)
        if self._changes:
            os.eventfd_read(self._bell)
        changes, self._changes = self._changes, []
        return changes

    def runtime(self, name: str) -> Mapping[str, str]:
        """The AppVM's own rendezvous: it cannot reach another's, nor another it."""
        return {"VCHAN_SOCKET_DIR": str(self._state_dir / name / "vchan")}

    def enter(self, name: str, argv: Sequence[str], environ: Mapping[str, str], fds: Sequence[int]) -> int:
        """As the contract says. Call it in the main thread of a process that has no other."""
        self.list()
        vm = self._vms.get(name)
        if vm is None or not vm.record.sandbox:
            raise MachineCannot(
                f"there is no sandbox {name!r}", f"start one: guid run {name} --label gray -- sleep inf"
            )
        return enter.spawn(vm.record.session.pid, argv, {**sandbox_environment(), **environ}, fds)

    def close(self) -> None:
        """As the contract says. May be called twice."""
        for vm in self._vms.values():
            vm.close()
        self._vms.clear()
        if self._bell >= 0:
            self._epoll.close()
            os.close(self._bell)
            self._bell = -1

    def _check(self, spec: DomainSpec) -> None:
        if not _NAME.fullmatch(spec.name):
            raise MachineCannot(
                f"{spec.name!r} is no name for an AppVM",
                "use a letter, then up to 30 letters, digits, dots, dashes and underscores",
            )
        if not spec.command:
            raise MachineCannot("there is no command to run in the AppVM")
        sandbox.require(spec)
        if spec.sandbox:
            ids = sandbox.host_ids(spec.domid)
            if not self._probed:
                sandbox.probe(ids)
                self._probed = True
            sandbox.require_readable(ids)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        directory = os.open(self._state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def _find(self) -> None:
        """Watch every AppVM that has a record, and end what is left of those that are gone."""
        for place in [path.parent for path in self._state_dir.glob("*/vm.json")]:
            if place.name in self._vms:
                continue
            record = _Record.read(place)
            if record is not None:
                session_fd, keeper_fd = record.session.open(), record.keeper.open()
                if session_fd is not None and keeper_fd is not None:
                    self._watch(_Watched(record, session_fd, keeper_fd, ours=False))
                    continue
                _end(record, session_fd, keeper_fd)
            shutil.rmtree(place, ignore_errors=True)

    def _watch(self, vm: _Watched) -> None:
        self._vms[vm.record.name] = vm
        self._epoll.register(vm.keeper_fd, select.EPOLLIN)

    def _ended(self, vm: _Watched) -> None:
        """End whatever is left of it, forget it, and say so."""
        record = vm.record
        place = self._state_dir / record.name
        _end(record, os.dup(vm.session_fd), os.dup(vm.keeper_fd))
        status = processes.reap(record.keeper.pid) if vm.ours else _written_status(place)
        reason = vm.reason
        if status and not reason:
            reason = sandbox.last_line(place / "log") or f"it ended with status {status}"
        self._epoll.unregister(vm.keeper_fd)
        vm.close()
        if vm.leash is not None:
            os.close(vm.leash)
        del self._vms[record.name]
        with self._lock():
            found = _Record.read(place)
            if found is None or found.mark == record.mark:  # otherwise another driver has removed it and started anew
                shutil.rmtree(place, ignore_errors=True)
        self._changes.append(Domain(record.name, record.domid, DomainState.STOPPED, None, status, reason))
        os.eventfd_write(self._bell, 1)


def _end(record: _Record, session_fd: int | None, keeper_fd: int | None) -> None:
    """Kill what is left, the session first so that the keeper can tell its status, and close the descriptors.

    What was printed is in the log then, and nobody writes in the AppVM's directory any more.
    """
    for fd, grace in ((session_fd, 0.0), (keeper_fd, _KEEPER_SECONDS)):
        if fd is not None:
            if not processes.wait(fd, grace):
                processes.send(fd, signal.SIGKILL)
                processes.wait(fd, _FORCE_SECONDS)
            os.close(fd)
    if not record.sandbox:
        processes.kill_marked(record.mark, _FORCE_SECONDS)
    finish_output(record.output)


def _written_status(place: Path) -> int | None:
    """The exit status that bubblewrap left for whoever is not its parent."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        for line in (place / "status").read_text().splitlines():
            if "exit-code" in (said := json.loads(line)):
                return int(said["exit-code"])
    return None
