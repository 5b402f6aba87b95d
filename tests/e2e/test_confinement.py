"""A worker that an AppVM has taken over: what it tries fails, in the worker itself, and its windows are shown still."""

import json
import time
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


def test_a_worker_that_shouts_without_end_is_ended_each_time_later_and_the_supervisor_answers(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        rig.backend = "tests.conformance.burglar:shouter"
        rig.start_daemon()
        rig.backend = "local"
        rig.start_agent()
        answers = []

        def restarted() -> bool:
            began = time.monotonic()
            row = rig.vm() if list((tmp_path / "run").glob("*.sock")) else {"restarts": 0}
            answers.append(time.monotonic() - began)
            return bool(row["restarts"] >= 4)

        wait_for("the fourth end", restarted, 60)
        log = rig.log("guid")
    lines = [line for line in log.splitlines() if "said too much" in line]
    said = [f"its worker said too much, and was ended; again in {pause} s" for pause in ("0.25", "0.5", "1", "2")]
    assert [line.partition("work: ")[2] for line in lines][:4] == said
    assert len(log.splitlines()) < 300
    assert max(answers) < 5
