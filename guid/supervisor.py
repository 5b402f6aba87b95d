"""Keeps one worker per VM alive, starts and stops AppVMs, and answers the control socket. One thread, no polling.

The supervisor never touches a byte that an AppVM sent: workers do. When it is killed, workers go with it and AppVMs
that were told to outlive it run on; the next supervisor finds them by what their driver and `_Saved` keep on disk.
"""

import contextlib
import dataclasses
import json
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from backends.base import Domain, DomainDriver, DomainSpec, DomainState
from guid.control import LineSocket, Listener, Message
from guid.process import Child, fork_worker
from guid.spec import VmSpec
from guiproto.errors import MachineCannot

_BACKOFF_FIRST: Final = 0.25
_BACKOFF_MAX: Final = 30.0
_STOP_SECONDS: Final = 5.0
"""How long an AppVM may take to end when it is asked to."""
_ANSWER_SECONDS: Final = 5.0
_HEALTHY_AFTER: Final = 60.0
"""After so many seconds without trouble, the next one counts as the first again."""

log = logging.getLogger("guid")


@dataclass(slots=True)
class _Vm:
    spec: VmSpec
    domain: Domain | None = None
    child: Child | None = None
    state: str = "starting"
    reason: str = ""
    started: float = 0.0
    backoff: float = 0.0
    restart_at: float | None = None
    restarts: int = 0
    last_words: Message = field(default_factory=dict)
    """What the worker said of its end."""
    followers: list[LineSocket] = field(default_factory=list)
    kept: bool = False
    """Goes on without followers."""


@dataclass(slots=True)
class _Query:
    """A `windows` request that waits for workers."""

    answer: Callable[[list[dict[str, Any]], list[str]], None]
    waiting: set[str]
    rows: list[dict[str, Any]]
    deadline: float


@dataclass(eq=False, slots=True)
class _Stop:
    """A `stop` request that waits for VMs to end."""

    client: LineSocket
    names: list[str]
    waiting: set[str]
    everything: bool
    """Whether the supervisor ends with them."""


class Supervisor:
    """Serves `listener` until told to stop, or until nothing was left to do for `linger` seconds (None: never)."""

    def __init__(
        self,
        listener: Listener,
        driver: DomainDriver | None,
        state_dir: Path,
        *,
        linger: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._driver = driver
        self._saved = _Saved(state_dir)
        self._linger = linger
        self._clock = clock
        self._vms: dict[str, _Vm] = {}
        self._clients: dict[int, LineSocket] = {}
        self._queries: dict[int, _Query] = {}
        self._query_ids = 0
        self._stops: list[_Stop] = []
        self._poll = select.epoll()
        self._stopping = False
        self._idle_since: float | None = clock()
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self.on_state: Callable[[str, str], None] = lambda _name, _state: None
        self._poll.register(listener.fileno(), select.EPOLLIN)
        if driver is not None:
            self._poll.register(driver.fileno(), select.EPOLLIN)
        self._signals = _SignalPipe((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        self._poll.register(self._signals.fileno(), select.EPOLLIN)

    # --- what callers and the control socket can ask for ---

    def attach(self, spec: VmSpec) -> None:
        """Show the windows of a VM whose agent somebody else runs. Raises MachineCannot if the name is taken."""
        self._check_name(spec.name)
        self._vms[spec.name] = _Vm(spec, kept=True)
        self._start_worker(self._vms[spec.name])

    def start(self, spec: VmSpec, domain: DomainSpec, *, kept: bool = True) -> None:
        """Start an AppVM and show its windows. Raises MachineCannot if the name is taken or something is missing."""
        self._check_name(spec.name)
        driver = self._need_driver()
        vm = _Vm(spec, kept=kept)
        vm.domain = driver.start(domain)
        vm.spec = self._with_runtime(spec)
        if domain.outlive_parent:
            self._saved.write(vm.spec, kept=kept)
        self._vms[spec.name] = vm
        self._start_worker(vm)

    def adopt(self) -> None:
        """Take over the AppVMs that an earlier supervisor left running."""
        driver = self._need_driver()
        running = {domain.name: domain for domain in driver.list() if domain.state is DomainState.RUNNING}
        for spec, kept in self._saved.read():
            domain = running.get(spec.name)
            if domain is None:
                self._saved.remove(spec.name)
            elif spec.name not in self._vms:
                vm = _Vm(spec, domain=domain, kept=kept)
                self._vms[spec.name] = vm
                log.info("%s: taken over from an earlier supervisor", spec.name)
                self._start_worker(vm)

    def stop(self, name: str) -> None:
        """Remove a VM's windows and, if we started it, the VM. Raises MachineCannot if there is no such VM."""
        vm = self._vms.get(name)
        if vm is None:
            raise MachineCannot(f"no VM {name!r} here", "see `guid ps`")
        self._end(vm, "stopped on request")

    def rows(self) -> list[dict[str, Any]]:
        """What `guid ps` shows."""
        return [self._row(vm) for vm in self._vms.values()]

    def windows(self, answer: Callable[[list[dict[str, Any]]], None]) -> None:
        """Ask the workers for their windows; `answer` is called from the loop with those of the ones that replied."""
        self._ask_windows(lambda rows, _silent: answer(rows))

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Call `action` from the loop at `moment` of the clock."""
        self._timers.append((moment, action))
        self._timers.sort(key=lambda timer: timer[0])

    def shut_down(self) -> None:
        """Make `run` stop everything and return."""
        self._stopping = True

    # --- the loop ---

    def run(self) -> None:
        """Serve; returns when told to, after everything it started has ended."""
        try:
            while not self._stopping:
                for fd, _ in self._poll.poll(self._timeout()):
                    self._ready(fd)
                self._due()
        finally:
            self.close()

    def _ready(self, fd: int) -> None:
        if fd == self._listener.fileno():
            self._accept()
        elif fd == self._signals.fileno():
            self._signals.drain()
            self._stopping = True
        elif self._driver is not None and fd == self._driver.fileno():
            self._domains_changed()
        elif fd in self._clients:
            self._serve_client(self._clients[fd])
        else:
            for vm in list(self._vms.values()):
                if vm.child is not None and fd in (vm.child.pidfd, vm.child.line.fileno()):
                    self._worker_spoke(vm, ended=fd == vm.child.pidfd)
                    break

    def _timeout(self) -> float | None:
        moments = [moment for moment, _ in self._timers[:1]]
        moments += [vm.restart_at for vm in self._vms.values() if vm.restart_at is not None]
        moments += [query.deadline for query in self._queries.values()]
        if self._idle_since is not None and self._linger is not None:
            moments.append(self._idle_since + self._linger)
        return max(0.0, min(moments) - self._clock()) if moments else None

    def _due(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            self._timers.pop(0)[1]()
        for vm in list(self._vms.values()):
            if vm.restart_at is not None and vm.restart_at <= now:
                vm.restart_at = None
                self._start_worker(vm)
        for number, query in list(self._queries.items()):
            if query.deadline <= now:
                self._finish_query(number)
        if self._vms or self._clients:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif self._linger is not None and now >= self._idle_since + self._linger:
            self._stopping = True

    # --- workers ---

    def _start_worker(self, vm: _Vm) -> None:
        vm.child = fork_worker(vm.spec)
        vm.started = self._clock()
        self._set_state(vm, "starting")
        self._poll.register(vm.child.line.fileno(), select.EPOLLIN)
        self._poll.register(vm.child.pidfd, select.EPOLLIN)

    def _worker_spoke(self, vm: _Vm, *, ended: bool) -> None:
        child = vm.child
        assert child is not None
        for message in child.line.receive():
            event = message.get("event")
            if event == "log":
                self._say(vm, str(message.get("text")), int(message.get("level", logging.INFO)))
            elif event == "ready":
                self._set_state(vm, "waiting")
            elif event == "disconnected":
                self._set_state(vm, "waiting")
                self._say(vm, "the agent is gone; waiting for it", logging.INFO)
            elif event == "connected":
                self._set_state(vm, "connected")
                self._say(vm, f"the agent is there, protocol {message.get('version')}", logging.INFO)
            elif event == "windows":
                self._query_answered(vm.spec.name, message)
            elif event == "ended":
                vm.last_words = message
        if ended:
            self._worker_ended(vm)
        elif child.line.closed:
            self._poll.unregister(child.line.fileno())  # it is about to end; its pidfd will tell

    def _worker_ended(self, vm: _Vm) -> None:
        killed = self._drop_child(vm)
        last, vm.last_words = vm.last_words, {}
        kind = last.get("kind", "died")
        reason = str(last.get("reason", "its worker was killed" if killed else "its worker failed"))
        if kind == "machine" and vm.restarts == 0 and vm.state == "starting" and vm.domain is None:
            self._remove(vm, "failed", reason, 1)
            return
        # Being killed is nobody's fault here; everything else may be the agent's doing, and it may do it again.
        healthy = vm.state == "connected" and (killed or self._clock() - vm.started >= _HEALTHY_AFTER)
        vm.backoff = _BACKOFF_FIRST if healthy or not vm.backoff else min(vm.backoff * 2, _BACKOFF_MAX)
        vm.restarts += 1
        vm.restart_at = self._clock() + vm.backoff
        vm.reason = reason
        self._set_state(vm, "restarting")
        what = "session ended: " if kind == "violation" else ""
        self._say(vm, f"{what}{reason}; again in {vm.backoff:g} s", logging.WARNING)

    def _drop_child(self, vm: _Vm) -> bool:
        """End the worker, if there is one; whether somebody had killed it."""
        child, vm.child = vm.child, None
        if child is None:
            return False
        self._poll.unregister(child.pidfd)
        with contextlib.suppress(OSError, ValueError):
            self._poll.unregister(child.line.fileno())
        child.line.close()
        # It is our child and not reaped yet, so the number is its own. KILL, because an X server that hangs would keep
        # a worker from hearing anything else; the X server removes what belonged to it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        os.close(child.pidfd)
        for number, query in list(self._queries.items()):
            query.waiting.discard(vm.spec.name)
            if not query.waiting:
                self._finish_query(number)
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL

    # --- domains ---

    def _domains_changed(self) -> None:
        assert self._driver is not None
        for domain in self._driver.events():
            vm = self._vms.get(domain.name)
            if vm is None or vm.domain is None:
                continue
            vm.domain = domain
            if domain.state is DomainState.STOPPED:
                if vm.state == "stopping":
                    self._remove(vm, "stopped", vm.reason, None)
                else:
                    self._remove(vm, "ended", domain.reason or "the VM ended", domain.exit_status)

    def _end(self, vm: _Vm, reason: str) -> None:
        """Take the windows away and ask the VM to end; it is forgotten when it has, by force if it takes too long."""
        if vm.domain is None or self._driver is None:
            self._remove(vm, "stopped", reason, None)
        elif vm.state != "stopping":
            name = vm.spec.name
            self._drop_child(vm)
            vm.restart_at = None
            vm.reason = reason
            self._set_state(vm, "stopping")
            self._driver.terminate(name)
            self.at(self._clock() + _STOP_SECONDS, lambda: self._force(vm))

    def _force(self, vm: _Vm) -> None:
        if self._vms.get(vm.spec.name) is vm:
            self._remove(vm, "stopped", vm.reason, None)

    def _remove(self, vm: _Vm, state: str, reason: str, status: int | None) -> None:
        """Forget the VM, after its windows and, if it is ours and still runs, the VM itself are gone."""
        name = vm.spec.name
        self._vms.pop(name, None)
        self._drop_child(vm)
        if vm.domain is not None and self._driver is not None:
            if vm.domain.state is DomainState.RUNNING:
                self._driver.stop(name, 0.0 if vm.state == "stopping" else _STOP_SECONDS)
            self._saved.remove(name)
        vm.state, vm.reason = state, reason
        for follower in vm.followers:
            follower.send({"event": "ended", "vm": name, "state": state, "reason": reason, "status": status})
        self.on_state(name, state)
        log.info("%s: %s", name, reason)
        for request in list(self._stops):
            request.waiting.discard(name)
            self._answer_stop(request)

    # --- the control socket ---

    def _accept(self) -> None:
        client = self._listener.accept()
        if client is not None:
            self._clients[client.fileno()] = client
            self._poll.register(client.fileno(), select.EPOLLIN)

    def _serve_client(self, client: LineSocket) -> None:
        client.flush()
        for request in client.receive():
            try:
                self._request(client, request)
            except MachineCannot as error:
                client.send({"ok": False, "error": str(error)})
            except (KeyError, TypeError, ValueError) as error:
                client.send({"ok": False, "error": f"bad request: {error}"})
        if client.closed:
            self._hung_up(client)
        else:
            self._poll.modify(client.fileno(), select.EPOLLIN | (select.EPOLLOUT if client.wants_write else 0))

    def _hung_up(self, client: LineSocket) -> None:
        fd = next(fd for fd, known in self._clients.items() if known is client)
        del self._clients[fd]
        with contextlib.suppress(OSError, ValueError):
            self._poll.unregister(fd)
        client.close()
        for vm in list(self._vms.values()):
            if client in vm.followers:
                vm.followers.remove(client)
                if not vm.followers and not vm.kept:
                    self._end(vm, "nobody follows it any more")

    def _request(self, client: LineSocket, request: Message) -> None:
        match request.get("op"):
            case "ps":
                client.send({"ok": True, "vms": self.rows()})
            case "windows":
                self._ask_windows(lambda rows, silent: client.send({"ok": True, "windows": rows, "silent": silent}))
            case "stop":
                names = list(self._vms) if request.get("all") else [str(name) for name in request["names"]]
                stop = _Stop(client, names, set(names), bool(request.get("all")))
                self._stops.append(stop)
                for name in names:
                    self.stop(name)
                self._answer_stop(stop)
            case "run":
                spec = VmSpec.from_json(request["vm"])
                domain = DomainSpec(**request["domain"])
                self.start(spec, domain, kept=bool(request.get("kept")))
                self._follow(client, spec.name)
            case "follow":
                if request["name"] not in self._vms:
                    raise MachineCannot(f"no VM {request['name']!r} here", "it has ended")
                self._follow(client, request["name"])
            case other:
                raise MachineCannot(f"unknown request {other!r}")

    def _answer_stop(self, stop: _Stop) -> None:
        if not stop.waiting and stop in self._stops:
            self._stops.remove(stop)
            stop.client.send({"ok": True, "stopped": stop.names})
            self._stopping = self._stopping or stop.everything

    def _follow(self, client: LineSocket, name: str) -> None:
        vm = self._vms[name]
        vm.followers.append(client)
        client.send({"ok": True, **self._row(vm)})

    def _row(self, vm: _Vm) -> dict[str, Any]:
        return {
            "name": vm.spec.name,
            "domid": vm.spec.domid,
            "label": vm.spec.label,
            "backend": vm.spec.backend,
            "gui_domid": vm.spec.gui_domid,
            "display": vm.spec.view.display or os.environ.get("DISPLAY"),
            "state": vm.state,
            "reason": vm.reason,
            "restarts": vm.restarts,
            "worker_pid": vm.child.pid if vm.child is not None else None,
            "vm_pid": vm.domain.pid if vm.domain is not None else None,
            "supervisor_pid": os.getpid(),
        }

    def _ask_windows(self, answer: Callable[[list[dict[str, Any]], list[str]], None]) -> None:
        self._query_ids += 1
        query = _Query(answer, set(), [], self._clock() + _ANSWER_SECONDS)
        for vm in self._vms.values():
            if vm.child is not None and vm.state != "starting":
                vm.child.line.send({"op": "windows", "id": self._query_ids})
                query.waiting.add(vm.spec.name)
        self._queries[self._query_ids] = query
        if not query.waiting:
            self._finish_query(self._query_ids)

    def _query_answered(self, name: str, message: Message) -> None:
        query = self._queries.get(int(message["id"]))
        if query is not None:
            query.rows += message["windows"]
            query.waiting.discard(name)
            if not query.waiting:
                self._finish_query(int(message["id"]))

    def _finish_query(self, number: int) -> None:
        query = self._queries.pop(number)
        query.answer(query.rows, sorted(query.waiting))

    # --- small things ---

    def _set_state(self, vm: _Vm, state: str) -> None:
        vm.state = state
        for follower in vm.followers:
            follower.send({"event": "state", "vm": vm.spec.name, "state": state})
        self.on_state(vm.spec.name, state)

    def _say(self, vm: _Vm, text: str, level: int) -> None:
        line = text if text.startswith(f"{vm.spec.name}: ") else f"{vm.spec.name}: {text}"
        log.log(level, "%s", line)
        for follower in vm.followers:
            follower.send({"event": "log", "vm": vm.spec.name, "text": line})

    def _check_name(self, name: str) -> None:
        if name in self._vms:
            raise MachineCannot(f"the name {name!r} is taken", f"choose another, or `guid stop {name}` first")

    def _need_driver(self) -> DomainDriver:
        if self._driver is None:
            raise MachineCannot("this instance starts no AppVMs", "use `guid run`, which starts one that does")
        return self._driver

    def _with_runtime(self, spec: VmSpec) -> VmSpec:
        driver = self._need_driver()
        return dataclasses.replace(spec, environ={**spec.environ, **driver.runtime(spec.name)})

    def close(self) -> None:
        """End everything: workers, AppVMs that this supervisor started, sockets."""
        for vm in list(self._vms.values()):
            self._end(vm, "the supervisor ends")
        for vm in list(self._vms.values()):
            if vm.domain is not None and self._driver is not None:
                self._driver.stop(vm.spec.name, _STOP_SECONDS)  # all have been asked, so they end side by side
            self._remove(vm, "stopped", vm.reason, None)
        for client in list(self._clients.values()):
            client.close()
        if self._driver is not None:
            self._driver.close()
        self._listener.close()
        self._signals.close()
        self._poll.close()


class _Saved:
    """Descriptions of the VMs that outlive a supervisor, one file each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, spec: VmSpec, *, kept: bool) -> None:
        path = self._path(spec.name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"kept": kept, "vm": json.loads(spec.to_json())}))
        fresh.rename(path)

    def read(self) -> list[tuple[VmSpec, bool]]:
        found = []
        for path in sorted(self._directory.glob("*.view.json")):
            with contextlib.suppress(ValueError, KeyError, TypeError, MachineCannot):
                data = json.loads(path.read_text())
                found.append((VmSpec.from_json(data["vm"]), bool(data["kept"])))
        return found

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.view.json"


class _SignalPipe:
    """Signals as a readable descriptor."""

    def __init__(self, numbers: tuple[signal.Signals, ...]) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        signal.set_wakeup_fd(self._write.fileno())

    def fileno(self) -> int:
        return self._read.fileno()

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._read.recv(64)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._read.close()
        self._write.close()
