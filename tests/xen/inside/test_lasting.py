"""AppVMs that stay, by the commands that users type: made from the image in the cache, started, listed, removed."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.rig import wait_for
from tests.xen.inside.conftest import BOOT_SECONDS, Guests
from tests.xen.inside.desk import GUID
from tests.xserver import XServer

NAME = "three"
CACHE_DISK = "/dev/vdf"


@pytest.fixture
def environ(guests: Guests, tmp_path: Path) -> Iterator[dict[str, str]]:  # noqa: ARG001 - libvirt has to be there
    """A user's: the cache is a file system of its own."""
    cache, data = Path("/var/tmp/cache"), Path("/var/tmp/data")
    for path in (cache / "odyssey-gui", data):
        path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "ext4", CACHE_DISK, cache / "odyssey-gui"], check=True)
    with XServer(800, 600) as server:
        yield {
            **os.environ,
            "DISPLAY": server.display,
            "GUID_RUNTIME_DIR": str(tmp_path / "run"),
            "XDG_CACHE_HOME": str(cache),
            "XDG_DATA_HOME": str(data),
        }
        _end_supervisor()
    subprocess.run(["umount", cache / "odyssey-gui"], check=True)


def _end_supervisor() -> None:
    """It would show the other AppVMs too, when they start again, before whoever else wants to."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if b"guid.supervisor.daemon" in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGTERM)
                wait_for("the supervisor's end", lambda: not path.exists(), 60)  # noqa: B023 - called at once


def _guid(environ: dict[str, str], *arguments: str) -> str:
    done = subprocess.run([*GUID, *arguments], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_appvm_is_made_started_and_removed(environ: dict[str, str], guests: Guests) -> None:
    guid = partial(_guid, environ)

    def row() -> dict[str, object] | None:
        return next((row for row in json.loads(guid("vm", "list", "--json")) if row["name"] == NAME), None)

    place = Path(environ["XDG_DATA_HOME"]) / "odyssey-gui/vms" / NAME
    guid("vm", "create", NAME, "--backend", "xen", "--label", "green", "--memory", "320M", "--videoram", "64M")
    assert row() == {"name": NAME, "domid": 0, "backend": "xen", "label": "green", "state": "stopped"}
    assert (place / "disk.img").stat().st_blocks * 512 < 2 << 30, "the disk is sparse"
    guid("vm", "start", NAME)
    made = row()
    assert made is not None
    assert made["state"] == "running"
    assert made["domid"] == guests.domid(NAME) != 0
    # Its own system comes up, unlike the other two's; all of it would take minutes.
    wait_for("a word of its system", lambda: "systemd" in guests.console(NAME), BOOT_SECONDS)
    guid("vm", "remove", NAME)
    assert row() is None
    assert not place.exists()
    assert not guests.running(NAME)
