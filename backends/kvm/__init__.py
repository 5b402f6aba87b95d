"""The KVM backend: AppVMs are virtual machines of QEMU, managed by libvirt; vchans and pages lie in ivshmem memory.

Where they are is said by variables. On the host the domain driver knows them (`DomainDriver.runtime`); in the
guest they are in the configuration that the driver gives to the VM.

    VCHAN_REGION     the shared memory: a file on the host, the PCI device's bar in the guest
    VCHAN_DOORBELLS  what the doorbells' paths begin with; the slot's number follows
    VCHAN_SLOTS      which vchans there are, by slot: PORT:DOMID,PORT:DOMID
    VCHAN_SIDE       host or guest: which end of the doorbells is here; if it is not said, servers are in the guest
    VCHAN_DRAWING    if programs draw into memory that the host sees: a file on the host, the file system in the guest
    VCHAN_RAM        on the host, if the VM shares it: the file of its own memory
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from backends.base import Backend, DomainDriver, MachineCannot, PageMapper, PageSharer, Vchan
from backends.kvm.doorbell import ChannelDoorbell, MakeDoorbell, PortDoorbell
from backends.kvm.layout import Slots
from backends.kvm.mapping import KvmMapper
from backends.kvm.sharing import Memory
from backends.kvm.vchan import KvmClient, KvmServer
from backends.machines.places import data_dir

REGION: Final = "VCHAN_REGION"
DOORBELLS: Final = "VCHAN_DOORBELLS"
DRAWING: Final = "VCHAN_DRAWING"
RAM: Final = "VCHAN_RAM"
SIDE: Final = "VCHAN_SIDE"
VCHANS: Final = "VCHAN_SLOTS"


class KvmBackend(Backend):
    """One VM, from inside or from the host; domain ids are checked where the VM's configuration knows them."""

    name = "kvm"
    makes_lasting = True

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._memory: Memory | None = None
        self.drawing_place = self._path(DRAWING) if environ.get(SIDE) == "guest" else None
        self.adopts = self.drawing_place is not None

    def missing(self, *, domains: bool = False) -> Sequence[str]:
        if not domains:
            return []
        from backends.kvm.machine import missing_for_domains

        return missing_for_domains()

    def notes(self) -> Sequence[str]:
        from backends.kvm.machine import kvm_trouble
        from backends.machines.debian import any_kernel

        trouble = kvm_trouble(any_kernel())
        return [f"KVM is not used: {trouble}; VMs run in software emulation." if trouble else "KVM works."]

    def server(self, domid: int, peer: int, port: int) -> Vchan:  # noqa: ARG002 - the region is the VM's
        slot = self._slot(port, peer)
        return KvmServer(self._region(), slot, self._doorbell(slot, in_guest=self._is_in_guest(True)))

    def client(self, domid: int, peer: int, port: int) -> Vchan:  # noqa: ARG002 - the region is the VM's
        slot = self._slot(port, domid)
        return KvmClient(self._region(), slot, self._doorbell(slot, in_guest=self._is_in_guest(False)))

    def sharer(self, domid: int, gui_domid: int) -> PageSharer:  # noqa: ARG002 - the region is this domain's
        if self._memory is None or self._memory.closed:
            self._memory = Memory(self._region(), self.drawing_place)
        return self._memory.sharer()

    def mapper(self, domid: int, peer: int) -> PageMapper:  # noqa: ARG002 - the region is the peer's
        return KvmMapper(self._region(), self._path(RAM), self._path(DRAWING))

    def files(self) -> Sequence[Path]:
        return [Path(path) for path in map(self._environ.get, (REGION, RAM, DRAWING)) if path]

    def domains(self, state_dir: Path) -> DomainDriver:  # noqa: ARG002 - libvirt keeps everything
        from backends.kvm.domains import KvmDomains

        return KvmDomains(self._environ)

    def keeps(self, name: str) -> bool:
        return (data_dir() / "vms" / name / "disk.qcow2").exists()

    guest_doorbell = PortDoorbell
    """The guest's end of a doorbell line."""

    def _region(self) -> Path:
        return Path(self._need(REGION))

    def _path(self, name: str) -> Path | None:
        path = self._environ.get(name)
        return Path(path) if path else None

    def _slot(self, port: int, client: int) -> int:
        return Slots.parse(self._need(VCHANS)).number(port, client)

    def _is_in_guest(self, if_unsaid: bool) -> bool:
        side = self._environ.get(SIDE)
        if side not in (None, "", "host", "guest"):
            raise MachineCannot(f"{SIDE} is {side!r}", "it is host or guest, or not set")
        return side == "guest" if side else if_unsaid

    def _doorbell(self, slot: int, *, in_guest: bool) -> MakeDoorbell:
        kind: Callable[..., PortDoorbell | ChannelDoorbell] = self.guest_doorbell if in_guest else ChannelDoorbell
        path = Path(f"{self._need(DOORBELLS)}{slot}")
        return lambda epoll: kind(epoll, path)

    def _need(self, name: str) -> str:
        value = self._environ.get(name)
        if not value:
            raise MachineCannot(f"{name} is not set", "`guid run` and `guid attach NAME` set it for VMs that guid made")
        return value


def factory(environ: Mapping[str, str]) -> Backend:
    """The entry point `kvm`."""
    return KvmBackend(environ)
