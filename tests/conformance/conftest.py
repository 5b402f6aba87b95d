"""Directories whose names are short enough for sockets."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def socket_dir() -> Iterator[Path]:
    """A directory of its own."""
    with tempfile.TemporaryDirectory(prefix="vchan") as name:
        yield Path(name)
