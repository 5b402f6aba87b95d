"""A machine with Xen on it, emulated by QEMU: in its dom0 this project's tests run against real domUs."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.xen.image import Dom0

_PROJECT: Final = Path(__file__).resolve().parents[2]
MEMORY_MIB: Final = 3072
DOM0_MIB: Final = 1280
# What of QEMU's processor Xen or its guests do not get along with: SMAP ends Xen, RDTSCP makes PVH guests spin, and
# XSAVE loses floating point state. An AMD one, for QEMU emulates AMD's virtualization (SVM), which PVH guests need.
_CPU: Final = "max,-smap,-rdtscp,-xsave"
_CMDLINE: Final = "console=hvc0 quiet root=/dev/vda rw init=/sbin/dom0-init mitigations=off"


def run(dom0: Dom0, results: Path, disks: Sequence[Path] = (), seconds: float = 600.0) -> str:
    """Boot, and wait until the machine is off again; what its consoles said. `disks` are dom0's /dev/vdb and on.

    Nothing is written to any disk. Raises subprocess.TimeoutExpired.
    """
    drives = [dom0.disk, *disks]
    argv = [
        "qemu-system-x86_64", "-accel", "tcg,thread=multi,tb-size=512", "-machine", "pc", "-cpu", _CPU,
        "-m", str(MEMORY_MIB), "-smp", "2", "-display", "none", "-monitor", "none", "-serial", "stdio",
        "-no-reboot", "-nodefaults", "-net", "none",
        "-kernel", str(dom0.xen),
        "-append", f"dom0_mem={DOM0_MIB}M,max:{DOM0_MIB}M console=com1 com1=115200,8n1 spec-ctrl=eager-fpu "
        "gnttab_max_frames=256 dom0_max_vcpus=1 dom0_vcpus_pin",
        "-initrd", f"{dom0.kernel} {_CMDLINE},{dom0.initrd}",
    ]  # fmt: skip
    for number, drive in enumerate(drives):
        argv += [
            "-drive", f"file={drive},if=none,format=raw,snapshot=on,id=d{number}",
            "-device", f"virtio-blk-pci,drive=d{number}",
        ]  # fmt: skip
    for tag, path, mode in (("project", _PROJECT, "on"), ("results", results, "off")):
        argv += [
            "-fsdev", f"local,id={tag},path={path},security_model=none,multidevs=remap,readonly={mode}",
            "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}",
        ]  # fmt: skip
    assert shutil.which(argv[0])
    console = results / "console.log"
    with console.open("wb") as log:
        subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=seconds, check=False
        )
    return console.read_text(errors="replace")
