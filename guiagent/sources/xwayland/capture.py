"""The GUI domain maps the memory that programs draw into: this process copies nothing and waits for nothing.

Where there are more windows than memories can be shared, those beyond are copied by this process.

In quiet times the server reports everything that is drawn, every time (RawRectangles), and each report leaves as a
frame at once: what it speaks of is in memory already. In a storm that would be a flood of reports; so then a place is
reported once until we say that we have seen it (DeltaRectangles). That takes a fence: whoever says so and shows the
place at once can miss what is drawn between the showing and the seeing.

A damage object is exchanged for one of the other kind in one go, with a fence in the middle. The first report of a new
object is of the whole window and says nothing; all up to the fence is ignored, and the old object, which lives as long,
has reported it.
"""

import logging
import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backends.base import PageSharer, SharedPages
from guiagent.core.source_events import FrameReady, Rect
from guiagent.sources.x11 import requests
from guiagent.sources.x11.extensions import Extensions
from guiagent.sources.x11.following import Following, SharedBuffer, Surface
from guiagent.sources.x11.gcs import Gcs
from guiagent.sources.xwayland.memory import WindowMemory
from guiproto.errors import MachineCannot
from guiproto.limits import BYTES_PER_PIXEL, MAX_WINDOW_HEIGHT, MAX_WINDOW_WIDTH
from shm.fences import Fences
from shm.xconn import XConnection

_log = logging.getLogger(__name__)

_FLOOD: Final = 128
"""Reports about one window between two looks."""
_REQUEST_TWO: Final = Struct("=BBHII")
_REQUEST_THREE: Final = Struct("=BBHIII")
_INVERT: Final = Struct("=BBHIhhHHI")
_CLIP: Final = Struct("=BBHIIhh")


@dataclass(eq=False, slots=True)
class LiveSurface(Surface):
    """A window, and the memory that it is drawn into."""

    raw: bool = False
    """Whether everything is reported every time."""
    next: int = 0
    """The damage object that takes over when a fence has passed."""
    size: tuple[int, int] = (0, 0)
    """Of the buffer that the core wants; 0, 0: none."""
    reports: int = 0
    """Since the last look."""


@dataclass(eq=False, slots=True)
class CopiedBuffer(SharedBuffer):
    """Of a window that is one too many for its memory to be shared as it is: u32 [height, width] both."""

    live: NDArray[np.uint32]
    target: NDArray[np.uint32]


class LiveCapture(Following[LiveSurface]):
    """Buffers and damage of all windows of one Xwayland, for one audience. `memory`: where each window is drawn now."""

    def __init__(
        self,
        connection: XConnection,
        fences: Fences,
        found: Extensions,
        sharer: PageSharer,
        emit: Callable[[FrameReady], None],
        audience: int,
        memory: Mapping[int, WindowMemory],
        want: Callable[[int, int, int], None],
    ) -> None:
        """`want(window, width, height)` is told when the memory of a window is not of the size that it has."""
        super().__init__(connection, requests.Damage(found.damage.major), sharer, emit, audience)
        self._fences = fences
        self._outside = _Outside(connection, found)
        self._memory = memory
        self._want = want
        self._busy = False

    def close(self) -> None:
        super().close()
        self._outside.close()

    # --- memory ---

    def moved(self, window: int) -> None:
        """The window is drawn somewhere else now."""
        surface = self._surfaces.get(window)
        if surface is not None and surface.size != (0, 0) and window in self._memory:
            self._begin(surface, *surface.size)

    def stop(self, window: int) -> None:
        super().stop(window)
        if (surface := self._surfaces.get(window)) is not None:
            surface.size = (0, 0)

    def _begin(self, surface: LiveSurface, width: int, height: int) -> None:
        window = surface.window
        super().stop(window)
        surface.size = width, height
        memory = self._memory.get(window)
        if memory is None or (memory.width, memory.height) != (width, height):
            self._want(window, width, height)
            return  # it comes
        if width > MAX_WINDOW_WIDTH:  # a part of it would have rows too long for the protocol
            narrower = requests.configure_window(window, width=MAX_WINDOW_WIDTH)
            self._connection.send_raw(narrower, 1)
            return
        try:
            if memory.stride != width * BYTES_PER_PIXEL:
                raise MachineCannot(f"rows of {memory.stride} bytes cannot be shared", "choose the source x11")
            surface.buffer = self._make(surface, memory, width, min(height, MAX_WINDOW_HEIGHT))
        except MachineCannot as error:
            _log.warning("window %#x has no pixels: %s", window, error)
            return
        self._buffers.add(surface.buffer)
        surface.whole = True
        self._dirty[window] = None

    def _make(self, surface: LiveSurface, memory: WindowMemory, width: int, height: int) -> SharedBuffer:
        """Raises MachineCannot when there is no memory of either kind left."""
        length = width * height * BYTES_PER_PIXEL
        try:
            pages = self._sharer.adopt(memory.fd, memory.offset, length)
        except MachineCannot as error:
            _log.info("window %#x is copied: %s", surface.window, error)
            pages = self._sharer.allocate(length)
            try:
                views = _views(memory, pages, width, height)
            except MachineCannot:
                self._sharer.release(pages)
                raise
            return CopiedBuffer(width, height, pages.refs, self.audience, pages, surface, *views)
        return SharedBuffer(width, height, pages.refs, self.audience, pages, surface)

    def _show(self, surface: LiveSurface, buffer: SharedBuffer, rects: list[Rect]) -> None:
        if isinstance(buffer, CopiedBuffer):
            for x, y, width, height in rects:
                part = slice(y, y + height), slice(x, x + width)
                buffer.target[part] = buffer.live[part]
        super()._show(surface, buffer, rects)

    def _free(self, buffer: SharedBuffer) -> None:
        self._buffers.remove(buffer)
        self._sharer.release(buffer.pages)

    # --- windows ---

    def _surface(self, window: int, depth: int, damage: int, seen: bytes, shapes: int) -> LiveSurface:
        return LiveSurface(window, depth, damage, seen, shapes=shapes)

    def unwatch(self, window: int, *, destroyed: bool) -> None:
        surface = self._surfaces.get(window)
        if surface is not None and surface.next and not destroyed:
            self._connection.send_raw(self._damage.destroy(surface.next), 1)
        super().unwatch(window, destroyed=destroyed)

    def _exchange(self, surface: LiveSurface, *, raw: bool) -> None:
        """Have damage reported in the other way."""
        old = surface.damage
        new = surface.next = self._connection.new_id()
        level = requests.RAW_RECTANGLES if raw else requests.DELTA_RECTANGLES
        create = self._damage.create(new, surface.window, level)
        # The one of the two that is of this kind reports places again from here on.
        batch = surface.seen + create if raw else create + self._damage.subtract(new)

        def exchanged() -> None:
            self._connection.free_id(old)
            if self._surfaces.get(surface.window) is not surface:
                self._connection.free_id(new)
                return
            del self._by_damage[old]
            surface.damage, surface.next, surface.raw = new, 0, raw
            surface.seen = self._damage.subtract(new)
            self._by_damage[new] = surface

        self._fences.mark(exchanged, batch, 2)
        self._connection.send_raw(self._damage.destroy(old), 1)

    # --- pixels ---

    def _add(self, damage: int, rects: list[Rect], reports: int) -> None:
        super()._add(damage, rects, reports)
        surface = self._by_damage.get(damage)
        if surface is not None and surface.raw:
            surface.reports += reports
            if surface.reports > _FLOOD and not surface.next:
                self._exchange(surface, raw=False)

    def report(self) -> None:
        for window in list(self._dirty):
            surface = self._surfaces[window]
            if surface.raw and not surface.next and not surface.whole:
                surface.reports = 0
                del self._dirty[window]
                buffer = surface.buffer
                assert buffer is not None
                if rects := self._take(surface):
                    self._show(surface, buffer, rects)

    def capture(self) -> None:
        if self._busy:
            return
        due = [surface for window in self._dirty if not (surface := self._surfaces[window]).next]
        frames: list[tuple[LiveSurface, SharedBuffer, list[Rect]]] = []
        batch = bytearray()
        count = 0
        for surface in due:
            buffer = surface.buffer
            assert buffer is not None
            if surface.raw and not surface.whole:
                continue
            if surface.whole and surface.shapes:
                clear, requests_ = self._outside.clear(surface, buffer.width, buffer.height)
                batch += clear
                count += requests_
            if not surface.raw:
                batch += surface.seen
                count += 1
            del self._dirty[surface.window]
            frames.append((surface, buffer, self._take(surface)))
        if frames:
            self._busy = True
            self._fences.mark(lambda: self._seen(frames), batch, count)

    def _seen(self, frames: list[tuple[LiveSurface, SharedBuffer, list[Rect]]]) -> None:
        self._busy = False
        for surface, buffer, rects in frames:
            if rects:
                self._show(surface, buffer, rects)
            here = self._surfaces.get(surface.window) is surface
            if here and not (surface.raw or surface.next or surface.pending):
                self._exchange(surface, raw=True)


def _views(
    memory: WindowMemory, pages: SharedPages, width: int, height: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The pixels of a window, and of its buffer. The mappings live as long as these do. Raises MachineCannot."""
    try:
        length = memory.stride * memory.height
        live = mmap.mmap(memory.fd, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=memory.offset)
    except (OSError, ValueError) as error:
        raise MachineCannot(f"its memory cannot be mapped: {error}", "choose the source x11") from None
    size = width * height
    target = np.frombuffer(pages.region.view(writable=True), np.uint32, size, pages.offset).reshape(height, width)
    return np.frombuffer(live, np.uint32, size).reshape(height, width), target


class _Outside:
    """What lies outside of a window's shape shows nothing, whatever was drawn there before it had that shape."""

    def __init__(self, connection: XConnection, found: Extensions) -> None:
        self._connection = connection
        self._composite = found.composite.major
        self._xfixes = found.xfixes.major
        self._gcs = Gcs(connection)

    def clear(self, surface: Surface, width: int, height: int) -> tuple[bytes, int]:
        """Requests that fill it with zeros, and how many these are."""
        connection, fixes = self._connection, self._xfixes
        pixmap, region, other = connection.new_id(), connection.new_id(), connection.new_id()
        gc = self._gcs.of(surface.depth)
        batch = (
            _REQUEST_TWO.pack(self._composite, 6, 3, surface.window, pixmap)  # NameWindowPixmap
            + self._from_window(region, surface.window, 0)
            + self._from_window(other, surface.window, 1)
            + _REQUEST_THREE.pack(fixes, 14, 4, region, other, region)  # IntersectRegion
            + _INVERT.pack(fixes, 16, 5, region, 0, 0, width, height, region)
            + _CLIP.pack(fixes, 20, 4, gc, region, 0, 0)
            + requests.fill_rectangle(pixmap, gc, width, height)
            + _CLIP.pack(fixes, 20, 4, gc, 0, 0, 0)
            + requests.word_request(fixes, 10, region)  # DestroyRegion
            + requests.word_request(fixes, 10, other)
            + requests.free_pixmap(pixmap)
        )
        for resource in (pixmap, region, other):
            connection.free_id(resource)
        return batch, 11

    def close(self) -> None:
        """Free what it has at the server."""
        self._gcs.close()

    def _from_window(self, region: int, window: int, kind: int) -> bytes:
        """CreateRegionFromWindow; `kind` as SHAPE has it."""
        return _REQUEST_THREE.pack(self._xfixes, 7, 4, region, window, kind)
