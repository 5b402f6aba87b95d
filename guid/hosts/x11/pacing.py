"""At most two batches of puts are on their way: one that the X server executes, and the next one.

A socket to an X server holds thousands of puts, seconds of work when they are large. Whatever is sent behind them, the
echo of a key for instance, would wait for all of them, although most paint what the next one paints over. So the worker
asks first (`busy`), and what arrives meanwhile is merged. Small puts are not worth a mark of their own.
"""

from typing import Final

from guid.core.host_events import HostEvent
from guid.hosts.base import Rects
from shm.fences import Fences
from shm.xconn import XConnection

_BATCHES: Final = 2
_PIXELS_PER_RECT: Final = 4096
"""What a put costs the X server besides its pixels, as pixels."""
_WORTH_A_MARK: Final = 300_000
"""About 50 microseconds of an X server's time, in pixels: below that a mark would cost more than it tells."""


class Pacing:
    """Counts what the X server has been given and has not executed."""

    def __init__(self, connection: XConnection, scale: int) -> None:
        """`scale`: how wide and high a pixel of a buffer is shown."""
        self._worth_a_mark = _WORTH_A_MARK // scale**2
        self._fences = Fences(connection)
        self._unmarked = 0
        self._under_way = 0

    @property
    def busy(self) -> bool:
        """Whether two batches are under way."""
        return self._under_way >= _BATCHES

    def add(self, rects: Rects) -> None:
        """These puts were queued."""
        if isinstance(rects, list):
            for _, _, width, height in rects:
                self._unmarked += width * height + _PIXELS_PER_RECT
        else:
            self._unmarked += int((rects[:, 2].astype("i8") * rects[:, 3]).sum()) + _PIXELS_PER_RECT * len(rects)

    def close_batch(self) -> None:
        """What was added since the last mark is sent now: mark its end if it is worth that."""
        if self._unmarked >= self._worth_a_mark:
            self._unmarked = 0
            self._under_way += 1
            self._fences.mark(self._done)

    def executed(self, data: bytes, out: list[HostEvent]) -> None:  # noqa: ARG002 - as all handlers of events
        """NoExposure events arrived."""
        self._fences.passed(data)

    def _done(self) -> None:
        self._under_way -= 1
