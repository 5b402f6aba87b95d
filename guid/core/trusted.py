"""Values that may reach a display host. Those made from an AppVM's words are built in `guid.core.validate` only."""

from dataclasses import dataclass
from enum import IntFlag
from typing import NewType

import numpy as np
from numpy.typing import NDArray

from guiproto.messages import WindowFlag

WindowId = NewType("WindowId", int)
"""The AppVM's number for a window that exists in our table; u32."""

StateFlags = WindowFlag

__all__ = [
    "CursorName",
    "Geometry",
    "HintFlags",
    "Icon",
    "Label",
    "SizeHints",
    "StateFlags",
    "Title",
    "WindowClass",
    "WindowId",
]


@dataclass(frozen=True, slots=True)
class Geometry:
    """A rectangle in pixels. From validation: |x| <= 16384, |y| <= 6144, 1 <= width <= 16384, 1 <= height <= 6144."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Title:
    """Printable text, at most 127 characters, no control or bidirectional characters."""

    text: str


@dataclass(frozen=True, slots=True)
class WindowClass:
    """WM_CLASS in printable ASCII, at most 63 characters each."""

    name: str
    class_: str


class HintFlags(IntFlag):
    """WM_SIZE_HINTS flags that survive validation."""

    US_POSITION = 1
    P_POSITION = 4
    P_MIN_SIZE = 16
    P_MAX_SIZE = 32
    P_RESIZE_INC = 64
    P_BASE_SIZE = 256


@dataclass(frozen=True, slots=True)
class SizeHints:
    """WM_SIZE_HINTS of the content; fields whose flag is not set are 0."""

    flags: HintFlags
    min_width: int = 0
    min_height: int = 0
    max_width: int = 0
    max_height: int = 0
    width_inc: int = 0
    height_inc: int = 0
    base_width: int = 0
    base_height: int = 0


@dataclass(frozen=True, slots=True)
class CursorName:
    """An index into X's cursor font: 0 to 153."""

    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Icon:
    """A window's icon: u32 [height, width], 0xAARRGGBB and not premultiplied; each side 1 to 64 pixels."""

    pixels: NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Label:
    """A VM's label: its name, its colour as 0xRRGGBB, and Qubes' number for it."""

    name: str
    color: int
    index: int
