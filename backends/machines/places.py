"""Where VMs and images are kept: the directories that the XDG base directory specification names."""

import os
import shutil
from pathlib import Path


def cache_dir() -> Path:
    """What can be made again: images, and what was found out about this machine."""
    return _made(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"))


def data_dir() -> Path:
    """Disks of VMs: what is lost when it is lost."""
    return _made(Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"))


def _made(base: Path) -> Path:
    path = base / "odyssey-gui"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def which(program: str) -> str | None:
    """Where a program is; administrators' directories, which users often have not in their PATH, included."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
