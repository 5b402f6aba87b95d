"""AppVMs that are virtual machines: made, started, found again and watched through libvirt, whatever the hypervisor.

libvirt keeps their definitions, so there is no other list of them: an AppVM is a domain with our element in its
<metadata>, whoever starts or stops it. What differs between hypervisors is what a definition says, and what has to be
there before a domain starts.
"""

import contextlib
import os
import select
import shutil
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from backends.base import AppVmSpec, Domain, DomainDriver, DomainSpec, DomainState
from backends.machines import disks
from backends.machines.libvirtd import Hypervisor
from backends.machines.places import data_dir
from guiproto.errors import MachineCannot

NAMESPACE: Final = "urn:odyssey-gui:vm"
"""Of the element in a domain's <metadata> that makes it an AppVM."""
PROJECT: Final = Path(__file__).resolve().parents[2]


class Described(Protocol):
    """What a definition says of an AppVM."""

    @property
    def name(self) -> str:
        """Of the domain."""

    @property
    def domid(self) -> int:
        """Its id, 0 if it has none now."""

    @property
    def gui_domid(self) -> int:
        """That of its GUI domain."""

    @property
    def label(self) -> str:
        """The name of its colour."""

    @property
    def private(self) -> bool:
        """As in `backends.base.Domain`."""


V = TypeVar("V", bound=Described)


class MachineDomains(DomainDriver, Generic[V]):
    """AppVMs of one libvirt."""

    def __init__(self, uri: str, hypervisor: Hypervisor) -> None:
        """Takes `hypervisor` over."""
        self._uri = uri
        self._hypervisor = hypervisor
        self._epoll = select.epoll()
        self._epoll.register(self._hypervisor.fileno(), select.EPOLLIN)
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._known: dict[str, V] = {}
        for domain in self.list():
            self._stopped(self._known[domain.name])

    # --- what differs ---

    @abstractmethod
    def _read(self, xml: str) -> V | None:
        """From libvirt's description; None if it is no AppVM of ours."""

    @abstractmethod
    def _make(self, spec: AppVmSpec, taken: Mapping[int, str], place: Path, tell: Callable[[str], None]) -> str:
        """The disks of a new AppVM, in the new directory `place`, `vm.json` among them, and the XML that defines it.

        `taken`: names by domain id. Raises MachineCannot.
        """

    def _starting(self, vm: V) -> None:
        """It is about to be started, by us; also when it was just made."""

    def _started(self, vm: V) -> None:
        """It runs, whoever started it."""

    def _stopped(self, vm: V) -> None:
        """It does not run, or did not when we looked."""

    def _removed(self, vm: V) -> None:
        """It is defined no more."""

    def _pid(self, vm: V) -> int | None:  # noqa: ARG002 - not every hypervisor has one
        """The process of this machine that runs it, if there is one."""
        return None

    # --- AppVMs that stay ---

    def create(self, spec: AppVmSpec, tell: Callable[[str], None]) -> Domain:
        taken = {domain.domid: domain.name for domain in self.list()}
        if spec.name in taken.values():
            raise MachineCannot(f"there is an AppVM {spec.name!r} already", f"`guid vm remove {spec.name}` first")
        place = data_dir() / "vms" / spec.name
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            xml = self._make(spec, taken, place, tell)
            disks.agent_disk(place / "agent.img", PROJECT, (place / "vm.json").read_text())
            self._hypervisor.request("define", xml=xml)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self.list()
        self._starting(self._known[spec.name])
        return self._domain(self._known[spec.name], DomainState.STOPPED)

    def resume(self, name: str) -> Domain:
        vm = self._need(name)
        place = data_dir() / "vms" / name
        with contextlib.suppress(OSError):
            disks.agent_disk(place / "agent.img", PROJECT, (place / "vm.json").read_text())
        self._starting(vm)
        self._take(self._hypervisor.request("start", name=name)["xml"])
        return self._domain(self._known[name], DomainState.RUNNING)

    def remove(self, name: str) -> None:
        vm = self._need(name)
        # In this order, so that whoever hears that it has stopped can tell that it will not start again.
        running = self._is_running(name)
        self._hypervisor.request("undefine", name=name)
        if running:
            with contextlib.suppress(MachineCannot):  # it has ended by itself meanwhile
                self._hypervisor.request("destroy", name=name)
        self._removed(vm)
        shutil.rmtree(data_dir() / "vms" / name, ignore_errors=True)
        del self._known[name]

    # --- the contract that every backend has ---

    def start(self, spec: DomainSpec) -> Domain:
        """A VM is made first and started then. Raises MachineCannot."""
        raise MachineCannot(f"there is no VM {spec.name!r}", f"`guid vm create {spec.name}` makes one")

    def terminate(self, name: str) -> None:
        with contextlib.suppress(MachineCannot):
            self._hypervisor.request("shutdown", name=name)

    def stop(self, name: str, timeout: float = 5.0) -> None:
        if timeout > 0:
            self.terminate(name)
            end = time.monotonic() + timeout
            while self._is_running(name) and time.monotonic() < end:
                select.select([self._hypervisor.fileno()], [], [], min(0.5, max(0.0, end - time.monotonic())))
        if self._is_running(name):
            self._hypervisor.request("destroy", name=name)

    def list(self) -> Sequence[Domain]:
        found = []
        for row in self._hypervisor.request("list")["domains"]:
            vm = self._take(row["xml"])
            if vm is not None:
                found.append(self._domain(vm, DomainState.RUNNING if row["running"] else DomainState.STOPPED))
        if self._hypervisor.pending():
            os.eventfd_write(self._bell, 1)
        return sorted(found, key=lambda domain: domain.name)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def events(self) -> Sequence[Domain]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        changes = []
        for event in self._hypervisor.events():
            vm = self._take(event["xml"]) if event["xml"] else self._known.get(event["name"])
            if vm is None:
                continue
            if event["event"] == "stopped":
                if event["xml"]:
                    self._stopped(vm)
                else:  # it is defined no more
                    self._removed(vm)
                    self._known.pop(vm.name, None)
                changes.append(self._domain(vm, DomainState.STOPPED, event["why"]))
            else:
                self._started(vm)
                reason = "it was rebooted" if event["event"] == "rebooted" else ""
                changes.append(self._domain(vm, DomainState.RUNNING, reason))
        return changes

    def close(self) -> None:
        if self._bell >= 0:
            self._epoll.close()
            os.close(self._bell)
            self._bell = -1
            self._hypervisor.close()

    # --- small things ---

    def _take(self, xml: str) -> V | None:
        vm = self._read(xml)
        if vm is not None:
            self._known[vm.name] = vm
        return vm

    def _need(self, name: str) -> V:
        if name not in self._known:
            self.list()
        vm = self._known.get(name)
        if vm is None:
            raise MachineCannot(f"libvirt at {self._uri} has no AppVM {name!r}", "see `guid vm list`")
        return vm

    def _is_running(self, name: str) -> bool:
        return any(domain.name == name and domain.state is DomainState.RUNNING for domain in self.list())

    def _domain(self, vm: V, state: DomainState, reason: str = "") -> Domain:
        return Domain(
            vm.name, vm.domid, state, pid=self._pid(vm) if state is DomainState.RUNNING else None,
            reason=reason, label=vm.label, gui_domid=vm.gui_domid, lasting=True, private=vm.private,
        )  # fmt: skip
