"""Limits as a user has them: set in guid.toml, told of once on the desktop, shown by `guid ps --limits`."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from backends.local import LocalBackend
from guid.bench.synthetic import SyntheticAgent, damage_messages
from guiproto.messages import Create, Dock
from tests.e2e.rig import Rig, wait_for

RATE = 2000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """With a notify-send that writes its arguments into the file `shown`."""
    with Rig(tmp_path) as made:
        program = tmp_path / "bin" / "notify-send"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/shown\n')
        program.chmod(0o755)
        made.environ["PATH"] = f"{program.parent}:{os.environ['PATH']}"
        made.environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={tmp_path}/none"
        yield made


@pytest.fixture
def agent(rig: Rig) -> Iterator[SyntheticAgent]:
    """That of a VM with small limits, connected to a real worker."""
    configure(rig, max_windows=10, max_window_memory=16, max_tray_icons=1, max_message_rate=RATE)
    made = SyntheticAgent(LocalBackend(rig.directory / "vchan"), rig.domid, 0)
    try:
        rig.start_daemon()
        made.connect()
        yield made
    finally:
        made.close()


def configure(rig: Rig, **limits: int) -> None:
    lines = "".join(f"{name} = {value}\n" for name, value in limits.items())
    (rig.directory / "guid.toml").write_text(f"[vm.work]\n{lines}")


def guid(rig: Rig, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "guid.cli.main", *arguments],
        env=rig.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def usage(rig: Rig) -> dict[str, Any]:
    (row,) = json.loads(guid(rig, "ps", "--limits", "--json"))
    return dict(row)


def shown(rig: Rig) -> list[str]:
    file = rig.directory / "shown"
    return file.read_text().splitlines() if file.exists() else []


def create(agent: SyntheticAgent, first: int, count: int) -> None:
    for number in range(first, first + count):
        agent.tell(Create(number, 10, 10, 22, 22, 0, 0))
    agent.settle()


def test_a_limit_is_told_once_and_a_larger_one_counts_at_once(rig: Rig, agent: SyntheticAgent) -> None:
    create(agent, 1, 15)
    said = "it has 10 windows, and may have no more: further ones are not shown (max_windows in guid.toml)"
    wait_for("the notification", lambda: len(shown(rig)) == 1)
    assert shown(rig)[0].endswith(f"-- work {said}")
    assert usage(rig)["max_windows"] == {"used": 10, "most": 10, "reached": True}
    row = " ".join(guid(rig, "ps", "--limits").splitlines()[1].split())
    assert re.fullmatch(rf"work 10 of 10 0 of 16 0 of 1 \d+ of {RATE} max_windows", row)
    create(agent, 16, 15)

    configure(rig, max_windows=13)
    assert "max_windows" in guid(rig, "config", "reload")
    create(agent, 31, 2)
    assert usage(rig)["max_windows"] == {"used": 12, "most": 13, "reached": False}
    create(agent, 33, 2)
    wait_for("the notification of the new limit", lambda: len(shown(rig)) == 2)
    assert [line.partition(": ")[2] for line in rig.log("guid").splitlines() if "windows, and may" in line] == [
        f"work: {said}",
        f"work: {said.replace('10', '13')}",
    ]


def test_window_memory_and_icons(rig: Rig, agent: SyntheticAgent) -> None:
    agent.window(1, 10, 10, 1000, 1000)
    for number, side in ((2, 2000), (3, 1000)):
        agent.tell(Create(number, 10, 10, side, side, 0, 0))
        agent.dump(number, side, side, agent.share(4 * side * side))
    create(agent, 4, 2)
    agent.tell(Dock(4), Dock(5))
    agent.settle()
    row = wait_for("both", lambda: usage(rig) if len(shown(rig)) == 2 else None)
    assert row["max_window_memory"] == {"used": 8, "most": 16, "reached": True}, "the small ones have their pixels"
    assert row["max_tray_icons"] == {"used": 1, "most": 1, "reached": True}
    assert row["max_windows"]["reached"] is False
    assert "its windows take the 16 MiB that they may take: some stay empty (max_window_memory" in rig.log("guid")


def test_who_sends_too_much_is_read_more_slowly_and_still_served(rig: Rig, agent: SyntheticAgent) -> None:
    pages = agent.window(1, 50, 50, 160, 120)
    flood = damage_messages(1, rects := _rects(500))
    began, count = time.monotonic(), 0
    while count < 6 * RATE:
        agent.send(flood)
        count += len(rects)
    agent.pixels(pages, 160, 120)[:] = 0x123456
    agent.send(flood)
    agent.settle()
    took = time.monotonic() - began
    assert count <= RATE * (1 + took)
    assert wait_for("the notification", lambda: shown(rig))[0].endswith(
        f"it sends more than {RATE} messages a second, and is shown more slowly (max_message_rate in guid.toml)"
    )
    row = rig.wait_window("")
    wait_for("its pixels", lambda: bool((rig.content(row) == 0x123456).all()))
    assert usage(rig)["max_message_rate"]["reached"] is True


def _rects(count: int) -> NDArray[np.int32]:
    return np.tile(np.array([[0, 0, 160, 120]], np.int32), (count, 1))
