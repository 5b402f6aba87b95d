"""A window's pixels come from memory that the X server itself reads; no put can reach past the end of that memory.

Pages that a descriptor stands for are attached read-only and put from where they are. Pages that are only a view are
copied, the damaged rectangles of them, into a region of our own, and put from there; so are icons that are tinted.
"""

import os

import numpy as np
from numpy.typing import NDArray

from backends.base import MappedPages
from guid.core.trusted import Geometry
from guid.hosts.base import Rects
from guid.hosts.x11.tint import tinted
from guiproto.limits import BYTES_PER_PIXEL, PAGE_SIZE
from shm.damage import rows
from shm.region import Region
from shm.xshm import ShmPath


class Buffer:
    """An image of `width` x `height` pixels at `offset` of `region`, which the X server knows as `segment`."""

    copies = False

    def __init__(self, pages: MappedPages, region: Region, segment: int, offset: int, width: int, height: int) -> None:
        assert 0 <= offset <= region.size - width * height * BYTES_PER_PIXEL, "a buffer outside its region"
        self.pages = pages
        self.region = region
        self.segment = segment
        self.offset = offset
        self.width = width
        self.height = height
        self.size = width, height

    def refresh(self, rects: Rects) -> None:
        """Bring the guest's pixels of these rectangles into the region, where `copies`: else they are there."""

    def close(self) -> None:
        """Give up what the buffer itself owns, after its region was detached."""


class ShadowBuffer(Buffer):
    """Pages without a descriptor: a copy of them in a region of our own, as far as something was painted."""

    copies = True

    def __init__(self, pages: MappedPages, view: memoryview, shm: ShmPath, width: int, height: int) -> None:
        size = width * height * BYTES_PER_PIXEL
        assert len(view) >= size, "a buffer outside its view"
        region = Region.create(-(-size // PAGE_SIZE) * PAGE_SIZE, "window-shadow")
        try:
            super().__init__(pages, region, shm.attach(region), 0, width, height)
        except BaseException:
            region.close()
            raise
        self._source: NDArray[np.uint32] = np.frombuffer(view[:size], np.uint32).reshape(height, width)
        self._copy: NDArray[np.uint32] = np.frombuffer(region.view(writable=True)[:size], np.uint32).reshape(
            height, width
        )

    def refresh(self, rects: Rects) -> None:
        for x, y, width, height in rows(rects):
            part = np.s_[y : y + height, x : x + width]
            self._copy[part] = self._source[part]

    def close(self) -> None:
        del self._source, self._copy
        self.region.close()


class TintedBuffer(Buffer):
    """A copy in the colours of a label, so that none of the guest's own colours is seen.

    The guest's pixels are read and not mapped: memory that it takes away then is black, and ends nobody.
    """

    copies = True

    def __init__(self, pages: MappedPages, shm: ShmPath, width: int, height: int, color: int) -> None:
        region = Region.create(-(-width * height * BYTES_PER_PIXEL // PAGE_SIZE) * PAGE_SIZE, "window-tint")
        try:
            super().__init__(pages, region, shm.attach(region), 0, width, height)
        except BaseException:
            region.close()
            raise
        self._color = color
        count = width * height
        self._copy: NDArray[np.uint32] = np.frombuffer(region.view(writable=True), np.uint32, count).reshape(
            height, width
        )

    def refresh(self, rects: Rects) -> None:
        for x, y, width, height in rows(rects):
            pixels = self._read(y, height)[:, x : x + width]
            self._copy[y : y + height, x : x + width] = tinted(pixels, self._color)

    def close(self) -> None:
        del self._copy
        self.region.close()

    def _read(self, y: int, height: int) -> NDArray[np.uint32]:
        """Whole lines, as they are now."""
        stride = self.width * BYTES_PER_PIXEL
        lines = bytearray(height * stride)
        if self.pages.region is None:
            assert self.pages.view is not None, "pages without a region have a view"
            lines[:] = self.pages.view[y * stride : (y + height) * stride]
        else:
            os.preadv(self.pages.region.fd, [lines], self.pages.offset + y * stride)
        return np.frombuffer(lines, np.uint32).reshape(height, self.width)


class Buffers:
    """Keeps every region attached for as long as a window shows something of it."""

    def __init__(self, shm: ShmPath) -> None:
        self._shm = shm
        self._users: dict[Region, int] = {}

    def open(self, pages: MappedPages, width: int, height: int, tint: int | None = None) -> Buffer:
        """The buffer for `pages`, `tint`ed if that is a colour. Raises MachineCannot if the X server cannot attach it.

        A tinted one is copied, pixel by pixel and slowly: for icons only.
        """
        if tint is not None:
            buffer: Buffer = TintedBuffer(pages, self._shm, width, height, tint)
        elif pages.region is None:
            assert pages.view is not None, "pages without a region have a view"
            buffer = ShadowBuffer(pages, pages.view, self._shm, width, height)
        else:
            assert width * height * BYTES_PER_PIXEL <= pages.length, "a buffer outside its pages"
            buffer = Buffer(pages, pages.region, self._shm.attach(pages.region), pages.offset, width, height)
        self._users[buffer.region] = self._users.get(buffer.region, 0) + 1
        return buffer

    def close(self, buffer: Buffer) -> None:
        """A window no longer shows it."""
        left = self._users[buffer.region] - 1
        if left:
            self._users[buffer.region] = left
        else:
            del self._users[buffer.region]
            self._shm.detach(buffer.region)
        buffer.close()

    def __len__(self) -> int:
        """How many regions are attached."""
        return len(self._users)


def clipped(rects: NDArray[np.int32], bounds: Geometry) -> NDArray[np.int32]:
    """The parts of `rects` inside `bounds`, without the empty ones."""
    left = np.maximum(rects[:, 0], bounds.x)
    top = np.maximum(rects[:, 1], bounds.y)
    right = np.minimum(rects[:, 0] + rects[:, 2], bounds.x + bounds.width)
    bottom = np.minimum(rects[:, 1] + rects[:, 3], bounds.y + bounds.height)
    parts = np.stack((left, top, right - left, bottom - top), axis=1)
    return np.ascontiguousarray(parts[(parts[:, 2] > 0) & (parts[:, 3] > 0)])
