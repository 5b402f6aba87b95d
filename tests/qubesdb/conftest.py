"""Daemons for tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.qubesdb.rig import House


@pytest.fixture
def house() -> Iterator[House]:
    """One VM's daemons, none started."""
    with tempfile.TemporaryDirectory(prefix="qdb") as name:
        made = House(Path(name) / "vm")
        yield made
        made.close()
