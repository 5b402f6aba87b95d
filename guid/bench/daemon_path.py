"""Throughput of the daemon alone: how many messages and frames a second get through, and what each costs.

`produced` counts SHMIMAGE messages sent, `painted` the puts that the display server executed for them. Damage that is
merged before it is painted makes the second smaller than the first: `superseded` is the difference. A run ends when the
worker has dealt with everything and the display server has executed it, so `seconds` covers all work.
"""

import os
import time
from typing import Any, Final

import numpy as np

from guid.bench.accounting import cpu_seconds
from guid.bench.bed import AT_FULL_SPEED, Bed, windows_of
from guid.bench.synthetic import SyntheticAgent, damage_messages
from guid.bench.viewer import Viewer
from guid.bench.workloads import Workload
from guid.worker.child import Child
from guiproto.limits import BYTES_PER_PIXEL
from guiproto.messages import Destroy
from shm.xconn import XConnection
from shm.xshm import ShmPath

_WARM_UP_SECONDS: Final = 0.3
_BULK: Final = 512
_LOOKS: Final = 10
_MOMENT: Final = 0.2
_POSITION: Final = 40
"""Where windows lie on the desktop: far enough from its edge for any border."""


def daemon_path(bed: Bed, workload: Workload, seconds: float) -> dict[str, Any]:
    """A synthetic agent drives one real worker."""
    with bed.synthetic(settings=AT_FULL_SPEED) as (child, agent):
        width, height = workload.size
        pages = [agent.window(1 + n, _POSITION + n, _POSITION, width, height) for n in range(workload.windows)]
        chunks = _chunks(workload)
        _send_for(agent, chunks, _WARM_UP_SECONDS)
        agent.settle()
        before = _painted(child)
        pids = {"worker": child.pid, "x_server": bed.desk.pid}
        cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
        start = time.perf_counter()
        produced = _send_for(agent, chunks, seconds)
        agent.settle()
        _wait_for_display(bed)
        took = time.perf_counter() - start
        cpu = {name: cpu_seconds(pid) - cpu[name] for name, pid in pids.items()}
        painted = _painted(child) - before
        copies = max(row["copies_per_frame"] or 0 for row in windows_of(child))
        for _ in range(_LOOKS):
            errors = sum(
                _pixel_errors(bed, agent, 1 + n, page, (width, height), child)
                for n, page in reversed(list(enumerate(pages)))
            )
            if not errors:
                break
            time.sleep(_MOMENT)  # a put may still be on its way where the machine has much else to do
        result = _result(workload, produced, painted, took, cpu, errors)
        return result | {"copies_per_frame": copies}


def raw_path(bed: Bed, workload: Workload, seconds: float) -> dict[str, Any]:
    """The ceiling: one plain X client that attaches the same kind of memory and sends the same puts."""
    sharer = bed.backend.sharer(77, 78)
    connection = XConnection(bed.desk.display)
    try:
        shm = ShmPath(connection, read_only=True)
        width, height = workload.size
        root: Any = connection.display.screen().root
        targets = []
        for n in range(workload.windows):
            pages = sharer.allocate(width * height * BYTES_PER_PIXEL)
            window = root.create_window(
                _POSITION + n, _POSITION, width, height, 0, 24, override_redirect=True, background_pixel=0
            )
            window.map()
            gc = window.create_gc(graphics_exposures=False)
            targets.append((window.id, gc.id, shm.attach(pages.region), pages.offset))
        connection.sync()
        per_batch = max(1, min(64, int(4e6 / workload.pixels_per_message)))
        batches = [
            workload.rects[np.arange(at, at + per_batch) % len(workload.rects)]
            for at in range(0, max(per_batch, len(workload.rects)), per_batch)
        ]

        def run(duration: float) -> int:
            end = time.perf_counter() + duration
            sent = 0
            behind = []
            while time.perf_counter() < end:
                for window, gc, segment, offset in targets:
                    rects = batches[(sent // per_batch) % len(batches)]
                    shm.put(window, gc, 24, segment, offset, (width, height), rects)
                    sent += len(rects)
                behind.append(connection.fence())
                connection.flush()
                if len(behind) >= 2:  # one batch is executed while the next one waits
                    connection.wait(behind.pop(0))
            connection.sync()
            return sent

        run(_WARM_UP_SECONDS)
        pids = {"worker": os.getpid(), "x_server": bed.desk.pid}
        cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
        start = time.perf_counter()
        sent = run(seconds)
        took = time.perf_counter() - start
        cpu = {name: cpu_seconds(pid) - cpu[name] for name, pid in pids.items()}
        return _result(workload, sent, sent, took, cpu, 0)
    finally:
        connection.close()
        sharer.close()


def _result(
    workload: Workload, produced: int, painted: int, took: float, cpu: dict[str, float], errors: int
) -> dict[str, Any]:
    return {
        "workload": workload.name,
        "seconds": took,
        "messages": produced,
        "messages_per_s": produced / took,
        "frames_presented": painted,
        "fps_presented": painted / took,
        "frames_superseded": max(0, produced - painted),
        "mpixels_per_s": painted * workload.pixels_per_message / took / 1e6,
        "worker_cpu_us_per_message": cpu["worker"] / produced * 1e6,
        "x_server_cpu_us_per_painted": cpu["x_server"] / max(1, painted) * 1e6,
        "pixel_errors": errors,
    }


def _chunks(workload: Workload) -> list[bytes]:
    """A circle of writes, each with messages of one window."""
    rects = np.tile(workload.rects, (-(-_BULK // len(workload.rects)), 1))
    if workload.in_pairs:
        stream = damage_messages(1, rects[:_BULK])
        return [
            stream[at : at + size] for base in range(0, len(stream), 28) for at, size in ((base, 12), (base + 12, 16))
        ]
    if workload.windows > 1:
        per_window = max(1, _BULK // workload.windows)
        return [b"".join(damage_messages(1 + n, rects[:per_window]) for n in range(workload.windows))]
    # Large frames are sent by the few, as an agent does: a bulk of them would only be superseded.
    size = _BULK if workload.pixels_per_message < 100_000 else 1
    return [damage_messages(1, rects[at : at + size]) for at in range(0, len(rects), size)]


def _send_for(agent: SyntheticAgent, chunks: list[bytes], seconds: float) -> int:
    end = time.perf_counter() + seconds
    sent = 0
    while time.perf_counter() < end:
        for chunk in chunks:
            agent.send(chunk)
            sent += len(chunk)
    return sent // 28


def _painted(child: Child) -> int:
    return sum(row["damage_rects"] for row in windows_of(child))


def _wait_for_display(bed: Bed) -> None:
    """The X server serves clients in turn: a put that is on its way when this is asked has been executed after it."""
    connection = XConnection(bed.desk.display)
    connection.sync()
    connection.close()


def _pixel_errors(bed: Bed, agent: SyntheticAgent, number: int, pages: Any, size: tuple[int, int], child: Child) -> int:
    """Pixels inside the topmost window that differ from the shared ones after one more frame, of random content."""
    width, height = size
    shared = agent.pixels(pages, width, height)
    shared[:] = np.random.default_rng(number).integers(0, 1 << 24, (height, width), np.uint32)
    agent.send(damage_messages(number, np.array([[0, 0, width, height]], np.int32)))
    agent.settle()
    _wait_for_display(bed)
    row = next(row for row in windows_of(child) if row["remote_id"] == number)
    viewer = Viewer(bed.desk.display)
    try:
        x, y = row["x"], row["y"]
        _, _, right, bottom = viewer.screen
        visible = viewer.pixels(max(0, x), max(0, y), min(width, right - x), min(height, bottom - y))
    finally:
        viewer.close()
    same = shared[: visible.shape[0], : visible.shape[1]]
    errors = int((visible != same).sum())
    agent.tell(Destroy(number))
    return errors
