"""What a KVM guest finds in itself: the memory that it shares with the host, and the lines to it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from backends.kvm.layout import DOORBELL, ORDERS, PIPE, Slots
from backends.machines.guest import Found

_IVSHMEM: Final = ("0x1af4", "0x1110")


def bar_of_ivshmem(devices: Path = Path("/sys/bus/pci/devices")) -> Path:
    """The memory of the first ivshmem device, write-combining where the kernel offers it.

    Raises SystemExit with a sentence for the VM's console.
    """
    for device in sorted(devices.iterdir()):
        found = tuple((device / name).read_text().strip() for name in ("vendor", "device"))
        if found == _IVSHMEM:
            (device / "enable").write_text("1")
            combining = device / "resource2_wc"
            return combining if combining.exists() else device / "resource2"
    raise SystemExit("this VM has no ivshmem device: it was not defined by guid")


def ports(classes: Path = Path("/sys/class/virtio-ports")) -> dict[str, Path]:
    """The device nodes of virtio-serial ports by name."""
    return {
        (port / "name").read_text().strip(): Path("/dev") / port.name
        for port in classes.iterdir()
        if (port / "name").exists()
    }


def find(config: Mapping[str, Any], runtime: Path) -> Found:
    """As `backends.machines.guest` wants it. Raises SystemExit with a sentence for the VM's console."""
    bar, found = bar_of_ivshmem(), ports()
    for number in range(len(Slots.parse(config["vchans"]).vchans)):
        link = runtime / f"doorbell.{number}"
        link.unlink(missing_ok=True)
        os.symlink(found[f"{DOORBELL}{number}"], link)
    return Found(
        devices=[bar, *(path for name, path in found.items() if name.startswith("odyssey."))],
        environ={
            "VCHAN_REGION": str(bar),
            "VCHAN_DOORBELLS": str(runtime / "doorbell."),
            "VCHAN_SLOTS": config["vchans"],
            "VCHAN_SIDE": "guest",
        },
        arguments=["--orders", str(found[ORDERS]), "--pipe", str(found[PIPE])],
    )
