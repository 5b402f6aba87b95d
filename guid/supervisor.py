"""Keeps one worker per VM alive, starts and stops AppVMs, and answers the control socket. One thread, no polling.

The supervisor never touches a byte that an AppVM sent: workers do. When it is killed, workers go with it and AppVMs
that were told to outlive it run on; the next supervisor finds them by what their driver and `SavedVms` keep on disk.
"""

import contextlib
import dataclasses
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from backends.base import Domain, DomainDriver, DomainSpec, DomainState
from guid.control import Listener
from guid.drivers import Drivers
from guid.process import fork_worker
from guid.requests import Requests
from guid.saved import SavedVms
from guid.signals import SignalPipe
from guid.spec import VmSpec
from guid.vm import Vm
from guid.window_queries import WindowQueries
from guiproto.errors import MachineCannot

_BACKOFF_FIRST: Final = 0.25
_BACKOFF_MAX: Final = 30.0
_STOP_SECONDS: Final = 5.0
"""How long an AppVM may take to end when it is asked to."""
_SHUT_DOWN_SECONDS: Final = 90.0
"""The same for one that has a system of its own to shut down."""
_HEALTHY_AFTER: Final = 60.0
"""After so many seconds without trouble, the next one counts as the first again."""

log = logging.getLogger("guid")


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """Lasting AppVMs of a backend are shown like `template` says, all of them or the `only` one."""

    template: VmSpec
    only: str | None = None


def _no_driver(backend: str) -> DomainDriver:
    raise MachineCannot(f"this instance starts no AppVMs of {backend}", "use `guid run`, which starts one that does")


class Supervisor:
    """Serves `listener` until told to stop, or until nothing was left to do for `linger` seconds (None: never)."""

    def __init__(
        self,
        listener: Listener,
        make_driver: Callable[[str], DomainDriver] | None,
        state_dir: Path,
        *,
        linger: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._saved = SavedVms(state_dir)
        self._linger = linger
        self._clock = clock
        self._vms: dict[str, Vm] = {}
        self._poll = select.epoll()
        self._drivers = Drivers(make_driver or _no_driver, self._poll)
        self._shown: dict[str, Shown] = {}
        self._queries = WindowQueries(clock)
        self._requests = Requests(listener, self._poll, self, self._queries)
        self._stopping = False
        self._idle_since: float | None = clock()
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self.on_state: Callable[[str, str], None] = lambda _name, _state: None
        self._signals = SignalPipe((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        self._poll.register(self._signals.fileno(), select.EPOLLIN)

    # --- what callers and the control socket can ask for ---

    @property
    def vms(self) -> Mapping[str, Vm]:
        """Every VM by name."""
        return self._vms

    def attach(self, spec: VmSpec) -> None:
        """Show the windows of a VM whose agent somebody else runs. Raises MachineCannot if the name is taken."""
        self._check_name(spec.name)
        self._vms[spec.name] = Vm(spec, kept=True)
        self._start_worker(self._vms[spec.name])

    def start(self, spec: VmSpec, domain: DomainSpec, *, kept: bool = True) -> None:
        """Start an AppVM and show its windows. Raises MachineCannot if the name is taken or something is missing."""
        self._check_name(spec.name)
        vm = Vm(spec, kept=kept)
        vm.domain = self._drivers.get(spec.backend).start(domain)
        vm.spec = self._with_runtime(spec)
        if domain.outlive_parent:
            self._saved.write(vm.spec, kept=kept)
        self._vms[spec.name] = vm
        self._start_worker(vm)

    def adopt(self) -> None:
        """Take over the AppVMs that an earlier supervisor left running."""
        for spec, kept in self._saved.read():
            try:
                domains = self._drivers.get(spec.backend).list()
            except MachineCannot as error:
                log.warning("%s: cannot be taken over: %s", spec.name, error)
                continue
            running = [domain for domain in domains if domain.name == spec.name and domain.state is DomainState.RUNNING]
            if not running:
                self._saved.remove(spec.name)
            elif spec.name not in self._vms:
                self._vms[spec.name] = vm = Vm(spec, domain=running[0], kept=kept)
                if running[0].lasting:
                    self._shown.setdefault(spec.backend, Shown(spec))
                log.info("%s: taken over from an earlier supervisor", spec.name)
                self._start_worker(vm)

    def show(self, backend: str, shown: Shown) -> None:
        """Show lasting AppVMs of that backend whenever they run, whoever starts them. Raises MachineCannot."""
        self._shown[backend] = shown
        for domain in self._drivers.get(backend).list():
            if domain.state is DomainState.RUNNING:
                self._appeared(backend, domain)

    def resume(self, spec: VmSpec) -> None:
        """Start a lasting AppVM and show it, and from now on all others of its backend. Raises MachineCannot.

        Of `spec`, name, backend and everything about the view count; what the domain is, its driver knows.
        """
        self._check_name(spec.name)
        driver = self._drivers.get(spec.backend)
        self._shown[spec.backend] = Shown(spec)
        states = {domain.name: domain for domain in driver.list()}
        known = states.get(spec.name)
        running = known if known is not None and known.state is DomainState.RUNNING else driver.resume(spec.name)
        self._appeared(spec.backend, running)

    def rows(self) -> list[dict[str, Any]]:
        """What `guid ps` shows."""
        return [vm.row() for vm in self._vms.values()]

    def windows(self, answer: Callable[[list[dict[str, Any]]], None]) -> None:
        """Ask the workers for their windows; `answer` is called from the loop with those of the ones that replied."""
        self._queries.ask(self._vms.values(), lambda rows, _silent: answer(rows))

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
        if self._requests.ready(fd):
            return
        if fd == self._signals.fileno():
            self._signals.drain()
            self._stopping = True
        elif (backend := self._drivers.owner(fd)) is not None:
            self._domains_changed(backend)
        else:
            for vm in list(self._vms.values()):
                if vm.child is not None and fd in (vm.child.pidfd, vm.child.line.fileno()):
                    self._worker_spoke(vm, ended=fd == vm.child.pidfd)
                    break

    def _timeout(self) -> float | None:
        moments = [moment for moment, _ in self._timers[:1]]
        moments += [vm.restart_at for vm in self._vms.values() if vm.restart_at is not None]
        moments += self._queries.deadlines()
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
        self._queries.give_up(now)
        if self._vms or self._requests or self._shown:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif self._linger is not None and now >= self._idle_since + self._linger:
            self._stopping = True

    # --- workers ---

    def _start_worker(self, vm: Vm) -> None:
        vm.child = fork_worker(vm.spec)
        vm.started = self._clock()
        self._set_state(vm, "starting")
        self._poll.register(vm.child.line.fileno(), select.EPOLLIN)
        self._poll.register(vm.child.pidfd, select.EPOLLIN)

    def _worker_spoke(self, vm: Vm, *, ended: bool) -> None:
        child = vm.child
        assert child is not None
        for message in child.line.receive():
            event = message.get("event")
            if event == "log":
                vm.say(str(message.get("text")), int(message.get("level", logging.INFO)))
            elif event == "ready":
                self._set_state(vm, "waiting")
            elif event == "disconnected":
                self._set_state(vm, "waiting")
                vm.say("the agent is gone; waiting for it")
            elif event == "connected":
                self._set_state(vm, "connected")
                vm.say(f"the agent is there, protocol {message.get('version')}")
            elif event == "windows":
                self._queries.answered(vm.spec.name, message)
            elif event == "ended":
                vm.last_words = message
        if ended:
            self._worker_ended(vm)
        elif child.line.closed:
            self._poll.unregister(child.line.fileno())  # it is about to end; its pidfd will tell

    def _worker_ended(self, vm: Vm) -> None:
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
        vm.say(f"{what}{reason}; again in {vm.backoff:g} s", logging.WARNING)

    def _drop_child(self, vm: Vm) -> bool:
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
        self._queries.gone(vm.spec.name)
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL

    # --- domains ---

    def _domains_changed(self, backend: str) -> None:
        try:
            changes = self._drivers.get(backend).events()
        except MachineCannot as error:
            log.warning("%s: %s", backend, error)
            self._drivers.drop(backend)
            self._reconnect(backend, _BACKOFF_FIRST)
            return
        for domain in changes:
            vm = self._vms.get(domain.name)
            if vm is None:
                if domain.state is DomainState.RUNNING:
                    self._appeared(backend, domain)
                continue
            if vm.domain is None or vm.spec.backend != backend:
                continue
            vm.domain = domain
            if domain.state is DomainState.RUNNING:
                if domain.reason and vm.state != "stopping":
                    vm.say(domain.reason)
                    self._drop_child(vm)
                    self._start_worker(vm)
            else:
                if vm.state == "stopping":
                    self._remove(vm, "stopped", vm.reason, None)
                else:
                    self._remove(vm, "ended", domain.reason or "the VM ended", domain.exit_status)

    def _reconnect(self, backend: str, delay: float) -> None:
        """Get a driver again for a backend whose driver was lost, and catch up with what has happened meanwhile."""
        try:
            domains = self._drivers.get(backend).list()
        except MachineCannot as error:
            log.warning("%s: %s; again in %g s", backend, error, delay)
            self.at(self._clock() + delay, lambda: self._reconnect(backend, min(2 * delay, _BACKOFF_MAX)))
            return
        running = {domain.name: domain for domain in domains if domain.state is DomainState.RUNNING}
        for vm in list(self._vms.values()):
            if vm.spec.backend == backend and vm.domain is not None and vm.spec.name not in running:
                self._remove(vm, "ended", "the VM ended", None, leave=True)
        for domain in running.values():
            self._appeared(backend, domain)

    def end(self, vm: Vm, reason: str) -> None:
        """Take the windows away and ask the VM to end; it is forgotten when it has, by force if it takes too long."""
        if vm.domain is None:
            self._remove(vm, "stopped", reason, None)
        elif vm.state != "stopping":
            name = vm.spec.name
            self._drop_child(vm)
            vm.restart_at = None
            vm.reason = reason
            self._set_state(vm, "stopping")
            seconds = _SHUT_DOWN_SECONDS if vm.domain.lasting else _STOP_SECONDS
            with contextlib.suppress(MachineCannot):
                self._drivers.get(vm.spec.backend).terminate(name)
            self.at(self._clock() + seconds, lambda: self._force(vm))

    def _force(self, vm: Vm) -> None:
        if self._vms.get(vm.spec.name) is vm:
            self._remove(vm, "stopped", vm.reason, None)

    def _remove(self, vm: Vm, state: str, reason: str, status: int | None, *, leave: bool = False) -> None:
        """Forget the VM, after its windows and, if it is ours and still runs, the VM itself are gone.

        `leave`: not the VM itself.
        """
        name = vm.spec.name
        self._vms.pop(name, None)
        self._drop_child(vm)
        if vm.domain is not None:
            if vm.domain.state is DomainState.RUNNING and not leave:
                self._stop(vm, 0.0 if vm.state == "stopping" else _STOP_SECONDS)
            self._saved.remove(name)
        vm.state, vm.reason = state, reason
        vm.tell({"event": "ended", "vm": name, "state": state, "reason": reason, "status": status})
        self.on_state(name, state)
        log.info("%s: %s", name, reason)
        self._requests.ended(name)

    def _stop(self, vm: Vm, seconds: float) -> None:
        try:
            self._drivers.get(vm.spec.backend).stop(vm.spec.name, seconds)
        except MachineCannot as error:
            vm.say(f"cannot be stopped: {error}", logging.WARNING)

    # --- small things ---

    def _set_state(self, vm: Vm, state: str) -> None:
        vm.state = state
        vm.tell({"event": "state", "vm": vm.spec.name, "state": state})
        self.on_state(vm.spec.name, state)

    def _check_name(self, name: str) -> None:
        if name in self._vms:
            raise MachineCannot(f"the name {name!r} is taken", f"choose another, or `guid stop {name}` first")

    def _with_runtime(self, spec: VmSpec) -> VmSpec:
        driver = self._drivers.get(spec.backend)
        return dataclasses.replace(spec, environ={**spec.environ, **driver.runtime(spec.name)})

    def _appeared(self, backend: str, domain: Domain) -> None:
        """A lasting AppVM runs: show it, if it is to be shown and is not."""
        shown = self._shown.get(backend)
        if shown is None or domain.name in self._vms or not domain.lasting or shown.only not in (None, domain.name):
            return
        try:
            spec = self._with_runtime(
                dataclasses.replace(
                    shown.template,
                    name=domain.name,
                    domid=domain.domid,
                    gui_domid=domain.gui_domid,
                    label=domain.label,
                )
            )
        except MachineCannot as error:
            log.warning("%s: cannot be shown: %s", domain.name, error)
            return
        self._vms[domain.name] = vm = Vm(spec, domain=domain, kept=True)
        self._saved.write(spec, kept=True)
        self._start_worker(vm)

    def close(self) -> None:
        """End workers, AppVMs that do not last, sockets."""
        for vm in list(self._vms.values()):
            if vm.domain is not None and vm.domain.lasting:
                self._remove(vm, "stopped", "the supervisor ends; the VM runs on", None, leave=True)
            else:
                self.end(vm, "the supervisor ends")
        for vm in list(self._vms.values()):
            if vm.domain is not None:
                self._stop(vm, _STOP_SECONDS)  # all have been asked, so they end side by side
            self._remove(vm, "stopped", vm.reason, None)
        self._requests.close()
        self._drivers.close()
        self._signals.close()
        self._poll.close()
