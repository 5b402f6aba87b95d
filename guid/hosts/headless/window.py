"""A window as pixels: what was painted of its buffer, on a background, no matter what becomes of the buffer's memory.

Pages with a descriptor are read with `preadv`, so that memory that shrinks under us is a short read and not a signal.
"""

import os
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backends.base import MappedPages
from guid.core.trusted import CursorName, Geometry, Icon, SizeHints, StateFlags, Title, WindowClass, WindowId
from guid.hosts.base import Rects
from guiproto.limits import BYTES_PER_PIXEL
from shm.damage import rows

_NO_FLAGS: Final = StateFlags(0)
_RGB: Final = np.uint32(0x00FFFFFF)
_PAINTED: Final = np.uint32(0xFF000000)

Pixels = NDArray[np.uint32]
"""u32 [height, width], 0x00RRGGBB."""


@dataclass(slots=True)
class Buffer:
    """Pages and the size of the image in them."""

    pages: MappedPages
    width: int
    height: int

    def read(self, x: int, y: int, width: int, height: int) -> Pixels:
        """A rectangle inside the buffer. What the memory no longer holds is 0."""
        pages = self.pages
        stride, row = self.width * BYTES_PER_PIXEL, width * BYTES_PER_PIXEL
        start = y * stride + x * BYTES_PER_PIXEL
        if pages.region is None:
            assert pages.view is not None, "pages without a region have a view"
            source = np.frombuffer(pages.view, np.uint32, self.width * self.height).reshape(self.height, self.width)
            return source[y : y + height, x : x + width]
        memory = bytearray(height * row)
        if width == self.width:
            os.preadv(pages.region.fd, [memory], pages.offset + start)
        else:
            into = memoryview(memory)
            for line in range(height):
                os.preadv(pages.region.fd, [into[line * row : (line + 1) * row]], pages.offset + start + line * stride)
        return np.frombuffer(memory, np.uint32).reshape(height, width)


@dataclass(slots=True)
class HeadlessWindow:
    """One window; tests and tools may look at every field."""

    id: WindowId
    geometry: Geometry
    override_redirect: bool
    border: int
    background: int
    scale: int = 1
    """How wide and high a pixel of the buffer is shown."""
    mapped: bool = False
    transient_for: WindowId | None = None
    buffer: Buffer | None = None
    title: Title | None = None
    class_: WindowClass | None = None
    hints: SizeHints | None = None
    states: StateFlags = _NO_FLAGS
    icon: Icon | None = None
    cursor: CursorName | None = None
    docked: bool = False
    restore: Geometry | None = None
    """Where it was before it was maximised."""
    _painted: Pixels = field(init=False)
    """Of the content's size, 0 where nothing was painted: memory is used only where something was."""
    _extent: tuple[int, int] = (0, 0)
    """Width and height of the upper left part that something was painted in."""

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing was painted yet: background, or what the buffer has."""
        self._painted = self._blank()
        self._extent = (0, 0)
        self._expose(0, 0)

    def place(self, geometry: Geometry) -> None:
        """Move and resize; what was painted stays where it was in the content."""
        old, self.geometry = self.geometry, geometry
        if (old.width, old.height) == (geometry.width, geometry.height):
            return
        before, self._painted = self._painted, self._blank()
        width, height = min(self._extent[0], geometry.width), min(self._extent[1], geometry.height)
        self._painted[:height, :width] = before[:height, :width]
        self._extent = (width, height)
        self._expose(min(old.width, geometry.width), min(old.height, geometry.height))

    def paint(self, rects: Rects) -> None:
        """Bring parts of the buffer to the content."""
        buffer = self.buffer
        if buffer is None:
            return
        scale, place = self.scale, self.geometry
        widest, highest = self._covering(place.width, place.height)
        for x, y, width, height in rows(rects):
            right, bottom = min(x + width, widest), min(y + height, highest)
            if right > x and bottom > y:
                pixels = buffer.read(x, y, right - x, bottom - y) | _PAINTED
                far = min(right * scale, place.width), min(bottom * scale, place.height)
                if scale > 1:
                    pixels = pixels.repeat(scale, 0).repeat(scale, 1)[: far[1] - y * scale, : far[0] - x * scale]
                self._painted[y * scale : far[1], x * scale : far[0]] = pixels
                self._extent = (max(self._extent[0], far[0]), max(self._extent[1], far[1]))

    def pixels(self, part: tuple[slice, slice]) -> Pixels:
        """What a part of the content looks like."""
        painted = self._painted[part]
        return np.where(painted, painted & _RGB, np.uint32(self.background))

    def _covering(self, width: int, height: int) -> tuple[int, int]:
        """How many of the buffer's pixels it takes for so many of the screen's."""
        return -(-width // self.scale), -(-height // self.scale)

    def _blank(self) -> Pixels:
        return np.zeros((self.geometry.height, self.geometry.width), np.uint32)

    def _expose(self, width: int, height: int) -> None:
        """Everything but the upper left `width` x `height` is new."""
        if self.buffer is None:
            return
        widest, highest = self._covering(self.geometry.width, self.geometry.height)
        right, bottom = min(self.buffer.width, widest), min(self.buffer.height, highest)
        width, height = width // self.scale, height // self.scale
        new = [(width, 0, right - width, bottom), (0, height, min(width, right), bottom - height)]
        self.paint(np.array([rect for rect in new if rect[2] > 0 and rect[3] > 0], np.int32).reshape(-1, 4))
