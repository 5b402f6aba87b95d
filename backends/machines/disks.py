"""The disk that a VM's agent comes on."""

import compileall
import shutil
import sys
import tempfile
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final

from backends.machines.debian import run
from backends.machines.places import which
from guiproto.errors import MachineCannot

GUEST_PYTHON: Final = (3, 11)
AGENT_PACKAGES: Final = ("guiproto", "shm", "backends", "qubesdb", "guiagent")


def agent_disk(path: Path, project: Path, config: str) -> None:
    """A small file system with the agent of this very version and the VM's configuration; replaces `path`."""
    with tempfile.TemporaryDirectory(dir=path.parent) as name:
        root = Path(name) / "root"
        for package in AGENT_PACKAGES:
            shutil.copytree(project / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        (root / "vm.json").write_text(config)
        if sys.version_info[:2] == GUEST_PYTHON:
            # The file system cannot be written to, and compiling takes an emulated processor longer than booting.
            for package in AGENT_PACKAGES:
                compileall.compile_dir(
                    root / package, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
                    stripdir=str(root), prependdir="/opt/odyssey-gui",
                )  # fmt: skip
        fresh = Path(name) / "agent.img"
        mke2fs = which("mke2fs")
        if mke2fs is None:
            raise MachineCannot("mke2fs is not installed", "apt install e2fsprogs")
        run([mke2fs, "-q", "-t", "ext2", "-L", "odyssey-agent", "-d", str(root), str(fresh), "8M"], "mke2fs")
        fresh.replace(path)
