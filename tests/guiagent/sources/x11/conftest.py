"""One X server for the tests of the parts."""

from collections.abc import Iterator

import pytest

from shm.xconn import XConnection
from tests.conformance.sources.guest import Program
from tests.xserver import XServer


@pytest.fixture(scope="session")
def x_server() -> Iterator[XServer]:
    with XServer(300, 200) as server:
        yield server


@pytest.fixture
def connection(x_server: XServer) -> Iterator[XConnection]:
    made = XConnection(x_server.display)
    yield made
    made.close()


@pytest.fixture
def program(x_server: XServer) -> Iterator[Program]:
    made = Program(x_server.display)
    yield made
    made.close()
