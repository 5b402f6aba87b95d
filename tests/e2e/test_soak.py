"""A minute of everything at once; the command does it for longer."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(400)
def test_nothing_is_lost(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "guid.cli.main", "soak", "--minutes", "1", "--vms", "2", "--seed", "1"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing was lost" in done.stdout
