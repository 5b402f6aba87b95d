"""A server that lacks something is told apart by name."""

from pathlib import Path

import pytest

from guiagent.sources.x11.source import X11Source
from guiproto.errors import MachineCannot
from tests.guiagent.fakes import MemorySharer
from tests.xserver import XServer


@pytest.mark.parametrize("name", ["Composite", "DAMAGE", "XTEST"])
def test_a_missing_extension(name: str, tmp_path: Path) -> None:
    with XServer(64, 64, log_dir=tmp_path, arguments=("-extension", name)) as server:
        with pytest.raises(MachineCannot, match=name):
            X11Source(server.display, MemorySharer())


def test_a_second_agent_on_one_display() -> None:
    with XServer(64, 64) as server:
        first = X11Source(server.display, MemorySharer())
        with pytest.raises(MachineCannot, match="redirected"):
            X11Source(server.display, MemorySharer())
        first.close()
        X11Source(server.display, MemorySharer()).close()
