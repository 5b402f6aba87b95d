"""What a source of windows reports to the core: plain data, in the order it happened.

A window id is the source's own number, u32 and not 0; after `Destroyed` it may be used again. Geometry is that of the
content in root coordinates, pixels. Every event but `Created` is about a window that was created and not destroyed.
"""

from collections.abc import Sequence
from typing import NamedTuple

from guiagent.core.buffers import Buffer
from guiproto.messages import WindowFlag

Rect = tuple[int, int, int, int]
"""x, y, width, height inside a buffer; none of them negative, width and height at least 1."""


class SizeHints(NamedTuple):
    """ICCCM WM_SIZE_HINTS as the client set them: `flags` of `guiproto.messages.Hint` says which fields count."""

    flags: int = 0
    min_width: int = 0
    min_height: int = 0
    max_width: int = 0
    max_height: int = 0
    width_inc: int = 0
    height_inc: int = 0
    base_width: int = 0
    base_height: int = 0


class Created(NamedTuple):
    """A top-level window exists; it is not mapped."""

    window: int
    x: int
    y: int
    width: int
    height: int
    override_redirect: bool


class Destroyed(NamedTuple):
    """It is gone."""

    window: int


class Mapped(NamedTuple):
    """It is shown."""

    window: int
    override_redirect: bool


class Unmapped(NamedTuple):
    """It is hidden. The source stops capturing it by itself."""

    window: int


class Configured(NamedTuple):
    """It is there now. Also the answer to every `Configure` operation, even if that changed nothing."""

    window: int
    x: int
    y: int
    width: int
    height: int
    override_redirect: bool


class Titled(NamedTuple):
    """Its title."""

    window: int
    text: str


class Classified(NamedTuple):
    """Its WM_CLASS."""

    window: int
    name: str
    class_: str


class Hinted(NamedTuple):
    """Its size hints."""

    window: int
    hints: SizeHints


class TransientFor(NamedTuple):
    """The window that it belongs to, 0 for none; may be one that the source never reported."""

    window: int
    parent: int


class StateWished(NamedTuple):
    """It wishes to enter and leave these states."""

    window: int
    set: WindowFlag
    unset: WindowFlag


class CursorShown(NamedTuple):
    """The cursor over it: an index into X's cursor font, or None for the default one."""

    window: int
    shape: int | None


class Docked(NamedTuple):
    """It belongs into the notification area."""

    window: int


class FrameReady(NamedTuple):
    """The pixels of `rects` are in `buffer` now, readable for the GUI domain: nothing is still being copied.

    The first frame in a buffer covers all of it. `rects` are few (the source merges them) and lie inside the buffer.
    """

    window: int
    buffer: Buffer
    rects: Sequence[Rect]


SourceEvent = (
    Created | Destroyed | Mapped | Unmapped | Configured | Titled | Classified | Hinted | TransientFor | StateWished
    | CursorShown | Docked | FrameReady
)  # fmt: skip
