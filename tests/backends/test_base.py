"""What the contracts do by default: refuse, and say why."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

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
    as_refs,
)


class LeastSharer(PageSharer):
    def allocate(self, length: int) -> SharedPages:
        raise MachineCannot(f"{length} bytes are too many")

    def release(self, pages: SharedPages) -> None: ...

    def close(self) -> None: ...


class LeastMapper(PageMapper):
    def map(self, refs: Refs) -> MappedPages:
        raise PeerMisbehaved("page reference", str(refs))

    def close(self) -> None: ...


class LeastBackend(Backend):
    name = "least"

    def missing(self, *, domains: bool = False) -> Sequence[str]:
        return [f"It lacks everything (domains: {domains})."]

    def server(self, domid: int, peer: int, port: int) -> Vchan:
        raise MachineCannot(f"no server {domid} {peer} {port}")

    client = server

    def sharer(self, domid: int, gui_domid: int) -> PageSharer:
        raise MachineCannot(f"no sharer {domid} {gui_domid}")

    def mapper(self, domid: int, peer: int) -> PageMapper:
        raise MachineCannot(f"no mapper {domid} {peer}")


def test_a_sharer_need_not_adopt_and_has_nothing_to_publish() -> None:
    with pytest.raises(MachineCannot, match="LeastSharer cannot share memory that it did not allocate"):
        LeastSharer().adopt(0, 0, 4096)
    LeastSharer().publish()


def test_a_mapper_need_not_know_frame_numbers() -> None:
    with pytest.raises(PeerMisbehaved, match="MFNDUMP"):
        LeastMapper().map_frames(np.zeros(1, np.uint32))


def test_a_backend_need_not_start_domains() -> None:
    with pytest.raises(MachineCannot, match="backend least starts no domains"):
        LeastBackend().domains(Path("/"))


def test_references_are_contiguous_u32() -> None:
    for pages in ([1, 2, 3], range(1, 4), np.array([1, 9, 2, 9, 3], np.int64)[::2]):
        refs = as_refs(pages)
        assert refs.dtype == np.uint32
        assert refs.flags.c_contiguous
        assert refs.tolist() == [1, 2, 3]
