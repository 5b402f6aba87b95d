"""One window: what it is, what the daemon was told, and the shortest run of messages from the one to the other.

Nothing queues per event. A change marks what is due, and `messages` says it once the daemon has room: however often a
program changes its title, moves or repaints while the daemon does not read, at most one message of each kind is owed.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from guiagent.core.buffers import Buffer
from guiagent.core.source_events import Rect, SizeHints
from guiagent.core.titles import class_field, title_field
from guiproto.limits import CURSOR_DEFAULT, CURSOR_X11
from guiproto.messages import (
    Configure,
    Create,
    Cursor,
    Dock,
    Map,
    Message,
    ShmImage,
    Unmap,
    WindowDump,
    WindowFlag,
    WindowFlags,
    WindowHints,
    WmClass,
    WmName,
)
from shm.damage import merge

_BITS_PER_PIXEL: Final = 32
_GRANT_REFS: Final = 0

DAMAGE_LIMIT: Final = 32
"""Rectangles owed per window at most; more are merged."""

_NONE: Final = WindowFlag(0)
_NO_HINTS: Final = SizeHints()


class Due:
    """Bits of `Window.due`: what the daemon has to be told. Plain integers, as enum's flags cost a microsecond each."""

    HINTS: Final = 1
    NAME: Final = 2
    CLASS: Final = 4
    CONFIGURE: Final = 8
    FLAGS: Final = 16
    UNMAP: Final = 32
    MAP: Final = 64
    CURSOR: Final = 128
    OWNER: Final = 256


@dataclass(slots=True)
class Window:
    """A top-level window of this VM."""

    id: int
    x: int
    y: int
    width: int
    height: int
    override_redirect: bool
    mapped: bool = False
    docked: bool = False
    transient_for: int = 0
    title: str | None = None
    class_: tuple[str, str] | None = None
    hints: SizeHints = _NO_HINTS
    state: WindowFlag = _NONE
    cursor: int | None = None
    buffer: Buffer | None = None
    """What the source captures into, once its first frame is complete."""
    replaced: list[Buffer] = field(default_factory=list)
    """Buffers that it no longer is captured into, but that the daemon shows until it acknowledges a later one."""
    capture_due: bool = False
    """A new buffer is wanted as soon as the daemon has acknowledged an older one."""

    announced: bool = False
    """The daemon knows the window: CREATE is on its way."""
    shown: bool = False
    """The daemon was told that it is mapped (or docked)."""
    dumped: Buffer | None = None
    """The buffer that the daemon was told of last and still shows."""
    answer_due: bool = False
    """A CONFIGURE of the daemon's is open."""
    due: int = 0
    wish_set: WindowFlag = _NONE
    wish_unset: WindowFlag = _NONE
    damage: list[Rect] = field(default_factory=list)

    def copy(self) -> "Window":
        """The same window without pixels, as no daemon knows it."""
        fresh = replace(self, buffer=None, replaced=[], capture_due=False, damage=[])
        fresh.unknown_to_daemon()
        return fresh

    def damaged(self, buffer: Buffer, rects: list[Rect]) -> None:
        """Owe the daemon these rectangles of `buffer`, bounded."""
        if buffer is not self.dumped:
            return  # its dump is due, and all of it with that
        damage = self.damage
        damage += rects
        if len(damage) > DAMAGE_LIMIT:
            merged = merge(np.array(damage, np.int32), DAMAGE_LIMIT // 2)
            self.damage = [(x, y, w, h) for x, y, w, h in merged.tolist()]

    def wishes(self, set_: WindowFlag, unset: WindowFlag) -> None:
        """The window asks for a state change."""
        self.wish_set = (self.wish_set | set_) & ~unset
        self.wish_unset = (self.wish_unset | unset) & ~set_
        self.state = (self.state | set_) & ~unset
        self.due |= Due.FLAGS

    def unknown_to_daemon(self) -> None:
        """There is another daemon, or none."""
        self.announced = self.shown = self.answer_due = False
        self.dumped = None
        self.due = 0
        self.wish_set = self.wish_unset = _NONE
        self.damage.clear()

    def messages(self, parent: int) -> list[Message]:
        """Everything due, in the order that the protocol knows; afterwards nothing is due.

        `parent` is the transient parent if the daemon knows it, else 0.
        """
        out: list[Message] = []
        if not self.announced:
            self._announce(out)
        if self.due:
            self._properties(out)
            self._visibility(out, parent)
            self.due = 0
        if self.shown and self.buffer is not None:
            self._pixels(out, self.buffer)
        return out

    def _announce(self, out: list[Message]) -> None:
        self.announced = True
        out.append(Create(self.id, self.x, self.y, self.width, self.height, 0, self.override_redirect))
        self.due |= Due.CONFIGURE
        if self.hints.flags:
            self.due |= Due.HINTS
        if self.title is not None:
            self.due |= Due.NAME
        if self.class_ is not None:
            self.due |= Due.CLASS
        if self.cursor is not None:
            self.due |= Due.CURSOR
        if self.mapped:
            self.due |= Due.FLAGS | Due.MAP
        self.wish_set = self.state

    def _properties(self, out: list[Message]) -> None:
        due, window = self.due, self.id
        if due & Due.HINTS:
            out.append(WindowHints(window, *self.hints))
        if due & Due.NAME:
            out.append(WmName(window, title_field(self.title or "")))
        if due & Due.CLASS and self.class_ is not None:
            name, class_ = self.class_
            out.append(WmClass(window, class_field(class_), class_field(name)))
        if due & Due.CONFIGURE:
            out.append(Configure(window, self.x, self.y, self.width, self.height, self.override_redirect))
            self.answer_due = False
        if due & Due.FLAGS:
            out.append(WindowFlags(window, self.wish_set, self.wish_unset))
            self.wish_set = self.wish_unset = _NONE
        if due & Due.CURSOR:
            index = self.cursor
            out.append(Cursor(window, CURSOR_DEFAULT if index is None else CURSOR_X11 + index))

    def _visibility(self, out: list[Message], parent: int) -> None:
        if self.due & Due.UNMAP and self.shown:
            out.append(Unmap(self.id))
            self.shown = False
            self.dumped = None
            self.damage.clear()
        if self.due & Due.MAP and self.mapped and not self.shown:
            out.append(Dock(self.id) if self.docked else Map(self.id, parent, self.override_redirect))
            self.shown = True
        elif self.due & Due.OWNER and self.shown and not self.docked:
            out.append(Map(self.id, parent, self.override_redirect))  # daemons that do not know this ignore it

    def _pixels(self, out: list[Message], buffer: Buffer) -> None:
        if self.dumped is not buffer:
            self.dumped = buffer
            out.append(WindowDump(self.id, _GRANT_REFS, buffer.width, buffer.height, _BITS_PER_PIXEL, buffer.refs))
            self.damage = [(0, 0, buffer.width, buffer.height)]
        window = self.id
        out += [ShmImage(window, x, y, width, height) for x, y, width, height in self.damage]
        self.damage.clear()
