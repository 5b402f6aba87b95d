"""Sources are found by name."""

import pytest

from guiagent.sources import registry
from guiproto.errors import MachineCannot


def test_every_listed_source_can_be_loaded() -> None:
    for name in registry.SOURCES:
        assert callable(registry.load(name))


def test_an_unknown_source_is_named_with_the_known_ones() -> None:
    with pytest.raises(MachineCannot, match=r"'beos'.*x11"):
        registry.load("beos")
