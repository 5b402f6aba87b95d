"""The checks span two processes that share nothing but the backend: every other end is made and used by the far one."""

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.base import Backend
from backends.conformance import FarDomain, PageEnds, VchanEnds, check_pages, check_vchan, far_domain
from backends.local import factory


@pytest.fixture
def backend(socket_dir: Path) -> Backend:
    return factory({"VCHAN_SOCKET_DIR": str(socket_dir)})


@pytest.fixture
def far(socket_dir: Path) -> Iterator[FarDomain]:
    command = [sys.executable, "-m", "backends.conformance.far_end", "local"]
    with far_domain(["env", f"VCHAN_SOCKET_DIR={socket_dir}", f"PYTHONPATH={os.getcwd()}", *command]) as domain:
        yield domain


@pytest.mark.parametrize("server_is_far", [True, False])
def test_vchan(backend: Backend, far: FarDomain, *, server_is_far: bool) -> None:
    ports = itertools.count(7000)

    def make() -> VchanEnds:
        port = next(ports)
        if server_is_far:
            return VchanEnds(far.server(9, 0, port), lambda: backend.client(0, 9, port))
        return VchanEnds(lambda: backend.server(9, 0, port), far.client(0, 9, port))

    check_vchan(make)


def test_pages(backend: Backend, far: FarDomain) -> None:
    domids = itertools.count(9)

    def make() -> PageEnds:
        domid = next(domids)
        return PageEnds(far.sharer(domid, 0), lambda: backend.mapper(0, domid))

    check_pages(make)
