"""AppVMs that are domains of Xen, managed by libvirt in dom0."""

import errno
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from backends.base import AppVmSpec
from backends.machines.domains import MachineDomains
from backends.machines.image import Guest, image
from backends.machines.libvirtd import Hypervisor
from backends.xen.definition import TYPES, AppVm, definition
from guiproto.errors import MachineCannot

GUEST: Final = Guest(
    packages=("python3-cffi", "libxengnttab1", "libxenforeignmemory1", "libxenstore4", "libxenmisc4.17"),
    modules=("xen-blkfront",),
)
_URI: Final = "xen:///system"
TYPE: Final = "XEN_DOMAIN_TYPE"
_NOT_BETWEEN_THESE: Final = (errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL)
"""What copy_file_range says of two file systems that have no common way (its manual page)."""


class XenDomains(MachineDomains[AppVm]):
    """AppVMs of this Xen. $XEN_DOMAIN_TYPE, pv or pvh, is what new ones are."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """Connects to libvirt. Raises MachineCannot."""
        uri = environ.get("LIBVIRT_DEFAULT_URI") or _URI
        if uri != _URI:
            raise MachineCannot(f"{uri} is no libvirt of this machine's Xen", f"use {_URI}, in dom0")
        self._type = environ.get(TYPE) or TYPES[0]
        if self._type not in TYPES:
            raise MachineCannot(f"{TYPE} is {self._type!r}", f"choose {' or '.join(TYPES)}")
        super().__init__(uri, Hypervisor(uri))

    def runtime(self, name: str) -> Mapping[str, str]:
        self._need(name)
        return {}

    def _read(self, xml: str) -> AppVm | None:
        return AppVm.read(xml)

    def _make(self, spec: AppVmSpec, taken: Mapping[int, str], place: Path, tell: Callable[[str], None]) -> str:  # noqa: ARG002 - Xen chooses ids itself
        if spec.domid:
            raise MachineCannot("Xen chooses domain ids itself", "leave out --domid")
        if spec.network:
            raise MachineCannot("AppVMs on Xen have no network yet", "leave out --network")
        if spec.drawing_mib:
            raise MachineCannot("what programs draw in AppVMs on Xen is copied", "leave out --drawing")
        made = image(GUEST, spec.packages, tell)
        disk = place / "disk.img"
        copy_sparsely(made.disk, disk)
        config = {
            "name": spec.name, "domid": 0, "gui_domid": spec.gui_domid, "screen": list(spec.screen),
            "backend": "xen", "guest": "backends.xen.guest",
        }  # fmt: skip
        (place / "vm.json").write_text(json.dumps(config))
        return definition(spec, self._type, made, str(disk), str(place / "agent.img"))


def copy_sparsely(source: Path, target: Path) -> None:
    """Copy a file, its data alone. Raises MachineCannot if it changes meanwhile."""
    with source.open("rb") as old, target.open("wb") as new:
        size = os.fstat(old.fileno()).st_size
        os.truncate(new.fileno(), size)
        at = 0
        while at < size:
            try:
                start = os.lseek(old.fileno(), at, os.SEEK_DATA)
            except OSError:
                return  # nothing but a hole is left
            at = os.lseek(old.fileno(), start, os.SEEK_HOLE)
            while start < at:
                done = _copy(old.fileno(), new.fileno(), start, at - start)
                if done == 0:
                    raise MachineCannot(f"{source} became shorter while it was copied", "make the AppVM again")
                start += done


def _copy(old: int, new: int, at: int, count: int) -> int:
    """Some of `count` bytes at the same place of both; how many, 0 at the end of `old`."""
    try:
        return os.copy_file_range(old, new, count, at, at)
    except OSError as error:
        if error.errno not in _NOT_BETWEEN_THESE:
            raise
    os.lseek(new, at, os.SEEK_SET)
    return os.sendfile(new, old, at, count)
