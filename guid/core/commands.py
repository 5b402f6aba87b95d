"""What the core wants done. Plain data: the worker carries it out on a host, a mapper and a vchan.

The two that are frequent are tuples, which cost a fifth of a frozen dataclass to make.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from guid.core.config import Limit
from guid.core.trusted import CursorName, Geometry, SizeHints, StateFlags, Title, WindowClass, WindowId
from guiproto.messages import Message
from shm.damage import EitherRects


class SendToAgent(NamedTuple):
    """Put this message on the vchan."""

    message: Message


@dataclass(frozen=True, slots=True)
class CreateWindow:
    window: WindowId
    geometry: Geometry
    override_redirect: bool


@dataclass(frozen=True, slots=True)
class DestroyWindow:
    window: WindowId


@dataclass(frozen=True, slots=True)
class MapWindow:
    window: WindowId
    override_redirect: bool
    transient_for: WindowId | None


@dataclass(frozen=True, slots=True)
class UnmapWindow:
    window: WindowId


@dataclass(frozen=True, slots=True)
class ConfigureWindow:
    window: WindowId
    geometry: Geometry


@dataclass(frozen=True, slots=True)
class AttachBuffer:
    """Map `refs` (frame numbers if `frames`) and show them as width x height; on failure the session ends.

    Whatever comes of it, the WINDOW_DUMP_ACK that follows is sent after the old buffer is no longer in use.
    """

    window: WindowId
    width: int
    height: int
    refs: NDArray[np.uint32]
    frames: bool = False
    offset: int = 0


@dataclass(frozen=True, slots=True)
class DetachBuffer:
    window: WindowId


class Paint(NamedTuple):
    """`rects`: x, y, width, height each, none empty, all inside the window's buffer."""

    window: WindowId
    rects: EitherRects


@dataclass(frozen=True, slots=True)
class SetTitle:
    window: WindowId
    title: Title


@dataclass(frozen=True, slots=True)
class SetClass:
    window: WindowId
    name: WindowClass


@dataclass(frozen=True, slots=True)
class SetHints:
    window: WindowId
    hints: SizeHints


@dataclass(frozen=True, slots=True)
class SetState:
    window: WindowId
    set: StateFlags
    unset: StateFlags


@dataclass(frozen=True, slots=True)
class Maximize:
    """Have the window take all the room that panels leave, with its frame; or no longer."""

    window: WindowId
    maximized: bool


@dataclass(frozen=True, slots=True)
class SetTransientFor:
    """For a window that is shown; `MapWindow` says it of others."""

    window: WindowId
    owner: WindowId | None


@dataclass(frozen=True, slots=True)
class SetCursor:
    window: WindowId
    cursor: CursorName | None


@dataclass(frozen=True, slots=True)
class DockWindow:
    window: WindowId


@dataclass(frozen=True, slots=True)
class Log:
    """Tell the user, in one line that holds no text of the AppVM's choice."""

    text: str


@dataclass(frozen=True, slots=True)
class Notify:
    """The same, and where the user looks: on the desktop."""

    text: str


@dataclass(frozen=True, slots=True)
class LimitReached:
    """The VM wants more than that quota allows, and does not get it."""

    limit: Limit


@dataclass(frozen=True, slots=True)
class BeginCopy:
    """The user wants this VM's clipboard for other VMs. One of the next two follows, or nothing if the agent goes."""


@dataclass(frozen=True, slots=True)
class Copied:
    """That is what the agent gave: at least one byte, and no more than its VM may give at once."""

    text: bytes


@dataclass(frozen=True, slots=True)
class NotCopied:
    """It gave nothing that counts; the user has been told."""


@dataclass(frozen=True, slots=True)
class WantPaste:
    """The user wants what was copied to be given to this VM: `Session.paste`, if that may be."""


Command = (
    SendToAgent | CreateWindow | DestroyWindow | MapWindow | UnmapWindow | ConfigureWindow | AttachBuffer | DetachBuffer
    | SetTitle | SetClass | SetHints | SetState | Maximize | SetTransientFor | SetCursor | DockWindow | Log | Notify
    | LimitReached | BeginCopy | Copied | NotCopied | WantPaste
)  # fmt: skip
