"""A backend as a third party would write one: `--backend tests.conformance.third_party:factory`.

Each domain keeps its pages in one plain file, `$PAGES_DIR/pages.<domid>`, and a page reference is the number of a page
in that file. Nothing keeps the domain from truncating the file, so this process never touches the bytes: the display
server reads them, and survives that. The vchan is the local backend's.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from backends.base import (
    Backend,
    MachineCannot,
    MappedPages,
    PageMapper,
    PageSharer,
    PeerMisbehaved,
    Refs,
    SharedPages,
    Vchan,
)
from backends.local.vchan import DEFAULT_SOCKET_DIR, LocalClient, LocalServer
from guiproto.limits import PAGE_SIZE
from shm.allocator import Allocator, Buffer
from shm.region import Region

FILE_BYTES = 512 * 1024 * 1024
"""Size of a domain's file; it is sparse."""


class FileSharer(PageSharer):
    """Owns the file, which goes with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.ftruncate(fd, FILE_BYTES)
        self._file: Region | None = Region(fd, FILE_BYTES)
        self._allocator = Allocator(self._whole_file, region_bytes=FILE_BYTES)

    def _whole_file(self, size: int) -> Region:
        if self._file is None or size > FILE_BYTES:
            raise MachineCannot(f"{self._path} is full", "close some windows")
        region, self._file = self._file, None
        return region

    def allocate(self, length: int) -> SharedPages:
        buffer = self._allocator.allocate(length)
        first = buffer.offset // PAGE_SIZE
        refs = np.arange(first, first + buffer.length // PAGE_SIZE, dtype=np.uint32)
        return SharedPages(buffer.region, buffer.offset, buffer.length, refs)

    def release(self, pages: SharedPages) -> None:
        self._allocator.release(Buffer(pages.region, pages.offset, pages.length))

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._allocator.close()
        if self._file is not None:
            self._file.close()


class FileMapper(PageMapper):
    """Finds pages in another domain's file, which may be anything by now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Region | None = None
        self._users = 1

    def map(self, refs: Refs) -> MappedPages:
        region = self._file = self._file or self._open()
        if len(refs) == 0 or np.any(refs[1:] != refs[:-1] + np.uint32(1)):
            raise PeerMisbehaved("page reference", "the pages are not in a row")
        first = int(refs[0])
        if first + len(refs) > min(region.size, os.fstat(region.fd).st_size) // PAGE_SIZE:
            raise PeerMisbehaved("page reference", f"page {first} and {len(refs)} more are not in the file")
        self._users += 1
        released = False

        def release() -> None:
            nonlocal released
            if not released:
                released = True
                self._leave()

        return MappedPages(region, first * PAGE_SIZE, len(refs) * PAGE_SIZE, None, 0, release)

    def _open(self) -> Region:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise PeerMisbehaved("page reference", f"the domain shares no pages: {error.strerror}") from None
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise PeerMisbehaved("page sharing", "the domain's pages are no plain file")
        return Region(fd, status.st_size)

    def close(self) -> None:
        if self._path != Path():
            self._path = Path()
            self._leave()

    def _leave(self) -> None:
        self._users -= 1
        if self._users == 0 and self._file is not None:
            self._file.close()


class FileBackend(Backend):
    """Pages in files of `pages`, vchans in `sockets`."""

    name = "files"

    def __init__(self, pages: Path, sockets: Path) -> None:
        self._pages = pages
        self._sockets = sockets

    def missing(self, *, domains: bool = False) -> Sequence[str]:
        return ["This backend starts no domains: start them yourself."] if domains else []

    def server(self, domid: int, peer: int, port: int) -> Vchan:
        return LocalServer(self._sockets, domid, peer, port)

    def client(self, domid: int, peer: int, port: int) -> Vchan:
        return LocalClient(self._sockets, peer, domid, port)

    def sharer(self, domid: int, gui_domid: int) -> PageSharer:  # noqa: ARG002 - every GUI domain finds the same file
        return FileSharer(self._pages / f"pages.{domid}")

    def mapper(self, domid: int, peer: int) -> PageMapper:  # noqa: ARG002 - see above
        return FileMapper(self._pages / f"pages.{peer}")


def factory(environ: Mapping[str, str]) -> Backend:
    """What `--backend` names."""
    if "PAGES_DIR" not in environ:
        raise MachineCannot("PAGES_DIR is not set", "set it to a directory that the AppVM and the GUI domain share")
    return FileBackend(Path(environ["PAGES_DIR"]), Path(environ.get("VCHAN_SOCKET_DIR") or DEFAULT_SOCKET_DIR))
