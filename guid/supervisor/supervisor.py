"""Keeps one worker per VM alive, starts and stops AppVMs, and answers the control socket. One thread, no polling.

The supervisor never touches a byte that an AppVM sent: workers do. When it is killed, workers go with it and AppVMs
that were told to outlive it run on; the next supervisor finds them by what their driver and `SavedVms` keep on disk.
"""

import contextlib
import logging
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from backends.base import DomainDriver, DomainSpec, DomainState
from guid.config.configuration import Configuration
from guid.control import Listener, Message
from guid.core.config import Limit
from guid.logs import about
from guid.notifications import Notifications
from guid.runtime import runtime_dir
from guid.signals import SignalPipe
from guid.spec import VmSpec
from guid.supervisor.clipboards import Clipboards
from guid.supervisor.databases import Databases
from guid.supervisor.desktops import Desktops
from guid.supervisor.domains import Domains, Shown
from guid.supervisor.drivers import Drivers
from guid.supervisor.limits import limit_text
from guid.supervisor.live_settings import LiveSettings
from guid.supervisor.orders import DatabaseOrders
from guid.supervisor.queries import Queries
from guid.supervisor.questions import Questions
from guid.supervisor.requests import Requests
from guid.supervisor.saved import SavedVms
from guid.supervisor.swaps import Done, Orders, Swaps
from guid.supervisor.vm import Vm
from guid.supervisor.workers import Workers
from guid.worker.child import Child
from guiproto.errors import MachineCannot

_STOP_SECONDS: Final = 5.0
"""How long an AppVM may take to end when it is asked to."""
_SHUT_DOWN_SECONDS: Final = 90.0
"""The same for one that has a system of its own to shut down."""

log = logging.getLogger("guid")


def _no_driver(backend: str) -> DomainDriver:
    raise MachineCannot(f"this instance starts no AppVMs of {backend}", "use `guid run`, which starts one that does")


class Supervisor:
    """Serves `listener` until told to stop, or until nothing was left to do for `linger` seconds (None: never)."""

    def __init__(
        self,
        listener: Listener,
        make_driver: Callable[[str], DomainDriver] | None,
        state_dir: Path,
        configuration: Configuration,
        *,
        orders: Orders | None = None,
        linger: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._saved = SavedVms(state_dir)
        self._settings = LiveSettings(configuration)
        self._notifications = Notifications(clock, self.after)
        self._linger = linger
        self._clock = clock
        self._vms: dict[str, Vm] = {}
        self._poll = select.epoll()
        self._drivers = Drivers(make_driver or _no_driver, self._poll)
        self._domains = Domains(self._drivers, self._saved, self)
        self._databases = Databases(self._poll, clock)
        self._desktops = Desktops(self._databases.tell)
        self._workers = Workers(self, self._vms, self._drivers, self._poll, clock)
        self._queries = Queries(clock)
        self._swaps = Swaps(self, orders or DatabaseOrders(runtime_dir()), self._poll, clock)
        self._questions = Questions(self._poll, clock)
        self.clipboards = Clipboards(
            lambda: self._settings.configuration.clipboard, self._questions, self.notify, clock
        )
        self._requests = Requests(listener, self._poll, self, self._queries)
        self._stopping = False
        self._idle_since: float | None = clock()
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self.on_state: Callable[[str, str], None] = lambda _name, _state: None
        self._has_terminal = os.isatty(2)
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
        self.serve(Vm(spec, kept=True))

    def start(self, spec: VmSpec, domain: DomainSpec, *, kept: bool = True) -> None:
        """Start an AppVM and show its windows. Raises MachineCannot if the name is taken or something is missing."""
        self._check_name(spec.name)
        self._domains.start(spec, domain, kept=kept)

    def resume(self, spec: VmSpec) -> None:
        """Start an AppVM that lasts, and show it as `spec` says. Raises MachineCannot."""
        self._check_name(spec.name)
        self._domains.resume(spec)

    def show(self, backend: str, shown: Shown) -> None:
        """Show AppVMs of that backend that last, whoever starts them. Raises MachineCannot."""
        self._domains.show(backend, shown)

    def adopt(self) -> None:
        """Take over the AppVMs that an earlier supervisor left running."""
        self._domains.adopt()

    def swap(self, name: str, spec: VmSpec, done: Done) -> None:
        """Move the windows of a VM to where `spec` says; `done` is called when that has come to an end.

        Raises MachineCannot if there is no such VM, or it is on its way already.
        """
        vm = self._vms.get(name)
        if vm is None or vm.state in ("stopping", "failed"):
            raise MachineCannot(f"no VM {name!r} here", "see `guid ps`")
        self._swaps.begin(vm, self.resolve(spec), done)

    def reload(self) -> list[dict[str, Any]]:
        """Read the configuration again and apply it, see `LiveSettings.reload`. Raises MachineCannot."""
        rows = self._settings.reload(self._vms.values())
        log.info("read %s again", self.configuration().path)
        return rows

    def settings(self, name: str) -> list[dict[str, Any]]:
        """A VM's settings, see `LiveSettings.rows`. Raises MachineCannot if there is no such VM."""
        if name not in self._vms:
            raise MachineCannot(f"no VM {name!r} here", "see `guid ps`")
        return self._settings.rows(self._vms[name])

    def configuration(self) -> Configuration:
        """What is configured, as far as it has been read."""
        return self._settings.configuration

    def rows(self) -> list[dict[str, Any]]:
        """What `guid ps` shows."""
        return [vm.row() for vm in self._vms.values()]

    def windows(self, answer: Callable[[list[dict[str, Any]]], None]) -> None:
        """Ask the workers for their windows; `answer` is called from the loop with those of the ones that replied."""
        self._queries.ask("windows", self._vms.values(), lambda rows, _silent: answer(rows))

    def notify(self, vm: Vm, text: str) -> None:
        """Tell the user something about a VM."""
        vm.say(text, logging.WARNING)
        self.tell_user(vm, text)

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
        if self._requests.ready(fd) or self._databases.ready(fd) or self._questions.ready(fd):
            return
        if fd == self._signals.fileno():
            self._signalled(self._signals.drain())
        elif (backend := self._drivers.owner(fd)) is not None:
            self._domains.changed(backend)
        elif not self._swaps.ready(fd):
            self._workers.ready(fd)

    def _signalled(self, numbers: set[int]) -> None:
        # A terminal that goes away sends the same signal as a user who has changed the configuration.
        if numbers - {signal.SIGHUP} or (self._has_terminal and not os.isatty(2)):
            self._stopping = True
        elif numbers:
            try:
                self.reload()
            except MachineCannot as error:
                for line in str(error).splitlines():
                    log.error("%s", line)
                log.error("the configuration stays as it was")

    def _timeout(self) -> float | None:
        moments = [moment for moment, _ in self._timers[:1]]
        moments += (
            self._workers.deadlines()
            + self._queries.deadlines()
            + self._databases.deadlines()
            + self._swaps.deadlines()
            + self._questions.deadlines()
        )
        if self._idle_since is not None and self._linger is not None:
            moments.append(self._idle_since + self._linger)
        return max(0.0, min(moments) - self._clock()) if moments else None

    def _due(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            self._timers.pop(0)[1]()
        self._workers.due(now)
        self._databases.due(now)
        self._queries.give_up(now)
        self._swaps.tick(now)
        self._questions.due(now)
        if self._vms or self._requests or self._domains:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif self._linger is not None and now >= self._idle_since + self._linger:
            self._stopping = True

    # --- what domains need ---

    def vm(self, name: str) -> Vm | None:
        """The VM of that name, if it is shown."""
        return self._vms.get(name)

    def of_backend(self, backend: str) -> list[Vm]:
        """The VMs of that backend whose domains a driver knows."""
        return [vm for vm in self._vms.values() if vm.spec.backend == backend and vm.domain is not None]

    def serve(self, vm: Vm) -> None:
        """Show a VM."""
        self._vms[vm.spec.name] = vm
        self._databases.serve(vm)
        self._desktops.forget(vm.spec.name)
        self._workers.start(vm)

    def serve_anew(self, vm: Vm) -> None:
        """End what was shown of it, and show it."""
        self._swaps.vm_ended(vm.spec.name)
        self.drop_worker(vm)
        self._databases.serve(vm)
        self._desktops.forget(vm.spec.name)
        self._workers.start(vm)

    def forget(self, vm: Vm, state: str, reason: str, status: int | None) -> None:
        """Its domain is no more."""
        self._remove(vm, state, reason, status, leave=True)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` from the loop when that time has passed."""
        self.at(self._clock() + seconds, action)

    # --- what workers need ---

    def worker_said(self, vm: Vm, message: Message) -> None:
        """Its worker said something."""
        match message["event"]:
            case "windows" | "usage":
                self._queries.answered(vm.spec.name, message)
            case "notify":
                self.tell_user(vm, message["text"])
            case "limit":
                self._limit_reached(vm, Limit(message["limit"]))
            case "desktop":
                self._desktops.said(vm, message)
        self.clipboards.said(vm, message)
        self._swaps.present_said(vm.spec.name, message)

    def _limit_reached(self, vm: Vm, limit: Limit) -> None:
        if limit not in vm.reached:
            vm.reached.add(limit)
            self.notify(vm, limit_text(limit, vm.spec.settings))

    def worker_gone(self, vm: Vm) -> bool:
        """Its worker has ended."""
        self._queries.gone(vm.spec.name)
        self.clipboards.gone(vm)
        return self._swaps.present_gone(vm.spec.name)

    def resolve(self, spec: VmSpec) -> VmSpec:
        """The VM with the settings that count for it now."""
        return self._settings.resolve(spec)

    def tell_user(self, vm: Vm, text: str) -> None:
        """Show it on the desktop, if that is wanted."""
        if vm.spec.settings.notifications:
            self._notifications.show(vm.spec.name, text)

    def cannot_show(self, vm: Vm, reason: str) -> None:
        """Its first worker could not begin at all."""
        self._remove(vm, "failed", reason, 1)

    def state_changed(self, vm: Vm) -> None:
        """It is in another state."""
        self.on_state(vm.spec.name, vm.state)

    # --- what swaps need ---

    def start_process(self, spec: VmSpec) -> Child:
        """Start a worker's process. Raises MachineCannot."""
        return self._workers.start_process(spec)

    def drop_worker(self, vm: Vm) -> None:
        """End the worker of a VM whose windows move; none is started for it."""
        self._workers.drop(vm)
        self._queries.gone(vm.spec.name)
        self.clipboards.gone(vm)

    def restart_worker(self, vm: Vm) -> None:
        """Start the worker of a VM again that was dropped."""
        self._workers.start(vm)

    def adopt_worker(self, vm: Vm, spec: VmSpec, child: Child | None) -> None:
        """That worker shows the VM from now on, as `spec` says; None: it has ended, and another one is started."""
        before, vm.spec = vm.spec, spec
        self.clipboards.moved(vm, before)
        self._domains.moved(vm)
        self._workers.adopt(vm, child)
        self._settings.apply(vm)  # in case that they have changed since it was started
        if child is not None:
            child.line.send({"op": "desktop"})

    # --- endings ---

    def end(self, vm: Vm, reason: str) -> None:
        """Take the windows away and ask the VM to end; it is forgotten when it has, by force if it takes too long."""
        if vm.domain is None:
            self._remove(vm, "stopped", reason, None)
        elif vm.state != "stopping":
            name = vm.spec.name
            self._swaps.vm_ended(name)
            self.drop_worker(vm)
            vm.reason = reason
            self._workers.enter(vm, "stopping")
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
        self._swaps.vm_ended(name)
        self.drop_worker(vm)
        self.clipboards.ended(vm)
        if vm.domain is not None:
            if vm.domain.state is DomainState.RUNNING and not leave:
                self._stop(vm, 0.0 if vm.state == "stopping" else _STOP_SECONDS)
            self._saved.remove(name)
        # A VM that stays and runs on finds its values again when it is served again.
        lives = vm.domain is not None and vm.domain.lasting and vm.domain.state is DomainState.RUNNING and leave
        self._databases.drop(name, forget=not lives)
        self._desktops.forget(name)
        vm.state, vm.reason = state, reason
        vm.tell({"event": "ended", "vm": name, "state": state, "reason": reason, "status": status})
        self.on_state(name, state)
        log.info("%s: %s", name, reason, extra=about(name))
        self._requests.ended(name)

    def _stop(self, vm: Vm, seconds: float) -> None:
        try:
            self._drivers.get(vm.spec.backend).stop(vm.spec.name, seconds)
        except MachineCannot as error:
            vm.say(f"cannot be stopped: {error}", logging.WARNING)

    def _check_name(self, name: str) -> None:
        if name in self._vms:
            raise MachineCannot(f"the name {name!r} is taken", f"choose another, or `guid stop {name}` first")

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
        self._notifications.close()
        self.clipboards.clear()
        self._questions.close()
        self._databases.close()
        self._requests.close()
        self._drivers.close()
        self._signals.close()
        self._poll.close()
