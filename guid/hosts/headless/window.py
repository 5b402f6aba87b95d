"""A window as pixels: what was painted of its buffer, on a background, no matter what becomes of the buffer's memory.

Pages with a descriptor are read with `preadv`, so that memory that shrinks under us is a short read and not a signal.
"""

import os
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backends.base import MappedPages
from guid.core.trusted import CursorName, Geometry, SizeHints, StateFlags, Title, WindowClass, WindowId
from guid.hosts.base import Rects
from guiproto.limits import BYTES_PER_PIXEL

_NO_FLAGS: Final = StateFlags(0)
_RGB: Final = np.uint32(0x00FFFFFF)

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
        stride = self.width * BYTES_PER_PIXEL
        if pages.region is None:
            assert pages.view is not None, "pages without a region have a view"
            rows = np.frombuffer(pages.view[y * stride : (y + height) * stride], np.uint32)
        else:
            memory = bytearray(height * stride)
            os.preadv(pages.region.fd, [memory], pages.offset + y * stride)
            rows = np.frombuffer(memory, np.uint32)
        return rows.reshape(height, self.width)[:, x : x + width] & _RGB


@dataclass(slots=True)
class HeadlessWindow:
    """One window; tests and tools may look at every field."""

    id: WindowId
    geometry: Geometry
    override_redirect: bool
    border: int
    background: int
    mapped: bool = False
    transient_for: WindowId | None = None
    buffer: Buffer | None = None
    title: Title | None = None
    class_: WindowClass | None = None
    hints: SizeHints | None = None
    states: StateFlags = _NO_FLAGS
    cursor: CursorName | None = None
    docked: bool = False
    content: Pixels = field(init=False)

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing was painted yet: background, or what the buffer has."""
        self.content = np.full((self.geometry.height, self.geometry.width), self.background, np.uint32)
        self._expose(0, 0)

    def place(self, geometry: Geometry) -> None:
        """Move and resize; what was painted stays where it was in the content."""
        before = self.content
        self.geometry = geometry
        self.content = np.full((geometry.height, geometry.width), self.background, np.uint32)
        height, width = (min(a, b) for a, b in zip(before.shape, self.content.shape, strict=True))
        self.content[:height, :width] = before[:height, :width]
        self._expose(width, height)

    def paint(self, rects: Rects) -> None:
        """Bring parts of the buffer to the content."""
        buffer = self.buffer
        if buffer is None:
            return
        bottom, right = self.content.shape
        for x, y, width, height in rects.tolist():
            width, height = min(width, right - x), min(height, bottom - y)
            if width > 0 and height > 0:
                self.content[y : y + height, x : x + width] = buffer.read(x, y, width, height)

    def _expose(self, width: int, height: int) -> None:
        """Everything but the upper left `width` x `height` is new."""
        if self.buffer is None:
            return
        right, bottom = min(self.buffer.width, self.geometry.width), min(self.buffer.height, self.geometry.height)
        new = [(width, 0, right - width, bottom), (0, height, right, bottom - height)]
        self.paint(np.array([rect for rect in new if rect[2] > 0 and rect[3] > 0], np.int32).reshape(-1, 4))
