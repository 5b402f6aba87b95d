"""The local backend: every AppVM is a sandbox on this machine, its vchan a Unix socket, its shared pages memfds.

Both sockets lie in $VCHAN_SOCKET_DIR, by default that of Qubes' libvchan-socket, whose programs can be the other end.
"""

import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from backends.base import DOOR, Backend, DomainDriver, MachineCannot, PageMapper, PageSharer, Vchan
from backends.local.approach import Door, keep_door
from backends.local.mapping import LocalMapper
from backends.local.sharing import LocalSharer
from backends.local.sharing import socket_path as pages_path
from backends.local.vchan import DEFAULT_SOCKET_DIR, LocalClient, LocalServer
from backends.local.vchan import socket_path as vchan_path

_MAX_DOMID: Final = 0xFFFF


class LocalBackend(Backend):
    """Everything meets in `socket_dir`, but for clients that have a `door` to the servers of their one peer."""

    name = "local"
    has_door = True
    adopts = True

    def __init__(self, socket_dir: Path, door: Door | None = None) -> None:
        self.socket_dir = socket_dir.absolute()
        self._door = door

    def missing(self, *, domains: bool = False) -> Sequence[str]:
        missing = []
        try:
            os.close(os.memfd_create("probe", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        except (AttributeError, OSError):
            missing.append("The system has no memfd that can be sealed: use Linux 3.17 or later.")
        if not Path("/proc/self/fd").is_dir():
            missing.append("There is no /proc: mount it.")
        if domains:
            missing += _missing_for_domains()
        return missing

    def notes(self) -> Sequence[str]:
        if shutil.which("Xwayland") is not None:
            return ["Xwayland is there: programs of AppVMs draw into shared memory, and nothing is copied in them."]
        return ["No Xwayland: each frame is copied once in its AppVM (apt install xwayland)."]

    def server(self, domid: int, peer: int, port: int) -> Vchan:
        return LocalServer(self.socket_dir, _checked(domid), _checked(peer), port)

    def client(self, domid: int, peer: int, port: int) -> Vchan:
        return LocalClient(self.socket_dir, _checked(peer), _checked(domid), port, door=self._door)

    def sharer(self, domid: int, gui_domid: int) -> PageSharer:
        return LocalSharer(self.socket_dir, _checked(domid), _checked(gui_domid))

    def mapper(self, domid: int, peer: int) -> PageMapper:
        return LocalMapper(self.socket_dir, _checked(domid), _checked(peer), self._door)

    def files(self) -> Sequence[Path] | None:
        return []

    def keep_door(self, outer: socket.socket, domid: int, peer: int, ports: Sequence[int]) -> None:
        vchans = {port: vchan_path(self.socket_dir, peer, domid, port) for port in ports}
        keep_door(outer, vchans, pages_path(self.socket_dir, peer, domid))

    def domains(self, state_dir: Path) -> DomainDriver:
        # Only the supervisor starts domains; workers and agents do without this module.
        from backends.local.domains import LocalDomains

        return LocalDomains(state_dir)


def factory(environ: Mapping[str, str]) -> Backend:
    """The entry point `local`."""
    door = Door(socket.socket(fileno=int(environ[DOOR]))) if DOOR in environ else None
    return LocalBackend(Path(environ.get("VCHAN_SOCKET_DIR") or DEFAULT_SOCKET_DIR), door)


def _checked(domid: int) -> int:
    if not 0 <= domid <= _MAX_DOMID:
        raise MachineCannot(f"there is no domain {domid}", f"domain ids are 0 to {_MAX_DOMID}")
    return domid


def _missing_for_domains() -> Sequence[str]:
    from backends.local import sandbox

    missing = []
    if shutil.which("Xvfb") is None:
        missing.append("Xvfb, the display server of AppVMs, is not installed: apt install xvfb.")
    if shutil.which("bwrap") is None:
        missing.append("bubblewrap, which isolates AppVMs, is not installed: apt install bubblewrap.")
    else:
        try:
            sandbox.probe(sandbox.host_ids(_MAX_DOMID))
        except MachineCannot as lack:
            missing.append(f"User namespaces, which isolate AppVMs, cannot be used ({lack.what}): {lack.remedy}.")
    return missing
