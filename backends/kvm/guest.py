"""What a KVM guest finds in itself: the memory that it shares with the host, and the lines to it."""

import logging
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from backends.kvm.layout import DOORBELL, ORDERS, PIPE, Slots
from backends.machines.guest import Found

_IVSHMEM: Final = ("0x1af4", "0x1110")
_DRAWING: Final = Path("/run/odyssey-drawing")
_PMEM: Final = Path("/dev/pmem0")
_PMEM_SECONDS: Final = 20.0
"""From its driver to its device an emulated processor takes less than one."""
_FILE_SYSTEM: Final = ("-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-O", "^has_journal,^resize_inode")

log = logging.getLogger("session")


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


def drawing_place(place: Path = _DRAWING) -> Path | None:
    """The file system of what programs draw into, made anew at each boot; None, with a warning, if it cannot be."""
    if place.is_mount():
        return place  # the session has begun again
    try:
        for module in ("virtio_pmem", "nd_pmem"):
            _run("modprobe", module)
        end = time.monotonic() + _PMEM_SECONDS
        while not _PMEM.exists() and time.monotonic() < end:
            time.sleep(0.05)
        # What was on it ended with the last boot, and need not have ended well.
        _run("mke2fs", *_FILE_SYSTEM, str(_PMEM))
        place.mkdir(exist_ok=True)
        _run("mount", "-t", "ext4", "-o", "dax=always,noatime,nosuid,nodev,noexec", str(_PMEM), str(place))
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("what programs draw is copied: %s", error)
        return None
    return place


def _run(*command: str) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True, timeout=60)


def find(config: Mapping[str, Any], runtime: Path) -> Found:
    """As `backends.machines.guest` wants it. Raises SystemExit with a sentence for the VM's console."""
    bar, found = bar_of_ivshmem(), ports()
    for number in range(len(Slots.parse(config["vchans"]).vchans)):
        link = runtime / f"doorbell.{number}"
        link.unlink(missing_ok=True)
        os.symlink(found[f"{DOORBELL}{number}"], link)
    drawing = drawing_place() if config.get("drawing") else None
    return Found(
        devices=[bar, *(path for name, path in found.items() if name.startswith("odyssey."))],
        environ={
            "VCHAN_REGION": str(bar),
            "VCHAN_DOORBELLS": str(runtime / "doorbell."),
            "VCHAN_SLOTS": config["vchans"],
            "VCHAN_SIDE": "guest",
            **({} if drawing is None else {"VCHAN_DRAWING": str(drawing)}),
        },
        directories=[] if drawing is None else [drawing],
        arguments=["--orders", str(found[ORDERS]), "--pipe", str(found[PIPE])],
    )
