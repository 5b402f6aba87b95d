"""The guest's X server itself copies what was drawn into shared memory; this process sees rectangles, never pixels.

Each captured window has a pixmap that lies in pages shared with the GUI domain. Damage is collected per window; one
round of captures copies all of it and sets a fence, and only when that has passed does `FrameReady` leave. There is one
round at a time: what is drawn meanwhile is merged and goes with the next, so the rate adapts to the server's speed.

Damage is asked for as DeltaRectangles: the server reports a place once until we say that we have seen it. While the
source is held nothing is said, so a program that draws for ever costs nothing once all of its window is reported.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Final

import numpy as np
from Xlib import X

from backends.base import PageSharer, SharedPages
from guiagent.core.buffers import Buffer
from guiagent.core.source_events import FrameReady, Rect
from guiagent.sources.x11 import requests
from guiproto.errors import MachineCannot
from guiproto.limits import BYTES_PER_PIXEL, MAX_WINDOW_HEIGHT, MAX_WINDOW_WIDTH, PAGE_SIZE
from shm.damage import FEW, clip, clip_few, merge, merge_few
from shm.fences import Fences
from shm.region import Region
from shm.xconn import XConnection
from shm.xshm import ShmPath

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
    """A buffer whose pages are a pixmap of the guest's X server."""

    pages: SharedPages
    pixmap: int
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


class Capture:
    """Buffers, damage and copies of all windows of one X connection, for one audience.

    Several may follow the same windows: each has its own damage objects and takes no notice of the others'.
    """

    def __init__(
        self,
        connection: XConnection,
        fences: Fences,
        damage: requests.Damage,
        sharer: PageSharer,
        emit: Callable[[FrameReady], None],
        audience: int = 0,
    ) -> None:
        """Raises MachineCannot where the X server cannot draw into shared memory."""
        self.audience = audience
        self._connection = connection
        self._fences = fences
        self._damage = damage
        self._sharer = sharer
        self._emit = emit
        self._shm = ShmPath(connection, read_only=False)
        self._root: Any = connection.display.screen().root
        self._gcs: dict[int, int] = {}
        self._surfaces: dict[int, Surface] = {}
        self._by_damage: dict[int, Surface] = {}
        self._dirty: dict[int, None] = {}
        self._buffers: set[SharedBuffer] = set()
        self._attached: set[Region] = set()
        self._busy = False
        self._check()

    # --- windows ---

    def watched(self) -> list[tuple[int, int, int]]:
        """Every window that is watched, as `watch` wants it."""
        return [(surface.window, surface.depth, surface.shapes) for surface in self._surfaces.values()]

    def watch(self, window: int, depth: int, shapes: int) -> None:
        """Have damage of a new window reported; nothing is captured yet. `shapes`: as in `Surface`."""
        damage = self._connection.new_id()
        surface = Surface(window, depth, damage, self._damage.subtract(damage), shapes=shapes)
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
        """Capture into a new buffer of that size, or of the largest that the protocol allows; all of it first."""
        surface = self._surfaces.get(window)
        if surface is None:
            return
        if surface.depth not in _DEPTHS:
            _log.warning("window %#x has a depth of %d: its pixels cannot be shown", window, surface.depth)
            return
        self.stop(window)
        try:
            surface.buffer = self._make(surface, min(width, MAX_WINDOW_WIDTH), min(height, MAX_WINDOW_HEIGHT))
        except MachineCannot as error:
            _log.warning("window %#x has no pixels: %s", window, error)
            return
        surface.whole = True
        self._dirty[window] = None

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
        for gc in self._gcs.values():
            self._connection.send_raw(requests.free_gc(gc), 1)
            self._connection.free_id(gc)
        self._gcs.clear()

    # --- pixels ---

    def damaged(self, events: bytes) -> None:
        """DamageNotify events arrived."""
        if len(events) >= _BATCH:
            self._damaged_batch(events)
            return
        for damage, x, y, width, height in _NOTIFY.iter_unpack(events):
            self._add(damage, [(x, y, width, height)])

    def _damaged_batch(self, events: bytes) -> None:
        rows = np.frombuffer(events, _NOTIFY_ROW)
        rects = np.stack([rows[name].astype(np.int32) for name in ("x", "y", "w", "h")], axis=1)
        for damage in np.unique(rows["damage"]).tolist():
            surface = self._by_damage.get(damage)
            if surface is None or surface.buffer is None:
                continue
            clipped = clip(rects[rows["damage"] == damage], surface.buffer.width, surface.buffer.height)
            if len(clipped):
                self._add(damage, [(x, y, w, h) for x, y, w, h in merge(clipped, _RECTS_PER_FRAME).tolist()])

    def _add(self, damage: int, rects: list[Rect]) -> None:
        surface = self._by_damage.get(damage)
        if surface is None or surface.buffer is None:
            return
        self._dirty[surface.window] = None
        if not surface.whole:
            surface.pending += rects
            if len(surface.pending) > _PENDING_LIMIT:
                surface.pending = _merged(surface.pending, surface.buffer)

    def capture(self) -> None:
        """Start a round for everything damaged, unless one is under way."""
        if self._busy or not self._dirty:
            return
        frames: list[tuple[Surface, SharedBuffer, list[Rect]]] = []
        batch = bytearray()
        count = 0
        for window in self._dirty:
            surface = self._surfaces[window]
            buffer = surface.buffer
            assert buffer is not None
            if surface.whole:
                rects: list[Rect] = [(0, 0, buffer.width, buffer.height)]
            else:
                rects = _merged(surface.pending, buffer)
            # Subtract first: what is drawn between the two requests is then copied and reported again, not missed.
            batch += surface.seen
            gc = self._gc(surface.depth)
            if surface.shapes and surface.whole:
                # Copying leaves out what lies outside of the shape, and the memory may have been used before.
                batch += requests.fill_rectangle(buffer.pixmap, gc, buffer.width, buffer.height)
                count += 1
            batch += requests.copy_areas(window, buffer.pixmap, gc, rects)
            count += 1 + len(rects)
            surface.whole = False
            surface.pending = []
            if rects:
                frames.append((surface, buffer, rects))
        self._dirty.clear()
        self._busy = True
        self._fences.mark(lambda: self._copied(frames), batch, count)

    def _copied(self, frames: list[tuple[Surface, SharedBuffer, list[Rect]]]) -> None:
        self._busy = False
        for surface, buffer, rects in frames:
            if surface.buffer is buffer:
                surface.announced = True
                self._sharer.written(buffer.pages, buffer.width, rects)
                self._emit(FrameReady(surface.window, buffer, rects))

    # --- resources ---

    def _make(self, surface: Surface, width: int, height: int) -> SharedBuffer:
        pages = self._sharer.allocate(width * height * BYTES_PER_PIXEL)
        try:
            pixmap = self._pixmap(pages, width, height, surface.depth)
        except MachineCannot:
            self._sharer.release(pages)
            raise
        buffer = SharedBuffer(width, height, pages.refs, self.audience, pages, pixmap, surface)
        self._buffers.add(buffer)
        return buffer

    def _pixmap(self, pages: SharedPages, width: int, height: int, depth: int) -> int:
        region = pages.region
        pixmap = self._shm.create_pixmap(self._root.id, width, height, depth, region, pages.offset)
        if region not in self._attached:
            self._attached.add(region)
            region.on_close(self._detach)
        return pixmap

    def _detach(self, region: Region) -> None:
        self._attached.discard(region)
        self._shm.detach(region)

    def _free(self, buffer: SharedBuffer) -> None:
        self._buffers.remove(buffer)
        self._free_pixmap(buffer.pixmap)
        self._sharer.release(buffer.pages)

    def _free_pixmap(self, pixmap: int) -> None:
        self._connection.send_raw(requests.free_pixmap(pixmap), 1)
        self._connection.free_id(pixmap)

    def _gc(self, depth: int) -> int:
        gc = self._gcs.get(depth)
        if gc is None:
            pixmap = self._root.create_pixmap(1, 1, depth)
            gc = int(pixmap.create_gc(subwindow_mode=X.IncludeInferiors, graphics_exposures=False, foreground=0).id)
            self._gcs[depth] = gc
        return gc

    def _check(self) -> None:
        """Find out now, not at the first window, whether pixmaps can lie in shared memory."""
        pages = self._sharer.allocate(PAGE_SIZE)
        self._connection.sync()
        before = self._connection.errors
        pixmap = self._pixmap(pages, 1, 1, int(self._connection.display.screen().root_depth))
        self._connection.sync()
        if self._connection.errors != before:
            raise MachineCannot("the X server cannot draw into shared memory", "use Xvfb, or Xorg without acceleration")
        self._free_pixmap(pixmap)
        self._sharer.release(pages)


def _merged(rects: list[Rect], buffer: Buffer) -> list[Rect]:
    if len(rects) <= FEW:
        inside = clip_few(rects, buffer.width, buffer.height)
        return inside if len(inside) <= 1 else merge_few(inside, _RECTS_PER_FRAME)
    clipped = clip(np.array(rects, np.int32), buffer.width, buffer.height)
    if not len(clipped):
        return []
    return [(x, y, w, h) for x, y, w, h in merge(clipped, _RECTS_PER_FRAME).tolist()]
