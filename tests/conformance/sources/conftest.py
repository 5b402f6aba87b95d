"""Every test that takes `guest` runs once for each source of windows."""

from collections.abc import Iterator

import pytest

from tests.conformance.sources.guest import Guest, Program
from tests.xserver import SERVERS, XServer


@pytest.fixture(scope="session", params=SERVERS)
def source_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def guest_x(source_name: str) -> Iterator[XServer]:
    with SERVERS[source_name](1024, 768) as server:
        yield server


@pytest.fixture
def guest(source_name: str, guest_x: XServer) -> Iterator[Guest]:
    with Guest(source_name, guest_x.display) as guest:
        yield guest


@pytest.fixture
def own_server(source_name: str) -> Iterator[XServer]:
    with SERVERS[source_name](400, 300) as server:
        yield server


@pytest.fixture
def own_guest(source_name: str, own_server: XServer) -> Iterator[tuple[Guest, Program]]:
    """For tests that leave a server behind that is of no use to others."""
    with Guest(source_name, own_server.display) as guest:
        program = Program(own_server.display)
        yield guest, program
        program.close()


@pytest.fixture
def program(guest_x: XServer) -> Iterator[Program]:
    made = Program(guest_x.display)
    yield made
    made.close()
