"""Windows whose damage is followed for one audience, and the buffers that they have: what every way of capture shares.

Damage is asked for as DeltaRectangles: the server reports a place once until we say that we have seen it. While the
source is held nothing is said, so a program that draws for ever costs nothing once all of its window is reported.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Final, Generic, TypeVar

import numpy as np

from backends.base import PageSharer, SharedPages
from guiagent.core.buffers import Buffer
from guiagent.core.source_events import FrameReady, Rect
from guiagent.sources.x11 import requests
from shm.damage import FEW, clip, clip_few, merge, merge_few
from shm.xconn import XConnection

_log = logging.getLogger(__name__)

_NOTIFY: Final = Struct("=8xI4xhhHH8x")
_NOTIFY_ROW: Final = np.dtype(
    {
        "names": ["damage", "x", "y", "w", "h"],
        "formats": ["u4", "i2", "i2", "u2", "u2"],
        "offsets": [8, 16, 18, 20, 22],
        "itemsize": 32,
    }
)
_SHAPE_NOTIFY: Final = Struct("=xB2xI12xB11x")
_BATCH: Final = 16 * _NOTIFY.size

_DEPTHS: Final = (24, 32)
_RECTS_PER_FRAME: Final = 16
_PENDING_LIMIT: Final = 256


@dataclass(eq=False, slots=True)
class SharedBuffer(Buffer):
    """A buffer whose pages the guest's X server draws into."""

    pages: SharedPages
    surface: "Surface"


@dataclass(eq=False, slots=True)
class Surface:
    """A watched window; captured while it has a buffer."""

    window: int
    depth: int
    damage: int
    seen: bytes
    """The request that has its damage reported again."""
    buffer: SharedBuffer | None = None
    shapes: int = 0
    """Bit n is set while the window has a shape of SHAPE's kind n: a bounding shape, or one that clips."""
    announced: bool = False
    """A FrameReady has named the buffer: it is the core's to forget."""
    whole: bool = False
    pending: list[Rect] = field(default_factory=list)


S = TypeVar("S", bound=Surface)


class Following(ABC, Generic[S]):
    """Windows of one X connection, for one audience.

    Several may follow the same windows: each has its own damage objects and takes no notice of the others'.
    """

    def __init__(
        self,
        connection: XConnection,
        damage: requests.Damage,
        sharer: PageSharer,
        emit: Callable[[FrameReady], None],
        audience: int,
    ) -> None:
        self.audience = audience
        self._connection = connection
        self._damage = damage
        self._sharer = sharer
        self._emit = emit
        self._surfaces: dict[int, S] = {}
        self._by_damage: dict[int, S] = {}
        self._dirty: dict[int, None] = {}
        self._buffers: set[SharedBuffer] = set()

    # --- for those who know how pixels get into buffers ---

    @abstractmethod
    def _surface(self, window: int, depth: int, damage: int, seen: bytes, shapes: int) -> S:
        """A new one."""

    @abstractmethod
    def _begin(self, surface: S, width: int, height: int) -> None:
        """Give it a buffer of that size, now or when that is possible."""

    @abstractmethod
    def _free(self, buffer: SharedBuffer) -> None:
        """Nobody needs it."""

    @abstractmethod
    def capture(self) -> None:
        """Start a round for everything damaged, unless one is under way."""

    def report(self) -> None:
        """Emit what is complete already."""

    # --- windows ---

    def watched(self) -> list[tuple[int, int, int]]:
        """Every window that is watched, as `watch` wants it."""
        return [(surface.window, surface.depth, surface.shapes) for surface in self._surfaces.values()]

    def watch(self, window: int, depth: int, shapes: int) -> None:
        """Have damage of a new window reported; nothing is captured yet. `shapes`: as in `Surface`."""
        damage = self._connection.new_id()
        surface = self._surface(window, depth, damage, self._damage.subtract(damage), shapes)
        self._surfaces[window] = self._by_damage[damage] = surface
        self._connection.send_raw(self._damage.create(surface.damage, window), 1)

    def unwatch(self, window: int, *, destroyed: bool) -> None:
        """The window is of no interest any more; a destroyed one took its damage object along."""
        surface = self._surfaces.get(window)
        if surface is None:
            return
        self.stop(window)
        del self._surfaces[window]
        del self._by_damage[surface.damage]
        if not destroyed:
            self._connection.send_raw(self._damage.destroy(surface.damage), 1)
        self._connection.free_id(surface.damage)

    def start(self, window: int, width: int, height: int) -> None:
        """Capture into a new buffer of that size; all of it first."""
        surface = self._surfaces.get(window)
        if surface is None:
            return
        if surface.depth not in _DEPTHS:
            _log.warning("window %#x has a depth of %d: its pixels cannot be shown", window, surface.depth)
            return
        self.stop(window)
        self._begin(surface, width, height)

    def reshaped(self, events: bytes) -> None:
        """ShapeNotify events arrived."""
        for kind, window, shaped in _SHAPE_NOTIFY.iter_unpack(events):
            surface = self._surfaces.get(window)
            if surface is None:
                continue
            surface.shapes = surface.shapes & ~(1 << kind) | bool(shaped) << kind
            if surface.buffer is not None:
                surface.whole = True
                self._dirty[window] = None

    def stop(self, window: int) -> None:
        """Capture it no more. A buffer that the core knows stays until it is forgotten."""
        surface = self._surfaces.get(window)
        if surface is None or surface.buffer is None:
            return
        if not surface.announced:
            self._free(surface.buffer)
        surface.buffer = None
        surface.announced = surface.whole = False
        surface.pending.clear()
        self._dirty.pop(window, None)

    def forget(self, buffer: Buffer) -> None:
        """The core needs the buffer no more."""
        assert isinstance(buffer, SharedBuffer)
        if buffer.surface.buffer is buffer:
            self.stop(buffer.surface.window)
        self._free(buffer)

    def close(self) -> None:
        """Follow no window any more, and free every buffer."""
        for window in list(self._surfaces):
            self.unwatch(window, destroyed=False)
        for buffer in list(self._buffers):
            self._free(buffer)

    # --- damage ---

    def damaged(self, events: bytes) -> None:
        """DamageNotify events arrived."""
        if len(events) >= _BATCH:
            self._damaged_batch(events)
            return
        for damage, x, y, width, height in _NOTIFY.iter_unpack(events):
            self._add(damage, [(x, y, width, height)], 1)

    def _damaged_batch(self, events: bytes) -> None:
        rows = np.frombuffer(events, _NOTIFY_ROW)
        rects = np.stack([rows[name].astype(np.int32) for name in ("x", "y", "w", "h")], axis=1)
        for damage in np.unique(rows["damage"]).tolist():
            surface = self._by_damage.get(damage)
            if surface is None or surface.buffer is None:
                continue
            reported = rects[rows["damage"] == damage]
            clipped = clip(reported, surface.buffer.width, surface.buffer.height)
            if len(clipped):
                few = [(x, y, w, h) for x, y, w, h in merge(clipped, _RECTS_PER_FRAME).tolist()]
                self._add(damage, few, len(reported))

    def _add(self, damage: int, rects: list[Rect], reports: int) -> None:  # noqa: ARG002 - for those who count them
        """These were drawn; so many `reports` said so."""
        surface = self._by_damage.get(damage)
        if surface is None or surface.buffer is None:
            return
        self._dirty[surface.window] = None
        if not surface.whole:
            surface.pending += rects
            if len(surface.pending) > _PENDING_LIMIT:
                surface.pending = merged(surface.pending, surface.buffer)

    def _take(self, surface: S) -> list[Rect]:
        """What has to be shown of it: it is clean then."""
        buffer = surface.buffer
        assert buffer is not None
        rects = [(0, 0, buffer.width, buffer.height)] if surface.whole else merged(surface.pending, buffer)
        surface.whole = False
        surface.pending = []
        return rects

    def _show(self, surface: S, buffer: SharedBuffer, rects: list[Rect]) -> None:
        """These are complete in that buffer, if it still is the window's."""
        if surface.buffer is buffer:
            surface.announced = True
            self._sharer.written(buffer.pages, buffer.width, rects)
            self._emit(FrameReady(surface.window, buffer, rects))


def merged(rects: list[Rect], buffer: Buffer) -> list[Rect]:
    """The parts of them inside the buffer, as few rectangles as a frame may have."""
    if len(rects) <= FEW:
        inside = clip_few(rects, buffer.width, buffer.height)
        return inside if len(inside) <= 1 else merge_few(inside, _RECTS_PER_FRAME)
    clipped = clip(np.array(rects, np.int32), buffer.width, buffer.height)
    if not len(clipped):
        return []
    return [(x, y, w, h) for x, y, w, h in merge(clipped, _RECTS_PER_FRAME).tolist()]
