"""Moves VMs between GUI domains: carries out what `core.swap` decides, with workers, and keys that the VM follows."""

import contextlib
import os
import select
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from guid.control import Message
from guid.core.swap import Await, Command, Do, Finished, Swap
from guid.spec import VmSpec
from guid.supervisor.vm import Vm
from guid.worker.child import Child
from guiproto.errors import MachineCannot

Done = Callable[[bool, str], None]
"""Gets whether the windows have moved, and a sentence for the user."""


class Orders(Protocol):
    """How a VM is told whose its windows are."""

    def prepare(self, vm: Vm, gui_domid: int) -> None:
        """Listen for that GUI domain as well. Raises MachineCannot if the VM cannot be told."""

    def commit(self, vm: Vm, gui_domid: int) -> None:
        """It has the windows from now on, and no other. Raises MachineCannot if the VM cannot be told."""

    def withdraw(self, vm: Vm) -> None:
        """Nobody else will have them."""


class Workers(Protocol):
    """Who keeps the workers of VMs."""

    def start_process(self, spec: VmSpec) -> Child:
        """Start a worker's process, wherever it runs. Raises MachineCannot."""

    def drop_worker(self, vm: Vm) -> None:
        """End it, if there is one, and start none."""

    def restart_worker(self, vm: Vm) -> None:
        """Start its worker again, for its description as it is."""

    def adopt_worker(self, vm: Vm, spec: VmSpec, child: Child | None) -> None:
        """That is its worker and its description from now on; None: it has ended, and another is to be started."""


@dataclass(slots=True)
class _Moving:
    swap: Swap
    vm: Vm
    spec: VmSpec
    done: Done
    child: Child | None = None
    last_words: str = ""


class Swaps:
    """The swaps that are under way, at most one for each VM."""

    def __init__(self, workers: Workers, orders: Orders, poll: select.epoll, clock: Callable[[], float]) -> None:
        self._workers = workers
        self._orders = orders
        self._poll = poll
        self._clock = clock
        self._moving: dict[str, _Moving] = {}

    def begin(self, vm: Vm, spec: VmSpec, done: Done) -> None:
        """Move `vm` to where `spec` says. `done` is called once, maybe at once. Raises MachineCannot if it moves."""
        name = vm.spec.name
        if name in self._moving:
            target = self._moving[name].swap.target
            raise MachineCannot(f"{name} is on its way to {target}", "wait until that has ended")
        if (spec.gui_domid, spec.gui_vm, spec.view) == (vm.spec.gui_domid, vm.spec.gui_vm, vm.spec.view):
            done(True, f"{spec.shown_by()} shows {name} already")
            return
        swap = Swap(
            name, vm.spec.shown_by(), spec.shown_by(), self._clock(), one_id=spec.gui_domid == vm.spec.gui_domid
        )
        moving = self._moving[name] = _Moving(swap, vm, spec, done)
        self._carry_out(moving, swap.start())

    # --- what happens ---

    def ready(self, fd: int) -> bool:
        """Serve a descriptor that polls ready; False if it is none of ours."""
        for moving in self._moving.values():
            child = moving.child
            if child is not None and fd in (child.pidfd, child.line.fileno()):
                self._target_spoke(moving, child, ended=fd == child.pidfd)
                return True
        return False

    def present_said(self, name: str, message: Message) -> None:
        """The worker that has the windows of that VM said something."""
        moving = self._moving.get(name)
        if moving is None:
            return
        if message.get("event") == "shown":
            self._carry_out(moving, moving.swap.present_shows(_numbers(message), self._clock()))
        elif message.get("event") == "released":
            self._carry_out(moving, moving.swap.present_released(self._clock()))
        elif message.get("event") == "disconnected":
            self.present_gone(name)

    def present_gone(self, name: str) -> bool:
        """That worker has lost the VM, or has ended. Returns whether that belongs to a swap which has now ended."""
        moving = self._moving.get(name)
        if moving is None:
            return False
        self._carry_out(moving, moving.swap.present_gone(self._clock()))
        return moving.swap.over

    def vm_ended(self, name: str) -> None:
        """The VM is no more."""
        moving = self._moving.get(name)
        if moving is not None:
            self._carry_out(moving, moving.swap.vm_ended())

    def deadlines(self) -> list[float]:
        """When `tick` has something to do."""
        return [moving.swap.deadline() for moving in self._moving.values()]

    def tick(self, now: float) -> None:
        """Time passed."""
        for moving in list(self._moving.values()):
            self._carry_out(moving, moving.swap.tick(now))

    def _target_spoke(self, moving: _Moving, child: Child, *, ended: bool) -> None:
        swap, vm = moving.swap, moving.vm
        for message in child.hear(ended=ended):
            match message.get("event"):
                case "ready":
                    self._carry_out(moving, swap.target_ready(self._clock()))
                case "connected":
                    self._carry_out(moving, swap.target_connected(self._clock()))
                case "disconnected":
                    self._carry_out(moving, swap.target_disconnected())
                case "complete":
                    self._carry_out(moving, swap.target_complete(_numbers(message), self._clock()))
                case "log":
                    vm.say(f"{swap.target}: {message.get('text')}")
                case "copied":
                    # Keys in windows that are not the VM's yet copy nothing; what came with it is not the next one's.
                    if (descriptor := child.line.take_descriptor()) is not None:
                        os.close(descriptor)
                case "ended":
                    moving.last_words = str(message.get("reason"))
            if swap.over:
                return  # what else it said, its new owner hears, or nobody
        if ended:
            child.end(self._poll)
            moving.child = None
            self._carry_out(moving, swap.target_ended(child.fault or moving.last_words or "its worker was killed"))
        elif child.line.closed:
            self._poll.unregister(child.line.fileno())  # it is about to end; its pidfd will tell

    # --- what follows ---

    def _carry_out(self, moving: _Moving, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Await(windows):
                    if moving.child is not None:
                        moving.child.line.send({"op": "await", "windows": sorted(windows)})
                case Finished(moved, text):
                    del self._moving[moving.vm.spec.name]
                    moving.vm.say(text)
                    moving.done(moved, text)
                case _:
                    self._do(moving, command)

    def _do(self, moving: _Moving, command: Do) -> None:
        vm, target = moving.vm, moving.spec.gui_domid
        match command:
            case Do.OPEN_TARGET:
                try:
                    child = moving.child = self._workers.start_process(moving.spec)
                except MachineCannot as error:
                    self._carry_out(moving, moving.swap.target_ended(str(error)))
                    return
                self._poll.register(child.line.fileno(), select.EPOLLIN)
                self._poll.register(child.pidfd, select.EPOLLIN)
            case Do.PREPARE | Do.COMMIT:
                tell = self._orders.prepare if command is Do.PREPARE else self._orders.commit
                try:
                    tell(vm, target)
                except MachineCannot as error:
                    self._carry_out(moving, moving.swap.not_told(str(error)))
            case Do.ASK_PRESENT:
                if vm.child is not None:
                    vm.child.line.send({"op": "shown"})
                else:
                    self._carry_out(moving, moving.swap.present_gone(self._clock()))
            case Do.RELEASE_PRESENT:
                if vm.child is not None:
                    vm.child.line.send({"op": "let go"})
                else:
                    self._carry_out(moving, moving.swap.present_gone(self._clock()))
            case Do.WITHDRAW:
                with contextlib.suppress(MachineCannot):
                    self._orders.withdraw(vm)
            case Do.CLOSE_PRESENT:
                self._workers.drop_worker(vm)
            case Do.RESTORE:
                self._workers.restart_worker(vm)
            case Do.ADOPT:
                child_, moving.child = moving.child, None
                self._workers.adopt_worker(vm, moving.spec, child_)
            case Do.CLOSE_TARGET:
                if moving.child is not None:
                    moving.child.end(self._poll)
                    moving.child = None


def _numbers(message: Mapping[str, Any]) -> list[int]:
    return list(message["windows"])
