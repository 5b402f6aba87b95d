"""Window traffic of one synthetic agent: buffers acknowledged and whole lives of windows, per second."""

import time
from collections.abc import Callable
from typing import Any

from guid.bench.accounting import cpu_seconds
from guid.bench.bed import AT_FULL_SPEED, Bed
from guid.worker.child import Child
from guiproto.limits import BYTES_PER_PIXEL
from guiproto.messages import Create, Destroy, Map, WindowDump

_LARGE = (1920, 1080)
_SMALL = (320, 200)


def rates(bed: Bed, count: int) -> list[dict[str, Any]]:
    """`count` operations of each kind; every row has `per_s` and the worker's CPU microseconds for one."""
    with bed.synthetic(settings=AT_FULL_SPEED) as (child, agent):
        width, height = _LARGE
        large = agent.window(1, 40, 40, width, height)
        small = agent.share(_SMALL[0] * _SMALL[1] * BYTES_PER_PIXEL)

        def one_by_one() -> None:
            for _ in range(count):
                agent.dump(1, width, height, large)

        def in_bulk() -> None:
            for _ in range(count):
                agent.tell(WindowDump(1, 0, width, height, 32, large.refs))
            agent.settle()

        def lives() -> None:
            for number in range(10, 10 + count):
                agent.tell(
                    Create(number, 100, 100, *_SMALL, 0, 0),
                    Map(number, 0, 0),
                    WindowDump(number, 0, *_SMALL, 32, small.refs),
                    Destroy(number),
                )
            agent.settle()

        return [
            _measured("WINDOW_DUMP 1920x1080 to ACK, one by one", one_by_one, count, child),
            _measured("WINDOW_DUMP 1920x1080 to ACK, in bulk", in_bulk, count, child),
            _measured("create, map, dump and destroy a window", lives, count, child),
        ]


def _measured(what: str, run: Callable[[], None], count: int, child: Child) -> dict[str, Any]:
    run()  # warm-up
    cpu, start = cpu_seconds(child.pid), time.perf_counter()
    run()
    took = time.perf_counter() - start
    return {
        "what": what,
        "per_s": count / took,
        "worker_cpu_us": (cpu_seconds(child.pid) - cpu) / count * 1e6,
    }
