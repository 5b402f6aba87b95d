"""Buffers with known pixels, as a page mapper would hand them to a host."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backends.base import MappedPages
from guid.hosts.base import Rects
from shm.region import Region

_PAGE = 4096


@dataclass(frozen=True)
class Picture:
    """`pixels` is u32 [height, width] and is the memory itself: writing to it is what a guest does."""

    pages: MappedPages
    pixels: NDArray[np.uint32]

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


def noise(
    width: int, height: int, seed: int = 1, *, form: str = "region", offset: int = 0, file: Path | None = None
) -> Picture:
    """Random pixels. `form`: "region", or "view" for pages without a descriptor. `file`: in that file, unsealed."""
    length = -(-width * height * 4 // _PAGE) * _PAGE
    if file is None:
        region = Region.create(offset + length)
    else:
        file.write_bytes(bytes(offset + length))
        region = Region(os.open(file, os.O_RDWR | os.O_CLOEXEC), offset + length)
    memory = region.view(writable=True)
    pixels = np.frombuffer(memory, np.uint32, width * height, offset).reshape(height, width)
    pixels[:] = np.random.default_rng(seed).integers(0, 1 << 24, (height, width), np.uint32)
    if form == "view":
        region.close()
        pages = MappedPages(None, 0, length, memory[offset : offset + length].toreadonly(), 1, lambda: None)
    else:
        pages = MappedPages(region, offset, length, None, 0, lambda: None)
    return Picture(pages, pixels)


def whole(picture: Picture) -> Rects:
    """One rectangle: all of it."""
    return np.array([[0, 0, picture.width, picture.height]], np.int32)


def rects(*parts: tuple[int, int, int, int]) -> Rects:
    return np.array(parts, np.int32).reshape(-1, 4)
