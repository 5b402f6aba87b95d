"""The guest's X server itself copies what was drawn into shared memory; this process sees rectangles, never pixels.

Each captured window has a pixmap that lies in pages shared with the GUI domain. Damage is collected per window; one
round of captures copies all of it and sets a fence, and only when that has passed does `FrameReady` leave. There is one
round at a time: what is drawn meanwhile is merged and goes with the next, so the rate adapts to the server's speed.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backends.base import PageSharer, SharedPages
from guiagent.core.source_events import FrameReady, Rect
from guiagent.sources.x11 import requests
from guiagent.sources.x11.following import Following, SharedBuffer, Surface
from guiagent.sources.x11.gcs import Gcs
from guiproto.errors import MachineCannot
from guiproto.limits import BYTES_PER_PIXEL, MAX_WINDOW_HEIGHT, MAX_WINDOW_WIDTH, PAGE_SIZE
from shm.fences import Fences
from shm.region import Region
from shm.xconn import XConnection
from shm.xshm import ShmPath

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class CopiedBuffer(SharedBuffer):
    """A buffer whose pages are a pixmap of the guest's X server."""

    pixmap: int


class Capture(Following[Surface]):
    """Buffers, damage and copies of all windows of one X connection, for one audience."""

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
        super().__init__(connection, damage, sharer, emit, audience)
        self._fences = fences
        self._shm = ShmPath(connection, read_only=False)
        self._root: Any = connection.display.screen().root
        self._gcs = Gcs(connection)
        self._attached: set[Region] = set()
        self._busy = False
        self._check()

    def close(self) -> None:
        super().close()
        self._gcs.close()

    # --- pixels ---

    def capture(self) -> None:
        if self._busy or not self._dirty:
            return
        frames: list[tuple[Surface, SharedBuffer, list[Rect]]] = []
        batch = bytearray()
        count = 0
        for window in self._dirty:
            surface = self._surfaces[window]
            buffer = surface.buffer
            assert isinstance(buffer, CopiedBuffer)
            fresh = surface.shapes and surface.whole
            rects = self._take(surface)
            # Subtract first: what is drawn between the two requests is then copied and reported again, not missed.
            batch += surface.seen
            gc = self._gcs.of(surface.depth)
            if fresh:
                # Copying leaves out what lies outside of the shape, and the memory may have been used before.
                batch += requests.fill_rectangle(buffer.pixmap, gc, buffer.width, buffer.height)
                count += 1
            batch += requests.copy_areas(window, buffer.pixmap, gc, rects)
            count += 1 + len(rects)
            if rects:
                frames.append((surface, buffer, rects))
        self._dirty.clear()
        self._busy = True
        self._fences.mark(lambda: self._copied(frames), batch, count)

    def _copied(self, frames: list[tuple[Surface, SharedBuffer, list[Rect]]]) -> None:
        self._busy = False
        for frame in frames:
            self._show(*frame)

    # --- resources ---

    def _surface(self, window: int, depth: int, damage: int, seen: bytes, shapes: int) -> Surface:
        return Surface(window, depth, damage, seen, shapes=shapes)

    def _begin(self, surface: Surface, width: int, height: int) -> None:
        """Of the largest size that the protocol allows, at most."""
        try:
            surface.buffer = self._make(surface, min(width, MAX_WINDOW_WIDTH), min(height, MAX_WINDOW_HEIGHT))
        except MachineCannot as error:
            _log.warning("window %#x has no pixels: %s", surface.window, error)
            return
        surface.whole = True
        self._dirty[surface.window] = None

    def _make(self, surface: Surface, width: int, height: int) -> CopiedBuffer:
        pages = self._sharer.allocate(width * height * BYTES_PER_PIXEL)
        try:
            pixmap = self._pixmap(pages, width, height, surface.depth)
        except MachineCannot:
            self._sharer.release(pages)
            raise
        buffer = CopiedBuffer(width, height, pages.refs, self.audience, pages, surface, pixmap)
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
        assert isinstance(buffer, CopiedBuffer)
        self._buffers.remove(buffer)
        self._free_pixmap(buffer.pixmap)
        self._sharer.release(buffer.pages)

    def _free_pixmap(self, pixmap: int) -> None:
        self._connection.send_raw(requests.free_pixmap(pixmap), 1)
        self._connection.free_id(pixmap)

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
