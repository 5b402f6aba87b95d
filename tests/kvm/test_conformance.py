"""The backend between this machine and real guests: vchans and pages do what every backend's must."""

import itertools
from functools import partial

import numpy as np
import pytest

from backends.base import PeerMisbehaved
from backends.conformance import PageEnds, VchanEnds, check_pages, check_vchan, waiting
from backends.conformance.pages import seen
from tests.kvm.rig import CHECKS_PORT, NAMES, Guests, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no virtual machines here: {why_not()}"),
    pytest.mark.timeout(1200),
]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call in the guest is a message there and back, through an emulated processor."""
    monkeypatch.setattr(waiting, "DEADLINE", 120.0)


def test_vchan(rig: Guests) -> None:
    here = rig.backend_for("one")
    with rig.far("one") as guest:
        check_vchan(lambda: VchanEnds(guest.server(1, 0, CHECKS_PORT), lambda: here.client(0, 1, CHECKS_PORT)))


def test_frames_of_the_guests_own_memory(rig: Guests) -> None:
    """The guest's kernel says where a page is, as an agent that sends frame numbers would."""
    here = rig.backend_for("two")
    script = (
        "import ctypes, mmap, os, struct, sys\n"
        "page = mmap.mmap(-1, 4096)\n"
        "page.write(b'from the guest')\n"
        "address = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
        "entry = os.pread(os.open('/proc/self/pagemap', os.O_RDONLY), 8, address // 4096 * 8)\n"
        "print(struct.unpack('Q', entry)[0] & (1 << 55) - 1, flush=True)\n"
        "sys.stdin.readline()\n"
        "page[:14] = b'and once again'\n"
        "print(flush=True)\n"
        "sys.stdin.readline()\n"
    )
    with rig.conversation("two", "sudo", "python3", "-c", script) as (say, hear):
        frame = int(hear())
        mapper = here.mapper(0, 2)
        mapped = mapper.map_frames(np.array([frame], np.uint32))
        assert mapped.copies == 0
        assert seen(mapped)[:14] == b"from the guest"
        say("\n")
        hear()
        assert seen(mapped)[:14] == b"and once again"
        mapper.close()
        mapped.release()
    other = rig.backend_for("one").mapper(0, 1)
    with pytest.raises(PeerMisbehaved, match="MFNDUMP"):
        other.map_frames(np.array([frame], np.uint32))
    other.close()


def test_pages(rig: Guests) -> None:
    """Pairs of domains are the two guests in turn."""
    here = [rig.backend_for(name) for name in NAMES]
    with rig.far("one") as one, rig.far("two") as two:
        pairs = itertools.cycle(
            PageEnds(guest.sharer(domid, 0), partial(backend.mapper, 0, domid))
            for domid, guest, backend in zip((1, 2), (one, two), here, strict=True)
        )
        check_pages(lambda: next(pairs))
