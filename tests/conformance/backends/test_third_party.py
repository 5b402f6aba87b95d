"""A backend that this project does not know passes the same suite, and its memory may go away under the display."""

import os
from pathlib import Path

import numpy as np
import pytest
from Xlib import X

from backends import registry
from backends.base import Backend, MachineCannot, PeerMisbehaved
from backends.conformance import check_pages, check_vchan, page_maker, vchan_maker
from guiproto.limits import PAGE_SIZE
from shm.xconn import XConnection
from shm.xshm import ShmPath
from tests.conformance.third_party import FILE_BYTES
from tests.xserver import XServer

SPEC = "tests.conformance.third_party:factory"


@pytest.fixture
def backend(socket_dir: Path) -> Backend:
    environ = {"PAGES_DIR": str(socket_dir / "pages"), "VCHAN_SOCKET_DIR": str(socket_dir)}
    return registry.load(SPEC, environ)


def test_it_says_what_it_needs() -> None:
    with pytest.raises(MachineCannot, match="PAGES_DIR"):
        registry.load(SPEC, {})


def test_vchan(backend: Backend) -> None:
    check_vchan(vchan_maker(backend))


def test_pages(backend: Backend) -> None:
    check_pages(page_maker(backend))


def test_the_file_is_all_there_is(backend: Backend, socket_dir: Path) -> None:
    sharer = backend.sharer(7, 0)
    pages = sharer.allocate(3 * PAGE_SIZE)
    assert (socket_dir / "pages" / "pages.7").stat().st_size == FILE_BYTES
    assert pages.refs.tolist() == [0, 1, 2]
    sharer.close()
    assert list((socket_dir / "pages").iterdir()) == []


def test_a_domain_that_truncates_its_pages_hurts_only_its_own_picture(backend: Backend, socket_dir: Path) -> None:
    sharer, mapper = backend.sharer(7, 0), backend.mapper(0, 7)
    pages = sharer.allocate(64 * 64 * 4)
    mapped = mapper.map(pages.refs)
    assert mapped.region is not None
    with XServer(200, 200) as server:
        connection = XConnection(server.display)
        root = connection.display.screen().root
        context = root.create_gc()
        shm = ShmPath(connection, read_only=True)
        segment = shm.attach(mapped.region)
        os.truncate(socket_dir / "pages" / "pages.7", 0)
        whole = np.array([[0, 0, 64, 64]], np.int32)
        shm.put(root.id, context.id, 24, segment, mapped.offset, (64, 64), whole)
        connection.sync()
        root.get_image(0, 0, 64, 64, X.ZPixmap, 0xFFFFFFFF)
        connection.close()
    with pytest.raises(PeerMisbehaved, match="not in the file"):
        mapper.map(pages.refs)
    mapped.release()
    mapper.close()
    sharer.close()
