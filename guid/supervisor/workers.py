"""The workers of the VMs that are shown: started, listened to, started again when they end, handed over.

A worker is a process that shows one VM, see `guid.worker.process`; where the VM's GUI domain is an AppVM,
it runs inside that.
"""

import logging
import select
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from guid.control import Message
from guid.logs import cleaned
from guid.spec import VmSpec
from guid.supervisor.drivers import Drivers
from guid.supervisor.vm import Vm
from guid.supervisor.within import start_worker_within
from guid.worker.child import Child
from guid.worker.process import fork_worker
from guiproto.errors import MachineCannot

_BACKOFF_FIRST: Final = 0.25
_BACKOFF_MAX: Final = 30.0
_HEALTHY_AFTER: Final = 60.0
"""After so many seconds without trouble, the next one counts as the first again."""


class Owner(Protocol):
    """Whose workers they are."""

    def worker_said(self, vm: Vm, message: Message) -> None:
        """Its worker said something; the VM may have another one afterwards."""

    def worker_gone(self, vm: Vm) -> bool:
        """Its worker has ended. Returns whether somebody else has taken care of the VM already."""

    def tell_user(self, vm: Vm, text: str) -> None:
        """The user should see this on the desktop."""

    def cannot_show(self, vm: Vm, reason: str) -> None:
        """The first worker of the VM could not begin at all, and starting it again would not help."""

    def resolve(self, spec: VmSpec) -> VmSpec:
        """The VM with the settings that count for it now."""

    def state_changed(self, vm: Vm) -> None:
        """The VM is in another state."""


class Workers:
    """One for each VM in `vms` that has a `child`; their descriptors are in `poll`."""

    def __init__(
        self, owner: Owner, vms: Mapping[str, Vm], drivers: Drivers, poll: select.epoll, clock: Callable[[], float]
    ) -> None:
        self._owner = owner
        self._vms = vms
        self._drivers = drivers
        self._poll = poll
        self._clock = clock

    def start(self, vm: Vm) -> None:
        """Have the VM shown. If that is impossible now it is tried again later."""
        vm.started = self._clock()
        vm.restart_at = None
        vm.spec = self._owner.resolve(vm.spec)
        self.enter(vm, "starting")
        try:
            vm.child = self.start_process(vm.spec)
        except MachineCannot as error:
            self._again(vm, str(error))
            return
        self._poll.register(vm.child.line.fileno(), select.EPOLLIN)
        self._poll.register(vm.child.pidfd, select.EPOLLIN)

    def start_process(self, spec: VmSpec) -> Child:
        """Start a worker's process, in the AppVM that is its GUI domain if there is one. Raises MachineCannot."""
        if not spec.gui_vm:
            return fork_worker(spec)
        host = self._vms.get(spec.gui_vm)
        if host is None or host.domain is None:
            raise MachineCannot(f"AppVM {spec.gui_vm} does not run", f"start it, or `guid swap {spec.name} --to dom0`")
        if host.spec.backend != spec.backend:
            raise MachineCannot(f"{spec.name} and {spec.gui_vm} are of different backends", "swap it to dom0")
        around = {spec.name}
        outer: Vm | None = host
        while outer is not None and outer.spec.gui_vm:
            if outer.spec.gui_vm in around:
                raise MachineCannot(f"{outer.spec.gui_vm} is shown by itself in the end", "swap it to dom0")
            around.add(outer.spec.gui_vm)
            outer = self._vms.get(outer.spec.gui_vm)
        return start_worker_within(spec, self._drivers.get(host.spec.backend))

    def drop(self, vm: Vm) -> bool:
        """End the VM's worker, if there is one, and start none; whether somebody had killed it."""
        child, vm.child, vm.restart_at = vm.child, None, None
        return child is not None and child.end(self._poll)

    def adopt(self, vm: Vm, child: Child | None) -> None:
        """A worker that has connected already is the VM's from now on; None: it has ended, and another is started."""
        vm.child = child
        vm.restart_at, vm.backoff = None, 0.0
        if child is None:
            self.start(vm)
        else:
            vm.started = self._clock()
            self.enter(vm, "connected")

    def ready(self, fd: int) -> bool:
        """Serve a descriptor that polls ready; False if it is no worker's."""
        for vm in list(self._vms.values()):
            if vm.child is not None and fd in (vm.child.pidfd, vm.child.line.fileno()):
                self._spoke(vm, vm.child, ended=fd == vm.child.pidfd)
                return True
        return False

    def deadlines(self) -> list[float]:
        """When `due` has something to do."""
        moments = [vm.restart_at for vm in self._vms.values()]
        moments += [vm.child.overdue_at for vm in self._vms.values() if vm.child is not None]
        return [moment for moment in moments if moment is not None]

    def due(self, now: float) -> None:
        """Start again what has waited long enough, and end what should have ended."""
        for vm in list(self._vms.values()):
            if vm.child is not None:
                vm.child.due(now)
            if vm.restart_at is not None and vm.restart_at <= now:
                self.start(vm)

    def enter(self, vm: Vm, state: str) -> None:
        """The VM is in that state from now on."""
        vm.state = state
        vm.tell({"event": "state", "vm": vm.spec.name, "state": state})
        self._owner.state_changed(vm)

    def _spoke(self, vm: Vm, child: Child, *, ended: bool) -> None:
        for message in child.hear(ended=ended):
            self._owner.worker_said(vm, message)
            if vm.child is not child:
                return  # it was the last that this one had to say
            if child.fault:
                break
            self._hear(vm, message)
        if ended:
            self._ended(vm)
        elif child.line.closed:
            self._poll.unregister(child.line.fileno())  # it is about to end; its pidfd will tell
            child.hung_up(self._clock())

    def _hear(self, vm: Vm, message: Message) -> None:
        match message.get("event"):
            case "log":
                vm.say(message["text"], message["level"])
            case "ready":
                self.enter(vm, "waiting")
            case "disconnected":
                self.enter(vm, "waiting")
                vm.say("the agent is gone; waiting for it")
            case "connected":
                self.enter(vm, "connected")
                vm.say(f"the agent is there, protocol {message.get('version')}")
            case "ended":
                vm.last_words = message

    def _ended(self, vm: Vm) -> None:
        fault = vm.child.fault if vm.child is not None else ""
        killed = self.drop(vm)
        if self._owner.worker_gone(vm):
            return
        last, vm.last_words = vm.last_words, {}
        kind = last.get("kind", "died")
        reason = cleaned(str(last.get("reason", "its worker was killed" if killed else "its worker failed")))
        if kind == "machine" and vm.restarts == 0 and vm.state == "starting" and vm.domain is None:
            self._owner.cannot_show(vm, reason)
            return
        # Being killed is nobody's fault here; everything else may be the agent's doing, and it may do it again.
        healthy = vm.state == "connected" and (killed or self._clock() - vm.started >= _HEALTHY_AFTER)
        if fault:
            self._owner.tell_user(vm, f"{fault}, and was ended")
            self._again(vm, f"{fault}, and was ended")
            return
        if kind == "violation":
            self._owner.tell_user(vm, f"its session ended: {reason}")
        self._again(vm, reason, "session ended: " if kind == "violation" else "", healthy=healthy)

    def _again(self, vm: Vm, reason: str, what: str = "", *, healthy: bool = False) -> None:
        """Start it later."""
        vm.backoff = _BACKOFF_FIRST if healthy or not vm.backoff else min(vm.backoff * 2, _BACKOFF_MAX)
        vm.restarts += 1
        vm.restart_at = self._clock() + vm.backoff
        vm.reason = reason
        self.enter(vm, "restarting")
        say = vm.say if healthy else vm.report  # pauses that grow make it rare
        say(f"{what}{reason}; again in {vm.backoff:g} s", logging.WARNING)
