"""The only place where an AppVM's words become trusted values: clamped, cleaned, or refused with PeerMisbehaved.

Nothing here knows a window or a screen; what depends on those is policy and lives in `guid.core.session`. The rules are
those of protocol.md, "Validation". Sizes on the wire are u32; where existing daemons look at them as signed numbers, so
do we.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from guid.core.text import ascii_text, ascii_title, utf8_title
from guid.core.trusted import CursorName, Geometry, HintFlags, Icon, SizeHints, StateFlags, Title, WindowClass
from guiproto import limits
from guiproto.errors import PeerMisbehaved
from guiproto.icons import WindowIcon
from guiproto.messages import (
    ClipboardData,
    Configure,
    Create,
    Cursor,
    MfnDump,
    WindowDump,
    WindowFlags,
    WindowHints,
    WmClass,
    WmName,
)

_I32_MAX: Final = 2**31 - 1
_SETTABLE: Final = StateFlags.FULLSCREEN | StateFlags.DEMANDS_ATTENTION | StateFlags.MINIMIZE
_ICON_SIDE: Final = 64
_SAMPLED_SIDE: Final = 4 * _ICON_SIDE
"""Of an icon that is larger still not every pixel is looked at: the time that one takes stays small."""
_UNSETTABLE: Final = StateFlags.FULLSCREEN | StateFlags.DEMANDS_ATTENTION


@dataclass(frozen=True, slots=True)
class Buffer:
    """A window buffer whose references suffice: rows of width * 4 bytes from `offset` on, no more pages than needed."""

    width: int
    height: int
    refs: NDArray[np.uint32]
    offset: int = 0


def create(message: Create) -> Geometry:
    """Where the window is to be. A size of 0 becomes 1: X knows no empty windows, and nobody is harmed."""
    if message.width > _I32_MAX or message.height > _I32_MAX:
        raise PeerMisbehaved("CREATE size", f"{message.width}x{message.height} is negative as a signed number")
    return _geometry(message.x, message.y, max(1, message.width), max(1, message.height))


def configure(message: Configure) -> Geometry:
    """Where the window is, or wants to be. A size of 0 is a violation."""
    if message.width == 0 or message.height == 0:
        raise PeerMisbehaved("CONFIGURE size", f"{message.width}x{message.height}")
    return _geometry(message.x, message.y, message.width, message.height)


def title(message: WmName, *, utf8: bool = False) -> Title:
    """The title; the last byte on the wire never counts."""
    data = message.data[: limits.TITLE_BYTES - 1]
    return Title(utf8_title(data) if utf8 else ascii_title(data))


def window_class(message: WmClass) -> WindowClass:
    """WM_CLASS; the last byte of each half on the wire never counts."""
    cut = limits.CLASS_BYTES - 1
    return WindowClass(name=ascii_text(message.res_name[:cut]), class_=ascii_text(message.res_class[:cut]))


def hints(message: WindowHints) -> SizeHints:
    """The hints that make sense. One that does not is left out, and unknown ones are."""
    width, height = limits.MAX_WINDOW_WIDTH, limits.MAX_WINDOW_HEIGHT
    flags = HintFlags(message.flags & (HintFlags.US_POSITION | HintFlags.P_POSITION))
    fields: dict[str, int] = {}
    if message.flags & HintFlags.P_MIN_SIZE and message.min_width <= width and message.min_height <= height:
        flags |= HintFlags.P_MIN_SIZE
        fields |= {"min_width": message.min_width, "min_height": message.min_height}
    if message.flags & HintFlags.P_MAX_SIZE and 0 < message.max_width <= width and 0 < message.max_height <= height:
        flags |= HintFlags.P_MAX_SIZE
        fields |= {"max_width": message.max_width, "max_height": message.max_height}
    # Existing daemons let an increment of 0 pass; window managers divide by it.
    if message.flags & HintFlags.P_RESIZE_INC and 0 < message.width_inc < width and 0 < message.height_inc < height:
        flags |= HintFlags.P_RESIZE_INC
        fields |= {"width_inc": message.width_inc, "height_inc": message.height_inc}
    if message.flags & HintFlags.P_BASE_SIZE and message.base_width <= width and message.base_height <= height:
        flags |= HintFlags.P_BASE_SIZE
        fields |= {"base_width": message.base_width, "base_height": message.base_height}
    return SizeHints(flags, **fields)


def dropped_hints(message: WindowHints, kept: SizeHints) -> HintFlags:
    """Which known hints `hints` left out, for the log."""
    return HintFlags(message.flags & sum(HintFlags) & ~kept.flags)


def flags(message: WindowFlags) -> tuple[StateFlags, StateFlags]:
    """What to set and what to clear. Minimising wins over fullscreen; only MAP ends being minimised."""
    if message.set & message.unset:
        raise PeerMisbehaved("WINDOW_FLAGS", f"both set and unset: {message.set & message.unset:#x}")
    set_ = StateFlags(message.set & _SETTABLE)
    if set_ & StateFlags.MINIMIZE:
        set_ &= ~StateFlags.FULLSCREEN
    return set_, StateFlags(message.unset & _UNSETTABLE)


def cursor(message: Cursor) -> CursorName | None:
    """One of the X cursor font's glyphs, or None for the default; odd indices are masks, so the default too."""
    if message.cursor & limits.CURSOR_X11:
        if message.cursor > limits.CURSOR_X11_MAX:
            raise PeerMisbehaved("CURSOR", f"{message.cursor:#x} is past the cursor font")
        index = message.cursor - limits.CURSOR_X11
        return None if index % 2 else CursorName(index)
    if message.cursor != limits.CURSOR_DEFAULT:
        raise PeerMisbehaved("CURSOR", f"{message.cursor:#x}")
    return None


def dump(message: WindowDump) -> Buffer:
    """The announced buffer. References beyond those needed are allowed and left out."""
    if message.kind != 0:
        raise PeerMisbehaved("WINDOW_DUMP type", f"type {message.kind}")
    return Buffer(message.width, message.height, _needed("WINDOW_DUMP", message, 0))


def frames(message: MfnDump) -> Buffer:
    """The same for frame numbers; whether they are allowed at all is for the caller to know."""
    if message.num_mfn != len(message.refs) or message.num_mfn > limits.MAX_REFS:
        raise PeerMisbehaved("MFNDUMP references", f"{message.num_mfn} announced, {len(message.refs)} sent")
    if message.off >= limits.PAGE_SIZE:
        raise PeerMisbehaved("MFNDUMP offset", f"{message.off} is not within the first page")
    return Buffer(message.width, message.height, _needed("MFNDUMP", message, message.off), message.off)


def clipboard(message: ClipboardData) -> bytes | None:
    """The text, or None where the agent says that it was over the limit."""
    size = len(message.data)
    if size > limits.CLIPBOARD_OVERSIZE:
        raise PeerMisbehaved("CLIPBOARD_DATA size", f"{size} bytes")
    return None if size == limits.CLIPBOARD_OVERSIZE else message.data


def icon(message: WindowIcon) -> Icon:
    """The icon, made smaller if it is larger than 64 x 64. Its colours are the VM's: whoever shows it tints them."""
    width, height = message.width, message.height
    rgba = np.frombuffer(message.rgba, np.uint8).reshape(height, width, 4)
    longest = max(width, height)
    if longest > _ICON_SIDE:
        step = max(1, longest // _SAMPLED_SIDE)
        rgba = rgba[::step, ::step]
        rgba = _smaller(rgba, max(1, width * _ICON_SIDE // longest), max(1, height * _ICON_SIDE // longest))
    argb = np.ascontiguousarray(rgba[..., [2, 1, 0, 3]]).view("<u4")[..., 0]
    return Icon(argb.astype(np.uint32))


def _smaller(rgba: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Every pixel the mean of those in its place, each of which counts as much as it is opaque."""
    rows, columns = (np.arange(new) * old // new for new, old in zip((height, width), rgba.shape, strict=False))
    alpha = rgba[..., 3:].astype(np.uint16)
    parts = np.concatenate((rgba[..., :3] * alpha, alpha), axis=-1)
    sums = np.add.reduceat(np.add.reduceat(parts, rows, axis=0, dtype=np.uint32), columns, axis=1, dtype=np.uint32)
    count = np.diff(rows, append=rgba.shape[0])[:, None] * np.diff(columns, append=rgba.shape[1])
    opaque = sums[..., 3:]
    colors = sums[..., :3] // np.maximum(opaque, 1)
    result: NDArray[np.uint8] = np.concatenate((colors, opaque // count[..., None]), axis=-1).astype(np.uint8)
    return result


def _geometry(x: int, y: int, width: int, height: int) -> Geometry:
    most_x, most_y = limits.MAX_WINDOW_WIDTH, limits.MAX_WINDOW_HEIGHT
    return Geometry(max(-most_x, min(most_x, x)), max(-most_y, min(most_y, y)), min(most_x, width), min(most_y, height))


def _needed(name: str, message: WindowDump | MfnDump, offset: int) -> NDArray[np.uint32]:
    width, height = message.width, message.height
    if not (1 <= width <= limits.MAX_WINDOW_WIDTH and 1 <= height <= limits.MAX_WINDOW_HEIGHT):
        raise PeerMisbehaved(f"{name} size", f"{width}x{height}")
    pages = -(-(width * height * limits.BYTES_PER_PIXEL + offset) // limits.PAGE_SIZE)
    if len(message.refs) < pages:
        raise PeerMisbehaved(f"{name} references", f"{len(message.refs)} for {width}x{height}, which takes {pages}")
    return message.refs[:pages]
