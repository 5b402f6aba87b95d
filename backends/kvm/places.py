"""Where VMs and images are kept: the directories that the XDG base directory specification names."""

import contextlib
import os
from pathlib import Path


def cache_dir() -> Path:
    """What can be made again: images, and what was found out about this machine."""
    return _made(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"))


def data_dir() -> Path:
    """Disks of VMs: what is lost when it is lost."""
    return _made(Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"))


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


def _made(base: Path) -> Path:
    path = base / "odyssey-gui"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
