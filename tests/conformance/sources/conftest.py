"""Every test that takes `guest` runs once for each source of windows."""

from collections.abc import Iterator

import pytest

from tests.conformance.sources.guest import Guest, Program
from tests.xserver import XServer


@pytest.fixture(scope="session")
def guest_x() -> Iterator[XServer]:
    with XServer(1024, 768) as server:
        yield server


@pytest.fixture(params=["x11"])
def guest(request: pytest.FixtureRequest, guest_x: XServer) -> Iterator[Guest]:
    with Guest(request.param, guest_x.display) as guest:
        yield guest


@pytest.fixture(params=["x11"])
def own_guest(request: pytest.FixtureRequest) -> Iterator[tuple[Guest, Program]]:
    """For tests that leave a server behind that is of no use to others."""
    with XServer(400, 300) as server, Guest(request.param, server.display) as guest:
        program = Program(server.display)
        yield guest, program
        program.close()


@pytest.fixture
def program(guest_x: XServer) -> Iterator[Program]:
    made = Program(guest_x.display)
    yield made
    made.close()
