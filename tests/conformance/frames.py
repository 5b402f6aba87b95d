"""A backend whose mapper maps frame numbers: those are pages of the third party's file, its references."""

from collections.abc import Mapping
from pathlib import Path

from backends.base import Backend, MappedPages, PageMapper, Refs
from tests.conformance.third_party import FileBackend, FileMapper


class FrameMapper(FileMapper):
    """As the third party's."""

    def map_frames(self, refs: Refs) -> MappedPages:
        return self.map(refs)


class FrameBackend(FileBackend):
    """With another mapper."""

    def mapper(self, domid: int, peer: int) -> PageMapper:  # noqa: ARG002 - as in FileBackend
        return FrameMapper(self._pages / f"pages.{peer}")


def factory(environ: Mapping[str, str]) -> Backend:
    """What `--backend` names."""
    return FrameBackend(Path(environ["PAGES_DIR"]), Path(environ["VCHAN_SOCKET_DIR"]))
