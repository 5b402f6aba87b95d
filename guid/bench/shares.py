"""Whether VMs that all paint at once get equal shares of the desktop.

Every VM is a synthetic agent in a process of its own with a real worker; their windows lie side by side. Each offers
frames on a fixed schedule, all together several times more than one VM alone gets painted, so that the processors and
the desktop's X server are what they compete for.
"""

import contextlib
import math
import multiprocessing
import os
import signal
import time
from typing import Any, Final

import numpy as np

from backends.base import SharedPages
from guid.bench.bed import AT_FULL_SPEED, DESK, Bed, windows_of
from guid.bench.synthetic import SyntheticAgent, damage_messages
from guid.worker.child import Child

_FIRST_DOMID: Final = 100
_LARGEST: Final = (640, 360)
_GAP: Final = 16
"""Pixels between windows: room for their borders."""
_OFFERED_PER_S: Final = 24_000
"""Frames of all VMs together: more than one desktop takes, few enough for the generators to share two processors."""


def shares(bed: Bed, vms: int, seconds: float) -> dict[str, Any]:
    """Frames per second of `vms` VMs: in all, of the one with the fewest and the most, and Jain's index."""
    fork = multiprocessing.get_context("fork")
    with contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(bed.synthetic(_FIRST_DOMID + number, AT_FULL_SPEED)) for number in range(vms)]
        for (_, agent), place in zip(pairs, places(vms), strict=True):
            noise(agent, agent.window(1, *place), *place[2:])
        start = time.monotonic() + 0.2
        end = start + seconds
        width, height = places(vms)[0][2:]
        frame = damage_messages(1, np.array([[0, 0, width, height]], np.int32))
        before = [_painted(child) for child, _ in pairs]
        generators = [
            fork.Process(target=_offer, args=(agent, frame, start + number / _OFFERED_PER_S, vms / _OFFERED_PER_S, end))
            for number, (_, agent) in enumerate(pairs)
        ]
        for generator in generators:
            generator.start()
        for generator in generators:
            generator.join()
        for _, agent in pairs:
            agent.settle()
        frames = [_painted(child) - count for (child, _), count in zip(pairs, before, strict=True)]
    rates = np.array(frames) / seconds
    return {
        "fps_total": float(rates.sum()),
        "fps_least": float(rates.min()),
        "fps_most": float(rates.max()),
        "jain_index": jain(rates.tolist()),
    }


def noise(agent: SyntheticAgent, pages: SharedPages, width: int, height: int) -> None:
    """Real content: memory that nobody wrote is one page of zeros, which the processor's cache serves."""
    agent.pixels(pages, width, height)[:] = np.random.default_rng(1).integers(0, 1 << 24, (height, width), np.uint32)


def jain(rates: list[float]) -> float | None:
    """Jain's fairness index: 1 if all are equal, 1/N if one has everything, None if there is nothing to share."""
    squares = sum(rate * rate for rate in rates)
    return sum(rates) ** 2 / (len(rates) * squares) if squares else None


def places(vms: int) -> list[tuple[int, int, int, int]]:
    """As many rectangles (x, y, width, height) of one size, side by side on the desktop."""
    columns = math.ceil(math.sqrt(vms))
    lines = math.ceil(vms / columns)
    cell = DESK[0] // columns, DESK[1] // lines
    size = min(_LARGEST[0], cell[0] - _GAP), min(_LARGEST[1], cell[1] - _GAP)
    return [(n % columns * cell[0] + _GAP // 2, n // columns * cell[1] + _GAP // 2, *size) for n in range(vms)]


def _offer(agent: SyntheticAgent, frame: bytes, start: float, interval: float, end: float) -> None:
    """The process of one agent: a frame every `interval`; those that came too late are left out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the benchmark; this ends by the clock
    due = start
    while (now := time.monotonic()) < end:
        if now < due:
            time.sleep(min(due, end) - now)
        else:
            agent.send(frame)
            due = max(due + interval, now)
    os._exit(0)  # what was inherited (the X servers' and workers' lines) is the parent's to close


def _painted(child: Child) -> int:
    return sum(row["damage_rects"] for row in windows_of(child))
