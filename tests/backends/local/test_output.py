"""What an AppVM prints is kept, the newest of it, and never takes more room than it may."""

import os
import subprocess
from pathlib import Path

import pytest

from backends.local.output import MOST_BYTES, finish, keep
from tests.xserver import wait_until


def size(log: Path) -> int:
    """Of both files."""
    return sum(path.stat().st_size for path in log.parent.iterdir())


def test_what_is_printed_can_be_read_at_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    printed, process = keep(log)
    assert log.stat().st_mode & 0o777 == 0o600
    os.write(printed, b"first\n")
    wait_until(lambda: log.read_bytes() == b"first\n", "the first line")
    os.write(printed, b"last, without an end")
    os.close(printed)
    finish(process)
    assert log.read_bytes() == b"first\nlast, without an end"
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_nothing_printed_is_an_empty_file(tmp_path: Path) -> None:
    printed, process = keep(tmp_path / "log")
    os.close(printed)
    finish(process)
    assert (tmp_path / "log").read_bytes() == b""


@pytest.mark.parametrize("line", [b"x" * 511 + b"\n", b"x\n"])
def test_of_a_flood_the_newest_remains(tmp_path: Path, line: bytes) -> None:
    log = tmp_path / "log"
    printed, process = keep(log)
    with os.fdopen(printed, "wb", buffering=0) as stream:
        for number in range(20):
            stream.write(line * 1000)
            stream.write(b"%d\n" % number)
            assert size(log) <= MOST_BYTES
    finish(process)
    assert size(log) <= MOST_BYTES
    assert log.read_bytes().endswith(b"\n19\n")


def test_somebody_who_never_stops_printing_is_not_waited_for(tmp_path: Path) -> None:
    printed, process = keep(tmp_path / "log")
    escaped = subprocess.Popen(["sleep", "600"], stdout=printed)
    os.close(printed)
    finish(process)
    escaped.kill()
    escaped.wait()
    with pytest.raises(ChildProcessError):
        os.waitpid(process.pid, 0)
