"""The part of xenstore that a vchan needs: where a server is, when that changes, and whether its domain still lives."""

import contextlib
from typing import Final

from backends.xen.libxen import ffi, libc, library, trouble
from guiproto.errors import MachineCannot

_READ: Final = 1
_RELEASE: Final = "@releaseDomain"
"""xenstored touches it when a domain has gone; only a privileged domain may watch it."""


def vchan_path(peer: int, port: int, server: int | None = None) -> str:
    """Where a server for clients of domain `peer` tells of itself; `server` is its domain, None if it is this one."""
    path = f"data/vchan/{peer}/{port}"
    return path if server is None else f"/local/domain/{server}/{path}"


class Store:
    """A connection to xenstore. Watching takes a thread of libxenstore's, so a process that has one must not fork."""

    def __init__(self) -> None:
        """Raises MachineCannot."""
        self._library = library("store")
        self._handle = self._library.xs_open(0)
        if self._handle == ffi().NULL:
            raise MachineCannot(f"cannot connect to xenstore: {trouble()}", "is this a Xen domain, with xenfs mounted?")

    def own_domid(self) -> int:
        """This domain's id; 0 where xenstore does not say, which is dom0."""
        text = self.read("domid")
        return int(text) if text is not None and text.isdecimal() else 0

    def read(self, path: str) -> str | None:
        """The value, None if there is none."""
        length = ffi().new("unsigned *")
        found = self._library.xs_read(self._handle, 0, path.encode(), length)
        if found == ffi().NULL:
            return None
        try:
            return bytes(ffi().buffer(found, length[0])).decode(errors="replace")
        finally:
            libc().free(found)

    def write(self, path: str, value: str) -> None:
        """Set a value. Raises MachineCannot."""
        data = value.encode()
        if not self._library.xs_write(self._handle, 0, path.encode(), data, len(data)):
            raise MachineCannot(f"cannot write {path} in xenstore: {trouble()}")

    def permit(self, path: str, domid: int) -> None:
        """Let another domain read a value of ours. Raises MachineCannot."""
        rights = ffi().new("struct xs_permissions[]", [(self.own_domid(), 0), (domid, _READ)])
        if not self._library.xs_set_permissions(self._handle, 0, path.encode(), rights, 2):
            raise MachineCannot(f"cannot let domain {domid} read {path} in xenstore: {trouble()}")

    def watch(self, path: str) -> None:
        """Have `fileno` poll readable when `path` changes; once at once. Raises MachineCannot."""
        if not self._library.xs_watch(self._handle, path.encode(), path.encode()):
            raise MachineCannot(f"cannot watch {path} in xenstore: {trouble()}")

    def watch_domains(self) -> None:
        """The same when a domain goes, if we may know that."""
        with contextlib.suppress(MachineCannot):
            self.watch(_RELEASE)

    def fileno(self) -> int:
        """Polls readable when a watch has something to tell."""
        return int(self._library.xs_fileno(self._handle))

    def drain(self) -> bool:
        """Forget what watches have told; whether they had."""
        told = False
        while (event := self._library.xs_check_watch(self._handle)) != ffi().NULL:
            libc().free(event)
            told = True
        return told

    def lives(self, domid: int) -> bool:
        """Whether the domain exists; True also where we may not know."""
        return domid == 0 or bool(self._library.xs_is_domain_introduced(self._handle, domid))

    def close(self) -> None:
        """Hang up. May be called twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._library.xs_close(handle)
