"""MFNDUMP on Xen: a real domain's agent names frames of its own memory, and the desktop shows them. Or it lies."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import old_agent
from tests.e2e.rig import wait_for
from tests.xen.inside.conftest import Guests
from tests.xen.inside.desk import GUID, PATIENCE, Desk

# The domain's real agent keeps its place in xenstore: this one is where a GUI domain 99 would look for it.
_PLACE = 99
_ELSEWHERE = f"""
from backends.xen import vchan
vchan.vchan_path = lambda peer, port: f"data/vchan/{_PLACE}/{{port}}"
"""


@pytest.fixture(params=["one", "two"])
def name(request: pytest.FixtureRequest) -> str:
    """A paravirtualized domain, whose frames are the machine's, and a PVH one, whose frames are its own."""
    return str(request.param)


@pytest.fixture
def log(name: str, desk: Desk, guests: Guests, tmp_path: Path) -> Iterator[Path]:
    """What a guid says that shows the old agent."""
    path = tmp_path / "log"
    with path.open("wb") as file:
        process = subprocess.Popen(
            [
                *GUID, "attach", "--backend", "xen", "--domid", str(guests.domid(name)), "--gui-domid", str(_PLACE),
                "--name", "old", "--label", "green",
            ],
            env=desk.environ, stdin=subprocess.DEVNULL, stderr=file,
        )  # fmt: skip
    yield path
    process.terminate()
    process.wait()


def test_old_agents_frames(name: str, desk: Desk, guests: Guests, log: Path) -> None:
    keep, frames_of_dom0 = old_agent.own_memory(old_agent.noise())
    script = _ELSEWHERE + Path(old_agent.__file__).read_text()
    with guests.conversation(name, "python3", "-c", script, "xen", str(guests.domid(name)), "0") as (say, hear):
        say("null\n")
        said = json.loads(hear())
        own: list[int] = said["frames"]
        assert len(own) == old_agent.PAGES
        window = desk.window("old", "old")

        def look() -> bool:
            shown = desk.screen.pixels(window["x"], window["y"], window["width"], window["height"])
            return hashlib.sha256(shown.astype("<u4").tobytes()).hexdigest() == str(said["sum"])

        wait_for("equal pixels", look, PATIENCE)
        assert window["copies_per_frame"] == 1
        lies = {
            "no memory": 0xFFFFFFFF,
            "behind all memory": 0x0FFFFFFF,
            "a processor's own registers": 0xFEE00,
            "the firmware's": 0xFFFFF,
            "dom0's": frames_of_dom0[3],
        }
        os.kill(next(row["worker_pid"] for row in desk.json("ps") if row["name"] == "old"), signal.SIGKILL)
        for number, (what, frame) in enumerate(lies.items()):
            say(json.dumps([*own[:3], frame, *own[4:]]) + "\n")
            hear()
            wait_for(
                f"the end of a session with {what} ({frame:#x})",
                lambda number=number: log.read_text().count("session ended: frame number: ") > number,  # type: ignore[misc]
                PATIENCE,
            )
    del keep
    assert "1 of 30 frames cannot be mapped" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert {desk.state(vm) for vm in guests.kinds} == {"connected"}, "nobody else noticed"
