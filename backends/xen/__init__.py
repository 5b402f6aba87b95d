"""The Xen backend: vchans of libxenvchan, pages by grants, domains by libvirt.

Vchans and pages take no settings: domains find each other by their ids, through xenstore.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from backends.base import Backend, DomainDriver, PageMapper, PageSharer, Vchan
from backends.machines.places import data_dir
from backends.xen import libxen
from backends.xen.mapping import XenMapper
from backends.xen.sharing import XenSharer
from backends.xen.vchan import XenClient, XenServer

_DEVICES: Final = ("evtchn", "gntdev", "xenbus")
_CAPABILITIES: Final = Path("/proc/xen/capabilities")
_DEVICE_DIRECTORY: Final = Path("/dev/xen")


class XenBackend(Backend):
    """This domain of a Xen."""

    name = "xen"
    makes_lasting = True

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def missing(self, *, domains: bool = False) -> Sequence[str]:
        found = [] if _DEVICE_DIRECTORY.is_dir() else ["This is no Xen domain: there is no /dev/xen."]
        if not found:
            found = [
                f"/dev/xen/{device} is not there: modprobe xen-{device}."
                for device in _DEVICES
                if not (_DEVICE_DIRECTORY / device).exists()
            ]
        found += libxen.missing()
        if domains and not is_privileged():
            found.append("This is not dom0, which alone starts domains.")
        return found

    def notes(self) -> Sequence[str]:
        if self.missing():
            return []
        from backends.xen.notes import notes

        return notes(privileged=is_privileged())

    def prepare(self) -> None:
        libxen.missing()  # loads all that are there; to find them, programs have to be run

    def server(self, domid: int, peer: int, port: int) -> Vchan:  # noqa: ARG002 - it is this domain
        return XenServer(peer, port)

    def client(self, domid: int, peer: int, port: int) -> Vchan:
        return XenClient(peer, domid, port)

    def sharer(self, domid: int, gui_domid: int) -> PageSharer:  # noqa: ARG002 - it is this domain
        return XenSharer(gui_domid)

    def mapper(self, domid: int, peer: int) -> PageMapper:  # noqa: ARG002 - it is this domain
        return XenMapper(peer, frames=is_privileged())

    def domains(self, state_dir: Path) -> DomainDriver:  # noqa: ARG002 - libvirt keeps everything
        from backends.xen.domains import XenDomains

        return XenDomains(self._environ)

    def keeps(self, name: str) -> bool:
        return (data_dir() / "vms" / name / "disk.img").exists()


def is_privileged() -> bool:
    """Whether this is dom0."""
    try:
        return "control_d" in _CAPABILITIES.read_text()
    except OSError:
        return False


def factory(environ: Mapping[str, str]) -> Backend:
    """The entry point `xen`."""
    return XenBackend(environ)
