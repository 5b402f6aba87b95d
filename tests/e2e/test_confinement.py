"""A worker that an AppVM has taken over: what it tries fails, in the worker itself, and its windows are shown still."""

import json
from pathlib import Path

import pytest

from guid.sandbox import landlock, seccomp
from tests.conformance.burglar import attempts
from tests.e2e.rig import Rig, wait_for

UNSURE = {
    "start a program", "trace", "signal another", "have privileges of its own",
    "command the supervisor", "command it by an orphan",
}  # fmt: skip
"""What even the workers of a backend cannot do that does not know what it needs."""


def outcomes(rig: Rig, factory: str) -> dict[str, str]:
    """What became of each attempt."""
    rig.backend = f"tests.conformance.burglar:{factory}"
    log = rig.directory / "guid.log"
    rig.start_agent()
    rig.start_daemon()
    found = wait_for("the burglar's report", lambda: _report(log))
    rig.start_app("xclock", "-name", "clock")
    row = rig.wait_window("clock")
    wait_for("equal pixels", lambda: rig.same_pixels(row["remote_id"]))
    return found


def _report(log: Path) -> dict[str, str] | None:
    for line in log.read_text().splitlines() if log.exists() else ():
        if "burglar: " in line:
            found: dict[str, str] = json.loads(line.partition("burglar: ")[2])
            return found
    return None


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
@pytest.mark.skipif(not seccomp.available(), reason="there is no libseccomp: apt install libseccomp2")
def test_a_worker_can_do_nothing_but_show_its_windows(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        found = outcomes(rig, "factory")
    assert found.keys() == attempts(1, "").keys()
    assert set(found.values()) <= {"EPERM", "EACCES"}, found


@pytest.mark.skipif(not seccomp.available(), reason="there is no libseccomp: apt install libseccomp2")
def test_a_backend_that_does_not_know_what_it_needs_can_still_start_nothing(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        found = outcomes(rig, "unsure")
        log = rig.log("guid")
    assert {name: found[name] for name in UNSURE} == dict.fromkeys(UNSURE, "EPERM")
    assert {found[name] for name in ("read a file", "connect to the supervisor", "fork")} == {"done"}
    assert "is refused at the control socket: it serves a VM" in log
