"""What is drawn: seeded, generated, and the same for every contender."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SEED: Final = 20
_STRIP: Final = 16


@dataclass(frozen=True, slots=True)
class Workload:
    """`windows` windows of `size` pixels, and the rectangles (i32 [n, 4]) that damage walks through in a circle."""

    name: str
    size: tuple[int, int]
    rects: NDArray[np.int32]
    windows: int = 1
    scroll: bool = False
    """Whether a real program moves the picture up and paints only what comes in below."""

    in_pairs: bool = False
    """Whether a synthetic agent writes every header and every body by itself, as the C agent does."""

    @property
    def painted(self) -> NDArray[np.int32]:
        """What a real program paints itself: rects, or the strip that scrolling brings in."""
        if not self.scroll:
            return self.rects
        width, height = self.size
        return np.array([[0, height - _STRIP, width, _STRIP]], np.int32)

    @property
    def pixels_per_message(self) -> float:
        """Mean area of a rectangle."""
        return float((self.rects[:, 2].astype(float) * self.rects[:, 3]).mean())


def _one(width: int, height: int) -> NDArray[np.int32]:
    return np.array([[0, 0, width, height]], np.int32)


def _typing() -> NDArray[np.int32]:
    """Glyph cells of 9x18 along the lines of a terminal, each followed by the cursor's cell."""
    cells = [(9 * column, 18 * line, 18, 18) for line in range(24) for column in range(79)]
    return np.array(cells, np.int32)


def _scattered(width: int, height: int, side: int, count: int) -> NDArray[np.int32]:
    random = np.random.default_rng(_SEED)
    rects = np.empty((count, 4), np.int32)
    rects[:, 0] = random.integers(0, width - side, count)
    rects[:, 1] = random.integers(0, height - side, count)
    rects[:, 2:] = side
    return rects


WORKLOADS: Final = {
    workload.name: workload
    for workload in (
        Workload("small", (1920, 1080), _one(64, 64)),
        Workload("small-in-pairs", (1920, 1080), _one(64, 64), in_pairs=True),
        Workload("small-scattered", (1920, 1080), _scattered(1920, 1080, 64, 512)),
        Workload("region", (1920, 1080), _one(256, 256)),
        Workload("full", (1920, 1080), _one(1920, 1080)),
        Workload("full-4k", (3840, 2160), _one(3840, 2160)),
        Workload("scroll", (800, 600), _one(800, 600), scroll=True),
        Workload("typing", (720, 432), _typing()),
        Workload("video", (640, 360), _one(640, 360)),
        Workload("many-windows-1", (320, 200), _one(320, 200), 1),
        Workload("many-windows-10", (320, 200), _one(320, 200), 10),
        Workload("many-windows-100", (320, 200), _one(320, 200), 100),
    )
}
