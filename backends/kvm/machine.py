"""What this machine has for running VMs: programs, libvirt, and whether its KVM works or only seems to."""

import contextlib
import importlib.util
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backends.machines.debian import run
from backends.machines.places import cache_dir, which
from guiproto.errors import MachineCannot

QEMU: Final = "qemu-system-x86_64"
_KVM_SECONDS: Final = 15.0
"""A kernel without anything to do gets from its first instruction to its last in 1 to 2 s where KVM works."""

_PROGRAMS: Final = (
    (QEMU, "runs VMs", "apt install qemu-system-x86"),
    ("qemu-img", "makes disks", "apt install qemu-utils"),
    ("mmdebstrap", "makes images of Debian", "apt install mmdebstrap"),
    ("mke2fs", "makes file systems", "apt install e2fsprogs"),
    ("libvirtd", "manages VMs", "apt install libvirt-daemon libvirt-daemon-driver-qemu"),
)


def missing_for_domains() -> Sequence[str]:
    """One sentence for each thing that is lacking, with the remedy."""
    missing = [
        f"{program}, which {purpose}, is not installed: {remedy}."
        for program, purpose, remedy in _PROGRAMS
        if which(program) is None
    ]
    if importlib.util.find_spec("libvirt") is None:
        missing.append("The Python module libvirt is not installed: make setup-kvm, or pip install 'odyssey-gui[kvm]'.")
    if Path("/dev/shm").stat().st_dev == Path("/").stat().st_dev:  # noqa: S108 - it is asked about, not written to
        missing.append("There is no tmpfs on /dev/shm: mount one.")
    return missing


def qemu_pid(uri: str, name: str) -> int | None:
    """The process of a running VM, as libvirt notes it; None if it has not."""
    if uri.endswith("/system"):
        notes = Path("/run/libvirt/qemu")
    else:  # as libvirt does where there is no directory for sessions
        base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        notes = Path(base) / "libvirt/qemu/run"
    with contextlib.suppress(OSError, ValueError):
        return int((notes / f"{name}.pid").read_text())
    return None


def overlay(path: Path, base: Path) -> None:
    """A disk that is like `base` until it is written to; replaces `path`."""
    qemu_img = which("qemu-img")
    if qemu_img is None:
        raise MachineCannot("qemu-img is not installed", "apt install qemu-utils")
    path.unlink(missing_ok=True)
    run([qemu_img, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(path)], "qemu-img")


def kvm_trouble(kernel: Path | None) -> str:
    """Why VMs cannot use this machine's KVM; "" if they can.

    That a device is there says little, since nested virtualization may offer one that hangs its guests. So `kernel` is
    booted with it, if there is one, and has to come to its end. The answer holds until this machine is booted again.
    """
    device = Path("/dev/kvm")
    if not device.exists():
        return "there is no /dev/kvm: the processor, the firmware's settings or an outer hypervisor do not offer it"
    if not os.access(device, os.R_OK | os.W_OK):
        return "/dev/kvm may not be used by this user: add him to the group kvm"
    if kernel is None or which(QEMU) is None:
        return "not tried yet, for want of a kernel to boot"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    answer = cache_dir() / f"kvm-{boot}-{os.geteuid()}"
    if not answer.exists():
        for old in cache_dir().glob(f"kvm-*-{os.geteuid()}"):
            old.unlink(missing_ok=True)
        answer.write_text(_try_kvm(kernel))
    return answer.read_text()


def _try_kvm(kernel: Path) -> str:
    # Without a root file system it panics, and with panic=-1 that means a reset at once, at which QEMU ends.
    argv = [
        QEMU, "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-display", "none", "-no-reboot",
        "-kernel", str(kernel), "-append", "panic=-1 quiet",
    ]  # fmt: skip
    start = time.monotonic()
    with tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=_KVM_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"a kernel that was booted with it did not come to its end in {_KVM_SECONDS:g} s"
        if done.returncode != 0:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
            return f"QEMU could not use it after {time.monotonic() - start:.1f} s: {lines[-1]}"
    return ""
