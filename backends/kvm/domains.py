"""AppVMs that are virtual machines: made, started, found again and watched through libvirt.

libvirt keeps their definitions, so there is no other list of them: an AppVM is a domain with our element in its
<metadata>, whoever starts or stops it. The file of its shared memory is made before libvirt would, because libvirt's is
readable by everybody, and made anew by whoever starts the VM. Others never replace it: it may be in use by then.
"""

import contextlib
import json
import os
import select
import shutil
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from backends.base import AppVmSpec, Domain, DomainDriver, DomainSpec, DomainState
from backends.kvm.definition import AppVm, Wish, definition
from backends.kvm.layout import ORDERS, PIPE, Slots
from backends.kvm.libvirtd import Hypervisor, checked_uri
from backends.kvm.machine import QEMU, kvm_trouble, missing_for_domains, overlay, qemu_pid
from backends.kvm.ram import ram_of
from backends.machines import commands, disks
from backends.machines.image import Guest, image
from backends.machines.places import data_dir, which
from guiproto.errors import MachineCannot
from guiproto.limits import GUI_PORT

_GUEST: Final = Guest(modules=("virtio_pci", "virtio_blk", "virtio_net", "virtio_console"))
_PROJECT: Final = Path(__file__).resolve().parents[2]


class KvmDomains(DomainDriver):
    """AppVMs of one libvirt."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Connects to libvirt, which may start it. Raises MachineCannot."""
        self._uri = checked_uri(environ)
        if missing := missing_for_domains():
            raise MachineCannot(" ".join(missing))
        self._hypervisor = Hypervisor(self._uri)
        self._epoll = select.epoll()
        self._epoll.register(self._hypervisor.fileno(), select.EPOLLIN)
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._known: dict[str, AppVm] = {}
        for domain in self.list():
            self._provide_region(self._known[domain.name])

    # --- AppVMs that stay ---

    def create(self, spec: AppVmSpec, tell: Callable[[str], None]) -> Domain:
        taken = {domain.domid: domain.name for domain in self.list()}
        if spec.name in taken.values():
            raise MachineCannot(f"there is an AppVM {spec.name!r} already", f"`guid vm remove {spec.name}` first")
        domid = spec.domid or next(number for number in range(1, 0xFFF0) if number not in taken)
        if domid in taken:
            raise MachineCannot(f"domain id {domid} is that of {taken[domid]!r}", "choose another, or none")
        made = image(_GUEST, spec.packages, tell)
        trouble = kvm_trouble(made.kernel)
        if trouble:
            tell(f"KVM cannot be used here ({trouble}); this VM will run in QEMU's software emulation, which is slow")
        place = data_dir() / "vms" / spec.name
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            disk = place / "disk.qcow2"
            overlay(disk, made.disk)
            vchans = Slots([(GUI_PORT, spec.gui_domid)])
            config = {
                "name": spec.name, "domid": domid, "gui_domid": spec.gui_domid, "screen": list(spec.screen),
                "backend": "kvm", "guest": "backends.kvm.guest", "vchans": str(vchans),
            }  # fmt: skip
            (place / "vm.json").write_text(json.dumps(config))
            disks.agent_disk(place / "agent.img", _PROJECT, json.dumps(config))
            emulator = which(QEMU)
            assert emulator is not None
            xml = definition(
                Wish(
                    spec.name, domid, spec.gui_domid, spec.label, vchans, spec.memory_mib, spec.videoram_mib,
                    spec.network, not trouble, emulator, made, disk, place / "agent.img", place / "console.log",
                    spec.private, spec.map_ram,
                )
            )  # fmt: skip
            self._hypervisor.request("define", xml=xml)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self.list()
        self._renew_region(self._known[spec.name])
        return self._domain(self._known[spec.name], DomainState.STOPPED)

    def resume(self, name: str) -> Domain:
        vm = self._need(name)
        place = data_dir() / "vms" / name
        with contextlib.suppress(OSError):
            disks.agent_disk(place / "agent.img", _PROJECT, (place / "vm.json").read_text())
        self._renew_region(vm)
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
        vm.region.unlink(missing_ok=True)
        shutil.rmtree(data_dir() / "vms" / name, ignore_errors=True)
        del self._known[name]

    def run(self, name: str, command: Sequence[str], *, pass_io: bool = False) -> int:
        self.list()
        path = self._need(name).channels.get(PIPE if pass_io else ORDERS)
        if path is None:
            raise MachineCannot(f"{name} takes no commands", "it was not made by `guid vm create`; see its definition")
        if pass_io:
            return commands.attach(name, path, command)
        commands.start(name, path, command)
        return 0

    # --- the contract that every backend has ---

    def start(self, spec: DomainSpec) -> Domain:
        """A VM is made first and started then. Raises MachineCannot."""
        raise MachineCannot(f"there is no VM {spec.name!r}", f"`guid vm create {spec.name} --backend kvm` makes one")

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
                    self._provide_region(vm)
                else:  # it is defined no more
                    vm.region.unlink(missing_ok=True)
                    self._known.pop(vm.name, None)
                changes.append(self._domain(vm, DomainState.STOPPED, event["why"]))
            else:
                self._guard_region(vm)
                reason = "it was rebooted" if event["event"] == "rebooted" else ""
                changes.append(self._domain(vm, DomainState.RUNNING, reason))
        return changes

    def runtime(self, name: str) -> Mapping[str, str]:
        vm = self._need(name)
        pid = qemu_pid(self._uri, name) if vm.shares_ram else None
        ram = None if pid is None else ram_of(pid)
        return vm.environ() if ram is None else {**vm.environ(), "VCHAN_RAM": str(ram)}

    def close(self) -> None:
        if self._bell >= 0:
            self._epoll.close()
            os.close(self._bell)
            self._bell = -1
            self._hypervisor.close()

    # --- small things ---

    def _take(self, xml: str) -> AppVm | None:
        vm = AppVm.read(xml)
        if vm is not None:
            self._known[vm.name] = vm
        return vm

    def _need(self, name: str) -> AppVm:
        if name not in self._known:
            self.list()
        vm = self._known.get(name)
        if vm is None:
            raise MachineCannot(f"libvirt at {self._uri} has no AppVM {name!r}", "see `guid vm list`")
        return vm

    def _is_running(self, name: str) -> bool:
        return any(domain.name == name and domain.state is DomainState.RUNNING for domain in self.list())

    def _domain(self, vm: AppVm, state: DomainState, reason: str = "") -> Domain:
        return Domain(
            vm.name, vm.domid, state, pid=qemu_pid(self._uri, vm.name) if state is DomainState.RUNNING else None,
            reason=reason, label=vm.label, gui_domid=vm.gui_domid, lasting=True, private=vm.private,
        )  # fmt: skip

    def _renew_region(self, vm: AppVm) -> None:
        """Fresh memory for us alone. Only for whoever is about to start the VM: nobody else knows it is unused."""
        vm.region.unlink(missing_ok=True)
        self._provide_region(vm)

    @staticmethod
    def _provide_region(vm: AppVm) -> None:
        """Memory for us alone, if there is none: libvirt would make it readable by everybody."""
        try:
            fd = os.open(vm.region, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            return
        try:
            os.ftruncate(fd, vm.region_bytes)
        finally:
            os.close(fd)

    @staticmethod
    def _guard_region(vm: AppVm) -> None:
        """Somebody started it where we had not made its memory, for example after this machine was booted."""
        with contextlib.suppress(OSError):
            if stat.S_IMODE(vm.region.stat().st_mode) & 0o077:
                vm.region.chmod(0o600)
