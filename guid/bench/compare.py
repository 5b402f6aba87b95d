"""The same three workloads through every contender, in turns: a small draw, a video, and frames as fast as possible.

- draw: 64x64 single shots at rest; from the moment the program sends it until the viewer sees it on the desktop.
- video: 640x360, 60 a second for a fixed time; lateness counts from the scheduled instant.
- frames: 1920x1080 as fast as the program's own X server takes them; what the desktop's X server reports as painted.

The program, its frames (noise) and the viewer are the same for everybody. The last frame is compared pixel by pixel.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guid.bench.accounting import cpu_seconds, memory_mib
from guid.bench.bed import Bed
from guid.bench.full_path import Performance, performance
from guid.bench.painter import Rect
from guid.bench.peers import Peer
from guid.bench.stats import Distribution
from guiproto.errors import MachineCannot

_WINDOW: Final = (1920, 1080)
_DRAW: Final[Rect] = (8, 8, 64, 64)
_VIDEO: Final[Rect] = (0, 0, 640, 360)
_FULL: Final[Rect] = (0, 0, *_WINDOW)
_VIDEO_RATE: Final = 60.0
_REST_SECONDS: Final = 0.01
_SHOT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is run: shots, and seconds of the two others, in each of so many rounds.

    `warm_up` seconds of each of the two come first and do not count: some adapt to what they are given.
    """

    rounds: int
    shots: int
    seconds: float
    warm_up: float


def compare(bed: Bed, peers: Sequence[Peer], effort: Effort, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for each contender and round. A contender that fails is told of, and left out from then on."""
    rows: list[dict[str, Any]] = []
    failed: set[str] = set()
    for number in range(effort.rounds):
        for peer in peers:
            if peer.name in failed:
                continue
            tell(f"round {number + 1} of {effort.rounds}: {peer.name}")
            try:
                rows.append({"contender": peer.name, "round": number, **_turn(bed, peer, effort)})
            except MachineCannot as error:
                failed.add(peer.name)
                rows.append({"contender": peer.name, "round": number, "failed": str(error)})
                tell(f"{peer.name} does not work here: {error}")
    return rows


def _turn(bed: Bed, peer: Peer, effort: Effort) -> dict[str, Any]:
    start = time.perf_counter()
    with peer.make(bed) as stage, performance(bed, stage, _WINDOW) as show:
        show.aim(_DRAW)
        started = time.perf_counter() - start
        shots = _shots(show, effort.shots)
        show.aim(_VIDEO)
        show.run([_VIDEO], effort.warm_up, _VIDEO_RATE)
        video = show.run([_VIDEO], effort.seconds, _VIDEO_RATE)
        show.aim(_FULL)
        show.run([_FULL], effort.warm_up)
        pids = [*show.program.pids, bed.desk.pid, *stage.pids()]
        burnt = sum(map(cpu_seconds, pids))
        full = show.run([_FULL], effort.seconds)
        burnt = sum(map(cpu_seconds, pids)) - burnt
        memory = sum(memory_mib(pid)[0] for pid in stage.pids())
        errors = show.errors(show.number, _FULL)
        return {
            "about": stage.about,
            "start_s": started,
            "uses_shm": show.program.uses_shm,
            "draw": Distribution.of(shots).as_dict("us"),
            "draw_us": shots,
            "video_fps_presented": video.presented / video.seconds,
            "video_frames_seen": video.fates.count("seen"),
            "video_frames_dropped": video.fates.count("dropped"),
            "video_frames_superseded": max(0, len(video.fates.frames) - round(video.presented)),
            "video_frames_produced": len(video.fates.frames),
            "video_latency": Distribution.of(video.fates.latencies_us()).as_dict("us"),
            "frames": video.fates.frames,
            "full_fps_produced": len(full.fates.frames) / full.seconds,
            "full_fps_presented": full.presented / full.seconds,
            "cpu_us_per_frame": burnt / max(1.0, full.presented) * 1e6,
            "memory_mib": memory,
            "copies_per_frame": stage.copies(),
            "pixel_errors": errors,
        }


def _shots(show: Performance, count: int) -> list[float]:
    late = []
    for _ in range(count):
        time.sleep(_REST_SECONDS)
        show.program.ask_step(show.number, _DRAW)
        seen = show.viewer.wait_for(show.number, _SHOT_SECONDS)
        late.append((seen.seen_ns - show.program.stepped()) / 1000)
        show.number += 1
    return late
