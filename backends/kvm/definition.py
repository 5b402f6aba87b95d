"""The libvirt definition of an AppVM: made from a template, and read back from whatever libvirt says a domain is."""

import os
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final, Self
from xml.sax.saxutils import escape, quoteattr

from backends.kvm.layout import DOORBELL, ORDERS, PIPE, Slots
from backends.machines.debian import Image
from backends.machines.domains import NAMESPACE
from guiproto.errors import MachineCannot

_TEMPLATE: Final = Path(__file__).with_name("domain.xml")
_SHM: Final = Path("/dev/shm")  # noqa: S108 - where libvirt puts the memory of <shmem>
_KVM_CPU: Final = "<cpu mode='host-passthrough'>$numa</cpu>"
# Under emulation a plain old processor is the fastest: nothing emulated in vain.
_TCG_CPU: Final = "<cpu mode='custom' match='exact'><model>Nehalem</model>$numa</cpu>"
# Code that was translated once and thrown away for want of room has to be translated again.
_TCG_FEATURES: Final = "<tcg><tb-cache unit='MiB'>512</tb-cache></tcg>"
_SHARED_RAM: Final = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
_QEMU_NAMESPACE: Final = "http://libvirt.org/schemas/domain/qemu/1.0"
_DRAWING_SLOT: Final = 0x18
"""Of the PCI bus: libvirt fills it from its beginning, and has 0x1e and 0x1f for bridges."""
_TCG_OPTIONS: Final = "mitigations=off nokaslr"


@dataclass(frozen=True, slots=True)
class AppVm:
    """An AppVM as its definition describes it."""

    name: str
    domid: int
    gui_domid: int
    label: str
    vchans: Slots
    region: Path
    """The file of the shared memory."""
    region_bytes: int
    channels: Mapping[str, str]
    """Sockets of the virtio-serial ports by name; libvirt tells some only while the domain runs."""
    agent_disk: Path | None
    private: bool
    shares_ram: bool
    """Whether its own memory can be mapped here."""
    drawing_bytes: int
    """Of the memory that its programs draw into; 0 if there is none."""

    @classmethod
    def read(cls, xml: str) -> Self | None:
        """From libvirt's description; None if it is no AppVM of ours, or says what makes no sense."""
        root = ET.fromstring(xml)  # noqa: S314 - libvirt's own words, not a guest's
        vm = root.find(f"metadata/{{{NAMESPACE}}}vm")
        name = root.findtext("name")
        shmem = root.find("devices/shmem")
        size = None if shmem is None else shmem.find("size")
        if vm is None or name is None or shmem is None or size is None:
            return None
        channels = {}
        for channel in root.iterfind("devices/channel"):
            source, target = channel.find("source"), channel.find("target")
            if target is not None:
                channels[target.get("name", "")] = "" if source is None else source.get("path", "")
        disks = {
            target.get("dev"): source.get("file")
            for disk in root.iterfind("devices/disk")
            if (target := disk.find("target")) is not None and (source := disk.find("source")) is not None
        }
        agent_disk = disks.get("vdb")
        try:
            return cls(
                name, int(vm.get("domid", "")), int(vm.get("gui-domid", "0")), vm.get("label", ""),
                Slots.parse(vm.get("vchans", "")), _SHM / shmem.get("name", "").replace("/", "_"),
                _bytes(size), channels,
                Path(agent_disk) if agent_disk else None, vm.get("private") == "yes",
                root.find("memoryBacking/access[@mode='shared']") is not None,
                int(vm.get("drawing", "0")) << 20,
            )  # fmt: skip
        except (ValueError, KeyError, MachineCannot):
            return None

    def environ(self) -> Mapping[str, str]:
        """What `KvmBackend` must know on the host."""
        doorbell = self.channels.get(f"{DOORBELL}0", "")
        drawing = {} if self.drawing is None else {"VCHAN_DRAWING": str(self.drawing)}
        return {
            "VCHAN_REGION": str(self.region),
            "VCHAN_DOORBELLS": doorbell.removesuffix("0"),
            "VCHAN_SLOTS": str(self.vchans),
            "VCHAN_SIDE": "host",
            **drawing,
        }

    @property
    def drawing(self) -> Path | None:
        """The file of the memory that its programs draw into, if there is such."""
        return _drawing_file(self.name) if self.drawing_bytes else None

    @property
    def files(self) -> Mapping[Path, int]:
        """Memory of it that is a file here, and how many bytes each has."""
        drawing = {} if self.drawing is None else {self.drawing: self.drawing_bytes}
        return {self.region: self.region_bytes, **drawing}


_UNITS: Final = {"B": 1, "bytes": 1, "KiB": 1 << 10, "K": 1 << 10, "MiB": 1 << 20, "M": 1 << 20, "G": 1 << 30}


def _bytes(size: ET.Element) -> int:
    """Of an element with a unit. Raises ValueError and KeyError."""
    return int(size.text or "") * _UNITS[size.get("unit", "M")]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a definition is made from."""

    name: str
    domid: int
    gui_domid: int
    label: str
    vchans: Slots
    memory_mib: int
    videoram_mib: int
    network: bool
    kvm: bool
    emulator: str
    image: Image
    disk: Path
    agent_disk: Path
    console: Path
    private: bool
    map_ram: bool = False
    drawing_mib: int = 0


def region_name(name: str) -> str:
    """The name of a VM's shared memory: nobody else's, for the names are those of one libvirt of one user."""
    return f"odyssey-{os.geteuid()}-{name}"


def definition(wish: Wish) -> str:
    """The XML that libvirt takes."""
    ports = [ORDERS, PIPE, *(f"{DOORBELL}{number}" for number in range(len(wish.vchans.vchans)))]
    network = "<interface type='user'><model type='virtio'/></interface>" if wish.network else ""
    cpus = min(2, os.cpu_count() or 1)
    values = {
        "type": "kvm" if wish.kvm else "qemu",
        "name": wish.name,
        "namespace": NAMESPACE,
        "domid": wish.domid,
        "gui_domid": wish.gui_domid,
        "label": wish.label,
        "private": "yes" if wish.private else "no",
        "vchans": wish.vchans,
        "memory_mib": wish.memory_mib,
        "cpus": cpus,
        "kernel": wish.image.kernel,
        "initrd": wish.image.initrd,
        "kernel_options": "" if wish.kvm else _TCG_OPTIONS,
        "emulator": wish.emulator,
        "disk": wish.disk,
        "agent_disk": wish.agent_disk,
        "console": wish.console,
        "region": region_name(wish.name),
        "videoram_mib": wish.videoram_mib,
        "drawing_mib": wish.drawing_mib,
    }
    text = {key: escape(str(value), {"'": "&apos;"}) for key, value in values.items()}
    text |= {
        "cpu": Template(_KVM_CPU if wish.kvm else _TCG_CPU).substitute(numa=_numa(wish, cpus)),
        "features": "" if wish.kvm else _TCG_FEATURES,
        "network": network,
        "backing": _SHARED_RAM if wish.map_ram else "",
        "channels": _channels(ports),
        "most_memory": _most_memory(wish),
        "drawing": _drawing(wish),
    }
    return Template(_TEMPLATE.read_text()).substitute(text)


def _channels(ports: Sequence[str]) -> str:
    """Where the sockets are is libvirt's to say, when the domain has started."""
    return "\n".join(f"    <channel type='unix'><target type='virtio' name='{port}'/></channel>" for port in ports)


def _drawing_file(name: str) -> Path:
    return _SHM / f"{region_name(name)}-drawing"


def _drawing(wish: Wish) -> str:
    """The device whose memory is a file of ours; the guest has it for a disk.

    As words for QEMU: libvirt 9.0 has an element for it, and no machine starts that has one.
    """
    if not wish.drawing_mib:
        return ""
    path = str(_drawing_file(wish.name)).replace(",", ",,")
    words = (
        "-object", f"memory-backend-file,id=drawing,mem-path={path},size={wish.drawing_mib}M,share=on",
        "-device", f"virtio-pmem-pci,id=drawing-device,memdev=drawing,bus=pcie.0,addr={_DRAWING_SLOT:#x}",
    )  # fmt: skip
    given = "".join(f"<qemu:arg value={quoteattr(word)}/>" for word in words)
    return f"<qemu:commandline xmlns:qemu='{_QEMU_NAMESPACE}'>{given}</qemu:commandline>"


def _most_memory(wish: Wish) -> str:
    """Room for that device's memory."""
    most = wish.memory_mib + wish.drawing_mib
    return f"<maxMemory slots='1' unit='MiB'>{most}</maxMemory>" if wish.drawing_mib else ""


def _numa(wish: Wish, cpus: int) -> str:
    """A node of all processors and all other memory, without which libvirt takes no such device."""
    cell = f"<cell id='0' cpus='0-{cpus - 1}' memory='{wish.memory_mib}' unit='MiB'/>"
    return f"<numa>{cell}</numa>" if wish.drawing_mib else ""
