"""Where a module's attacks take place."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.field import Field
from tests.hostile.served import Served
from tests.xserver import XServer


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """A bystander's window and real workers."""
    with Field(tmp_path_factory.mktemp("field")) as made:
        yield made


@pytest.fixture(scope="module")
def hostile_x() -> Iterator[XServer]:
    with XServer(2048, 1280) as server:
        yield server


@pytest.fixture
def served(hostile_x: XServer) -> Iterator[Served]:
    """Several VMs and a real supervisor."""
    with tempfile.TemporaryDirectory(prefix="hostile") as name:
        with Served(Path(name), hostile_x) as made:
            yield made
