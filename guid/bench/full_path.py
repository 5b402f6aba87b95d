"""Throughput of the whole way: a real program in an AppVM, the agent, a worker, the display; and a viewer that counts.

What is counted by whom: `produced` by the program, whose own X server has executed those frames; `presented` by the
desktop's X server, from the area that it reports as painted (XDamage), in frames; `seen` by the viewer, which looks at
samples. Between produced and presented, frames are superseded: whoever is behind paints only the latest state.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from guid.bench import painter
from guid.bench.accounting import cpu_seconds
from guid.bench.bed import Bed
from guid.bench.painter import Rect
from guid.bench.program import Program
from guid.bench.stages import Stage
from guid.bench.tags import Fates
from guid.bench.viewer import Viewer
from guid.bench.workloads import Workload
from guiproto.errors import MachineCannot

FIRST: Final = 0x100000
"""Numbers of measured frames begin here: no colour of an empty screen."""
_CALIBRATION: Final = 0x0C0FFE
_FIND_SECONDS: Final = 15.0
_AGAIN_SECONDS: Final = 1.0
_WARM_UP_SECONDS: Final = 0.2
_LAST_SECONDS: Final = 10.0
_QUIET_SECONDS: Final = 0.4


@dataclass(slots=True)
class Performance:
    """A painter on a stage, and a viewer of the desktop that has found the painter's window."""

    bed: Bed
    stage: Stage
    program: Program
    viewer: Viewer
    number: int = FIRST

    def aim(self, rect: Rect) -> None:
        """Have the viewer watch that rectangle of the window. Raises MachineCannot if it is not shown.

        The frame is painted again until it is shown: what a program paints before a window manager has taken its
        window in may be lost.
        """
        end = time.monotonic() + _FIND_SECONDS
        while time.monotonic() < end:
            self.program.step(_CALIBRATION, rect)
            if self.viewer.find(_CALIBRATION, rect[2], rect[3], _AGAIN_SECONDS) is not None:
                return
        raise MachineCannot(f"a frame of {rect[2]}x{rect[3]} did not appear on the desktop")

    def run(
        self,
        rects: Sequence[Rect],
        seconds: float,
        rate: float | None = None,
        *,
        scroll: bool = False,
        everywhere: bool = False,
    ) -> "Run":
        """Frames at `rects` in turn. What is painted counts where the viewer aims, or `everywhere` on the screen."""
        pids = {"x_server": self.bed.desk.pid, **self.stage.roots}
        pids.update(zip(["program"], self.program.pids, strict=False))
        first = self.number
        viewer = self.viewer
        viewer.bounds, viewer.painted = viewer.screen if everywhere else viewer.place, 0
        before = {role: cpu_seconds(pid) for role, pid in pids.items()}
        start = time.perf_counter()
        self.program.start(first, rects, seconds, rate, scroll=scroll)
        ended = 0.0

        def is_over() -> bool:
            nonlocal ended
            ended = time.perf_counter()
            return self.program.ended()

        seen = viewer.record(is_over)
        produced = self.program.frames()
        took = max(ended, viewer.changed_at) - start
        cpu = {role: cpu_seconds(pid) - before[role] for role, pid in pids.items()}
        self.number = produced[-1].number + 1 if produced else first
        area = sum(width * height for _, _, width, height in rects) / len(rects)
        return Run(Fates.of(produced, seen, one_clock=not self.stage.inside), viewer.painted / area, took, cpu)

    def errors(self, number: int, rect: Rect) -> int:
        """Wrong pixels of one more frame, compared once, when nothing has been painted there for a while.

        Not when its columns have arrived: some peers show those before what is between them.
        """
        self.program.step(number, rect)
        viewer = self.viewer
        with contextlib.suppress(MachineCannot):  # then its pixels are wrong, and counted
            viewer.wait_for(number, _LAST_SECONDS)
        viewer.bounds = viewer.place
        viewer.until_quiet(_QUIET_SECONDS, _LAST_SECONDS)
        x, y, width, height = viewer.place
        return int((viewer.pixels(x, y, width, height) != painter.frame(number, width, height)).sum())


@dataclass(frozen=True, slots=True)
class Run:
    """What became of the frames; wall seconds; CPU seconds by role."""

    fates: Fates
    presented: float
    """Painted area, in frames."""
    seconds: float
    cpu: dict[str, float]


@contextmanager
def performance(bed: Bed, stage: Stage, size: tuple[int, int], windows: int = 1) -> Iterator[Performance]:
    """A painter with windows of that size on the stage, until the block ends."""
    viewer = Viewer(bed.desk.display)
    try:
        with Program(stage.display, size, at=stage.at, windows=windows, inside=stage.inside) as program:
            yield Performance(bed, stage, program, viewer)
    finally:
        viewer.close()


def full_path(bed: Bed, stage: Stage, workload: Workload, seconds: float) -> dict[str, Any]:
    """One run of a workload; `frames` in the result are its frames one by one."""
    rects = [(x, y, width, height) for x, y, width, height in workload.painted.tolist()]
    with performance(bed, stage, workload.size, workload.windows) as show:
        show.aim(rects[0])
        # With several places or windows the viewer looks at one of them: it cannot say what became of single frames.
        tagged = len(rects) == 1 and workload.windows == 1
        show.run(rects, _WARM_UP_SECONDS, scroll=workload.scroll)
        run = show.run(rects, seconds, scroll=workload.scroll, everywhere=not tagged)
        errors = show.errors(show.number, rects[0])
        copies = stage.copies()
    produced = len(run.fates.frames)
    found = run.fates.summary()
    pixels = sum(width * height for _, _, width, height in rects) / len(rects)
    return {
        "workload": workload.name,
        "seconds": run.seconds,
        "frames_produced": produced,
        "frames_presented": round(run.presented),
        "frames_superseded": max(0, produced - round(run.presented)),
        "fps_produced": produced / run.seconds,
        "fps_presented": run.presented / run.seconds,
        "mpixels_per_s": run.presented / run.seconds * pixels / 1e6,
        **(found if tagged else dict.fromkeys(found)),
        **{f"{role}_cpu_us_per_frame": used / max(1.0, run.presented) * 1e6 for role, used in run.cpu.items()},
        "copies_per_frame": copies,
        "pixel_errors": errors,
        "about": stage.about,
        "frames": run.fates.frames if tagged else [],
    }
