"""Checks that are meant to fail need not wait as long as those that must not, and leave things open."""

import gc
from collections.abc import Iterator

import pytest

from backends.conformance import waiting


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give up early; and let warnings about what was left open come here, and not out of another test."""
    monkeypatch.setattr(waiting, "DEADLINE", 0.5)
    yield
    gc.collect()
