"""Whether a video in one VM makes the keys of another one late.

The keyboard is VM A's: a key goes down on the desktop 49.3 times a second, on a fixed schedule, and a program in VM A
gets the event. Meanwhile VM B shows a video, or nothing does, or the same video plays on the desktop itself, which is
what any neighbour without us would do. The conditions take turns in blocks: a drifting machine meets all of them.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from guid.bench import latency
from guid.bench.bed import DESK, DOMID, Bed
from guid.bench.program import Program
from guid.bench.stages import ours, raw
from guid.bench.stats import Distribution
from guid.bench.viewer import Viewer
from guiproto.errors import MachineCannot

CONDITIONS: Final = ("alone", "beside a video", "video on the desktop")
_NEIGHBOUR: Final = DOMID + 1
_RATE: Final = 49.3
"""Keys a second: out of step with any usual video, so that they meet all moments of its frames."""
_FIRST_FRAME_SECONDS: Final = 20.0
_AT: Final = (1250, 912)
"""Below the largest window of the other VM: what is covered is not painted and not counted."""


def neighbour(
    bed: Bed, video: tuple[int, int, float], shots: int, blocks: int, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    """A row per condition, of `blocks` blocks of `shots` keys each; `video`: width, height, frames per second."""
    late: dict[str, list[float]] = {name: [] for name in CONDITIONS}
    lost = dict.fromkeys(CONDITIONS, 0)
    shown: dict[str, list[float]] = {name: [] for name in CONDITIONS}
    width, height, _ = video
    viewer = Viewer(bed.desk.display)
    viewer.bounds = (*_AT, width, height)
    try:
        with latency.paths(bed) as paths, ours(bed, _NEIGHBOUR, DESK) as other, raw(bed) as desk:
            for number in range(blocks):
                for name in CONDITIONS:
                    tell(f"block {number + 1} of {blocks}: {name}")
                    display = {CONDITIONS[1]: other.display, CONDITIONS[2]: desk.display}.get(name)
                    with _playing(display, video, shots / _RATE + 5.0, viewer):
                        viewer.take()
                        viewer.painted, start = 0, time.perf_counter()
                        found, missed = latency.open_loop(paths["key"], _RATE, shots)
                        viewer.take()
                        shown[name].append(viewer.painted / (width * height) / (time.perf_counter() - start))
                    late[name] += found
                    lost[name] += missed
    finally:
        viewer.close()
    alone = Distribution.of(late["alone"])
    rows = []
    for name in CONDITIONS:
        spread = Distribution.of(late[name])
        rows.append(
            {
                "condition": name,
                **spread.as_dict("us"),
                "lost": lost[name],
                "video_fps": sum(shown[name]) / len(shown[name]),
                "p50_to_alone": _share(spread.p50, alone.p50),
                "p99_to_alone": _share(spread.p99, alone.p99),
                "latencies_us": late[name],
            }
        )
    return rows


def _share(value: float | None, base: float | None) -> float | None:
    return value / base if value is not None and base else None


@contextlib.contextmanager
def _playing(display: str | None, video: tuple[int, int, float], seconds: float, viewer: Viewer) -> Iterator[None]:
    """A program paints that video on the display, unless that is None; its first frames have been seen already."""
    if display is None:
        yield
        return
    width, height, rate = video
    with Program(display, (width, height), at=_AT) as program:
        program.start(1, [(0, 0, width, height)], seconds, rate)
        end = time.monotonic() + _FIRST_FRAME_SECONDS
        viewer.take()
        viewer.painted = 0
        while viewer.painted < 3 * width * height:
            if time.monotonic() > end:
                raise MachineCannot(f"the video did not begin in {_FIRST_FRAME_SECONDS:g} s", "is the display stuck?")
            time.sleep(0.02)
            viewer.take()
        yield
