"""AppVMs that are virtual machines of QEMU.

The file of a machine's shared memory is made before libvirt would, because libvirt's is readable by everybody, and made
anew by whoever starts the machine. Others never replace it: it may be in use by then.
"""

import contextlib
import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from backends.base import AppVmSpec
from backends.kvm.definition import AppVm, Wish, definition
from backends.kvm.layout import MAX_SLOTS, ORDERS, PIPE, Slots
from backends.kvm.libvirtd import checked_uri, unprivileged
from backends.kvm.machine import QEMU, kvm_trouble, missing_for_domains, overlay, qemu_pid
from backends.kvm.ram import ram_of
from backends.machines import commands
from backends.machines.domains import MachineDomains
from backends.machines.image import Guest, image
from backends.machines.libvirtd import Hypervisor
from backends.machines.places import which
from guiproto.errors import MachineCannot
from guiproto.limits import GUI_PORT
from guiproto.ports import ICON_PORT, QUBESDB_PORT

_DRAWS: Final = "xwayland"
"""The package of the display server whose programs draw into memory that can be shared as it is."""
_GUEST: Final = Guest(modules=("virtio_pci", "virtio_blk", "virtio_net", "virtio_console"))


class KvmDomains(MachineDomains[AppVm]):
    """AppVMs of one libvirt."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Connects to libvirt, which may start it. Raises MachineCannot."""
        uri = checked_uri(environ)
        if missing := missing_for_domains():
            raise MachineCannot(" ".join(missing))
        super().__init__(uri, Hypervisor(uri, unprivileged(uri)))

    def run(self, name: str, command: Sequence[str], *, pass_io: bool = False) -> int:
        self.list()
        path = self._need(name).channels.get(PIPE if pass_io else ORDERS)
        if path is None:
            raise MachineCannot(f"{name} takes no commands", "it was not made by `guid vm create`; see its definition")
        if pass_io:
            return commands.attach(name, path, command)
        commands.start(name, path, command)
        return 0

    def runtime(self, name: str) -> Mapping[str, str]:
        vm = self._need(name)
        pid = qemu_pid(self._uri, name) if vm.shares_ram else None
        ram = None if pid is None else ram_of(pid)
        return vm.environ() if ram is None else {**vm.environ(), "VCHAN_RAM": str(ram)}

    def _read(self, xml: str) -> AppVm | None:
        return AppVm.read(xml)

    def _make(self, spec: AppVmSpec, taken: Mapping[int, str], place: Path, tell: Callable[[str], None]) -> str:
        domid = spec.domid or next(number for number in range(1, 0xFFF0) if number not in taken)
        if domid in taken:
            raise MachineCannot(f"domain id {domid} is that of {taken[domid]!r}", "choose another, or none")
        packages = [*spec.packages, *([_DRAWS] if spec.drawing_mib else [])]
        made = image(_GUEST, packages, tell)
        trouble = kvm_trouble(made.kernel)
        if trouble:
            tell(f"KVM cannot be used here ({trouble}); this VM will run in QEMU's software emulation, which is slow")
        overlay(place / "disk.qcow2", made.disk)
        gui_domids = dict.fromkeys([spec.gui_domid, *spec.other_gui_domids])
        vchans = _vchans(spec.name, domid, list(gui_domids))
        config = {
            "name": spec.name, "domid": domid, "gui_domid": spec.gui_domid, "screen": list(spec.screen),
            "backend": "kvm", "guest": "backends.kvm.guest", "vchans": str(vchans), "drawing": spec.drawing_mib > 0,
        }  # fmt: skip
        (place / "vm.json").write_text(json.dumps(config))
        emulator = which(QEMU)
        assert emulator is not None
        return definition(
            Wish(
                spec.name, domid, spec.gui_domid, spec.label, vchans, spec.memory_mib, spec.videoram_mib,
                spec.network, not trouble, emulator, made, place / "disk.qcow2", place / "agent.img",
                place / "console.log", spec.private, spec.map_ram, spec.drawing_mib,
            )
        )  # fmt: skip

    def _starting(self, vm: AppVm) -> None:
        """Fresh memory for us alone. Only for whoever is about to start the VM: nobody else knows it is unused."""
        self._removed(vm)
        self._stopped(vm)

    def _stopped(self, vm: AppVm) -> None:
        """Memory for us alone, if there is none: libvirt would make it readable by everybody."""
        for path, size in vm.files.items():
            with contextlib.suppress(FileExistsError):
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                try:
                    os.ftruncate(fd, size)
                finally:
                    os.close(fd)

    def _started(self, vm: AppVm) -> None:
        """Somebody started it where we had not made its memory, for example after this machine was booted."""
        for path in vm.files:
            with contextlib.suppress(OSError):
                if stat.S_IMODE(path.stat().st_mode) & 0o077:
                    path.chmod(0o600)

    def _removed(self, vm: AppVm) -> None:
        for path in vm.files:
            path.unlink(missing_ok=True)

    def _pid(self, vm: AppVm) -> int | None:
        return qemu_pid(self._uri, vm.name)


def _vchans(name: str, domid: int, gui_domids: Sequence[int]) -> Slots:
    """Those of a VM that these GUI domains may show; for icons, of as many of the first ones as there is room for.

    Raises MachineCannot if there is none for windows.
    """
    needed = [*((GUI_PORT, gui_domid) for gui_domid in gui_domids), (QUBESDB_PORT, domid)]
    room = MAX_SLOTS - len(needed)
    if room < 0:
        raise MachineCannot(
            f"{len(gui_domids)} GUI domains may show {name}", f"{MAX_SLOTS - 1} are possible: configure fewer"
        )
    return Slots([*needed, *((ICON_PORT, gui_domid) for gui_domid in gui_domids[:room])])
