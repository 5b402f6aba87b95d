"""How long nobody sees a VM's windows while they move from one display to another, and how long the move takes.

A program in a sandboxed AppVM paints numbered frames into all of its windows without end. An observer looks at both
displays as fast as it can and notes which number every window shows. The gap is the time from the last new frame on
the old display to the first moment at which every window is on the new one; below zero, both showed them for so long.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from threading import Thread
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from guid.bench.bed import DESK, Bed
from guid.bench.stats import Distribution
from guid.bench.tiles import COLUMNS, PITCH, SIZE, place
from guid.bench.viewer import Viewer
from guid.config.gui_domains import GuiDomain
from guid.control import Client
from guid.supervisor.daemon import SOCKET_NAME
from guid.xserver import Xvfb
from guiproto.errors import MachineCannot

_NAME: Final = "bench"
_PATIENCE: Final = 60.0
_AFTER: Final = 0.3
"""Seconds that are looked at after a move has been reported."""


class _Eyes:
    """Which frame each of `count` windows shows on a display."""

    def __init__(self, display: str, count: int) -> None:
        self._viewer = Viewer(display)
        self._count = count

    def look(self) -> NDArray[np.uint32]:
        """Numbers, u32 [count]; 0 where no window is."""
        found = []
        for row in range(-(-self._count // COLUMNS)):
            x, y = place(row * COLUMNS)
            width = PITCH[0] * (COLUMNS - 1) + SIZE[0]
            strip = self._viewer.pixels(x, y + SIZE[1] // 2, width, 1)[0]
            found.append(strip[SIZE[0] // 2 :: PITCH[0]])
        return np.concatenate(found)[: self._count]

    def close(self) -> None:
        self._viewer.close()


def swaps(bed: Bed, windows: int, rounds: int, rate: float, tell: Callable[[str], None]) -> dict[str, Any]:
    """The row of that many windows: distributions over `rounds` moves there and as many back."""
    gaps: list[float] = []
    totals: list[float] = []
    with Xvfb(*DESK) as other, _app_vm(bed, windows, rate) as client:
        here = GuiDomain("here", 0, "x11", bed.desk.display)
        there = GuiDomain("there", 32, "x11", other.display)
        eyes = {domain.name: _Eyes(str(domain.display), windows) for domain in (here, there)}
        try:
            end = time.monotonic() + _PATIENCE
            while not eyes["here"].look().all():
                if time.monotonic() > end:
                    raise MachineCannot("the windows do not appear", "is the machine overloaded?")
                time.sleep(0.02)
            for _ in range(rounds):
                for old, new in ((here, there), (there, here)):
                    tell(f"{windows} windows: move {len(gaps) + 1} of {2 * rounds}")
                    gap, total = _move(client, eyes[old.name], eyes[new.name], new)
                    gaps.append(gap)
                    totals.append(total)
        finally:
            for one in eyes.values():
                one.close()
    gone, whole = Distribution.of(gaps), Distribution.of(totals)
    return {
        "windows": windows, "rate_hz": rate, "moves": len(gaps), "gap_p50_ms": gone.p50, "gap_max_ms": gone.max,
        "total_p50_ms": whole.p50, "total_max_ms": whole.max, "gaps_ms": gaps, "totals_ms": totals,
    }  # fmt: skip


def _move(client: Client, old: _Eyes, new: _Eyes, target: GuiDomain) -> tuple[float, float]:
    """Gap and total time, in milliseconds."""
    answers: list[dict[str, Any]] = []
    asking = Thread(target=lambda: answers.append(client.request("swap", names=[_NAME], to=asdict(target))))
    shown, last_frame = _next_frame(old)
    start = time.monotonic()
    asking.start()
    complete = reported = 0.0
    while not reported or time.monotonic() < reported + _AFTER:
        now = time.monotonic()
        if not complete and new.look().all():
            complete = time.monotonic()
        looked = old.look()
        fresh = (looked != shown) & (looked != 0)
        if fresh.any():
            last_frame = now
        shown = looked
        if not reported and not asking.is_alive():
            reported = now
    asking.join()
    if not answers or not answers[0]["swaps"][0]["moved"]:
        raise MachineCannot(f"the windows did not move: {answers}")
    if not complete or shown.any():
        raise MachineCannot("the windows are on the wrong display after the move", "this is a bug")
    return (complete - last_frame) * 1000, (reported - start) * 1000


def _next_frame(eyes: _Eyes) -> tuple[NDArray[np.uint32], float]:
    """What is shown when a new frame has just come, and when that was."""
    before = eyes.look()
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        now, looked = time.monotonic(), eyes.look()
        if (looked != before).any():
            return looked, now
    raise MachineCannot("the program does not paint any more", "has it ended?")


@contextmanager
def _app_vm(bed: Bed, windows: int, rate: float) -> Iterator[Client]:
    """An AppVM with the program in it, shown on the bed's desk; a line to its supervisor."""
    runtime = bed.directory / "run"
    environ = {**os.environ, "DISPLAY": bed.desk.display, "GUID_RUNTIME_DIR": str(runtime)}
    guid = [sys.executable, "-m", "guid.cli.main"]
    program = [sys.executable, "-sP", "-m", "guid.bench.tiles", "--windows", str(windows), "--rate", str(rate)]
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    command = ["env", f"PYTHONPATH={path}", *program]
    started = subprocess.run(
        [*guid, "run", _NAME, "--label", "blue", "--gui-domain", "dom0", "--detach", "--", *command],
        env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if started.returncode:
        raise MachineCannot(f"the AppVM did not start: {started.stderr.strip()}")
    try:
        with Client(runtime / SOCKET_NAME, timeout=None) as client:
            yield client
    finally:
        subprocess.run([*guid, "stop", "--all"], env=environ, capture_output=True, check=False)
