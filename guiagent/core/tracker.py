"""The daemon hears of every window, in an order it accepts, and buffers live until it has let go of them.

The agent's whole state: windows as the source reports them, and what the present daemon was told. Two inputs, `handle`
(the source spoke) and `receive` (the daemon spoke), return operations for the source at once. What the daemon is to be
told is pulled with `take`, when there is room for it: memory is bounded by the number of windows, never by time.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from guiagent.core.buffers import Ledger
from guiagent.core.operations import Capture, Forget, Operation, ReleaseAll
from guiagent.core.source_events import (
    Classified,
    Configured,
    Created,
    CursorShown,
    Destroyed,
    Docked,
    FrameReady,
    Hinted,
    Mapped,
    SourceEvent,
    StateWished,
    Titled,
    TransientFor,
    Unmapped,
)
from guiagent.core.window import Due, Window
from guiproto import limits
from guiproto.messages import (
    Button,
    Close,
    Configure,
    Crossing,
    Destroy,
    Focus,
    KeymapNotify,
    KeyPress,
    Map,
    Message,
    Motion,
    Unmap,
    WindowDumpAck,
    WindowFlag,
    WindowFlags,
)

MAX_UNACKNOWLEDGED: Final = 2
"""While so many buffers of a window wait for their acknowledgement, it gets no new one: a window that is resized faster
than the daemon maps skips sizes. One more may be on its way when the limit is reached."""

_MAX_PARENTS: Final = 64
_ALL_FLAGS: Final = WindowFlag.FULLSCREEN | WindowFlag.DEMANDS_ATTENTION | WindowFlag.MINIMIZE
_COORDINATE_LIMIT: Final = 32767


class Tracker:
    """One source's windows and at most one daemon. `audience`: under which the source knows the daemon's domain."""

    def __init__(self, audience: int = 0) -> None:
        self._audience = audience
        self.windows: dict[int, Window] = {}
        self._minor: int | None = None
        self._ledger = Ledger()
        self._dirty: dict[int, None] = {}
        self._leaving: list[tuple[int, bool]] = []
        self._echoes: dict[int, int] = {}
        self._on_event: dict[type[SourceEvent], Callable[[Any], Iterable[Operation]]] = {
            Created: self._created,
            Destroyed: self._destroyed,
            Mapped: self._mapped,
            Unmapped: self._unmapped,
            Configured: self._configured,
            Titled: self._titled,
            Classified: self._classified,
            Hinted: self._hinted,
            TransientFor: self._transient_for,
            StateWished: self._state_wished,
            CursorShown: self._cursor_shown,
            Docked: self._docked,
            FrameReady: self._frame_ready,
        }
        self._on_message: dict[type[object], Callable[[Any], Iterable[Operation]]] = {
            **dict.fromkeys((KeyPress, Button, Motion, Crossing, Focus, Close), self._input),
            KeymapNotify: self._keys,
            WindowFlags: self._flagged,
            Map: self._restored,
            Configure: self._ordered,
            WindowDumpAck: self._acknowledged,
            Destroy: self._echoed,
        }

    def twin(self, audience: int) -> "Tracker":
        """Another tracker that knows the same windows, for a daemon that knows none of them. See `start`."""
        other = Tracker(audience)
        other.windows = {number: window.copy() for number, window in self.windows.items()}
        return other

    def start(self) -> list[Operation]:
        """Begin to have the pixels of every window that is mapped: for a twin, whose source has been told of it."""
        return [operation for window in self.windows.values() if window.mapped for operation in self._capture(window)]

    # --- the source ---

    def handle(self, event: SourceEvent) -> Iterable[Operation]:
        """What the source reported. Events about unknown windows are ignored, but for the buffers they bring."""
        return self._on_event[type(event)](event)

    def _created(self, event: Created) -> Iterable[Operation]:
        if event.window in self.windows:
            return ()
        self.windows[event.window] = Window(*event)
        self._dirty[event.window] = None
        return ()

    def _destroyed(self, event: Destroyed) -> Iterable[Operation]:
        window = self.windows.pop(event.window, None)
        if window is None:
            return ()
        self._dirty.pop(event.window, None)
        if window.announced:
            self._leaving.append((window.id, window.shown))
            if self._minor is not None and self._minor >= limits.SINCE_DESTROY_ACK:
                self._echoes[window.id] = self._echoes.get(window.id, 0) + 1
        return self._let_go(window)

    def _mapped(self, event: Mapped) -> Iterable[Operation]:
        window = self.windows.get(event.window)
        if window is None or window.mapped:
            return ()
        window.mapped = True
        window.override_redirect = event.override_redirect
        self._mark(window, Due.FLAGS | Due.MAP)
        # Windows come to the top when they are mapped: the daemon must hear of them in that order.
        self._dirty[window.id] = self._dirty.pop(window.id, None)
        return self._capture(window)

    def _unmapped(self, event: Unmapped) -> Iterable[Operation]:
        window = self.windows.get(event.window)
        if window is None or not window.mapped:
            return ()
        window.mapped = window.capture_due = False
        self._mark(window, Due.UNMAP)
        return self._let_go(window)

    def _configured(self, event: Configured) -> Iterable[Operation]:
        window = self.windows.get(event.window)
        if window is None:
            return ()
        window.override_redirect = event.override_redirect
        resized = (event.width, event.height) != (window.width, window.height)
        moved = (event.x, event.y) != (window.x, window.y)
        if resized or moved or window.answer_due:
            window.x, window.y, window.width, window.height = event.x, event.y, event.width, event.height
            self._mark(window, Due.CONFIGURE)
        return self._capture(window) if resized and window.mapped else ()

    def _titled(self, event: Titled) -> Iterable[Operation]:
        window = self.windows.get(event.window)
        if window is not None and window.title != event.text:
            window.title = event.text
            self._mark(window, Due.NAME)
        return ()

    def _classified(self, event: Classified) -> Iterable[Operation]:
        window = self.windows.get(event.window)
        if window is not None and window.class_ != (event.name, event.class_):
            window.class_ = event.name, event.class_
            self._mark(window, Due.CLASS)
        return ()

    def _hinted(self, event: Hinted) -> Iterable[Operation]:
        window = self.windows.get(event.window)
        if window is not None and window.hints != event.hints:
            window.hints = event.hints
            self._mark(window, Due.HINTS)
        return ()

    def _transient_for(self, event: TransientFor) -> Iterable[Operation]:
        window = self.windows.get(event.window)
        if window is not None and window.transient_for != event.parent:
            window.transient_for = event.parent
            self._mark(window, Due.OWNER)
        return ()

    def _state_wished(self, event: StateWished) -> Iterable[Operation]:
        window = self.windows.get(event.window)
        if window is not None:
            window.wishes(event.set, event.unset)
            self._mark(window, Due.FLAGS)
        return ()

    def _cursor_shown(self, event: CursorShown) -> Iterable[Operation]:
        window = self.windows.get(event.window)
        if window is not None and window.cursor != event.shape:
            window.cursor = event.shape
            self._mark(window, Due.CURSOR)
        return ()

    def _docked(self, event: Docked) -> Iterable[Operation]:
        window = self.windows.get(event.window)
        if window is not None:
            window.docked = True
        return ()

    def _frame_ready(self, event: FrameReady) -> Iterable[Operation]:
        window = self.windows.get(event.window)
        if window is None or not window.mapped:
            return (Forget(event.buffer),)
        freed: Iterable[Operation] = ()
        if window.buffer is not event.buffer:
            freed = self._replace(window)
            window.buffer = event.buffer
        if self._minor is not None:
            window.damaged(event.buffer, list(event.rects))
            self._dirty[window.id] = None
        return freed

    def _mark(self, window: Window, due: int) -> None:
        if self._minor is not None:
            if window.announced:
                window.due |= due
            self._dirty[window.id] = None

    def _capture(self, window: Window) -> Iterable[Operation]:
        if self._ledger.outstanding(window.id) >= MAX_UNACKNOWLEDGED:
            window.capture_due = True
            return ()
        window.capture_due = False
        return (Capture(window.id, self._audience),)

    def _replace(self, window: Window) -> Iterable[Operation]:
        """Its buffer makes room for another one: the daemon paints from what it was told of until it acknowledges that.

        A buffer that the daemon never heard of is free at once, and alone: what the daemon shows is an earlier one.
        """
        buffer = window.buffer
        if buffer is None:
            return ()
        if not self._acknowledges():
            return self._let_go(window)
        window.buffer = None
        if self._ledger.holds(window.id, buffer):
            return ()
        if buffer is window.dumped:
            window.replaced.append(buffer)
            return ()
        return (Forget(buffer),)

    def _let_go(self, window: Window) -> Iterable[Operation]:
        """It is hidden, gone, or unknown to any daemon: its buffers are free but for those that are being mapped."""
        freed: list[Operation] = [Forget(buffer) for buffer in window.replaced]
        window.replaced.clear()
        buffer, window.buffer = window.buffer, None
        if buffer is not None and not self._ledger.holds(window.id, buffer):
            freed.append(Forget(buffer))
        return freed

    def _acknowledges(self) -> bool:
        return self._minor is not None and self._minor >= limits.SINCE_DUMP_ACK

    # --- the connection ---

    def connected(self, minor: int, stacking: Sequence[int]) -> None:
        """A daemon of version 1.`minor` is there and knows nothing. `stacking`: window ids from bottom to top."""
        self._minor = minor
        known = [window for window in stacking if window in self.windows]
        self._dirty = dict.fromkeys([*known, *self.windows])

    def disconnected(self) -> Iterable[Operation]:
        """The daemon is gone: nothing that it was told counts, no buffer is in use, no key is held."""
        self._minor = None
        self._dirty.clear()
        self._leaving.clear()
        self._echoes.clear()
        operations: list[Operation] = [ReleaseAll()]
        shown = {window.buffer for window in self.windows.values()}
        operations += [Forget(buffer) for buffer in self._ledger.clear() if buffer not in shown]
        for window in self.windows.values():
            operations += [Forget(buffer) for buffer in window.replaced]
            window.replaced.clear()
            window.unknown_to_daemon()
            if window.capture_due:
                operations += self._capture(window)
        return operations

    def take(self) -> list[Message]:
        """The next messages to send, a few windows' worth at most; empty when the daemon knows everything."""
        if self._minor is None:
            return []
        if self._leaving:
            return self._goodbyes()
        while self._dirty:
            window = self.windows[next(iter(self._dirty))]
            if window.announced and not window.due:
                del self._dirty[window.id]
                messages = self._said(window)
            else:
                messages = self._about(window)
            if messages:
                return messages
        return []

    def _goodbyes(self) -> list[Message]:
        messages: list[Message] = []
        for window, shown in self._leaving:
            if shown:
                messages.append(Unmap(window))
            messages.append(Destroy(window))
        self._leaving.clear()
        return messages

    def _about(self, window: Window) -> list[Message]:
        """The messages of a dirty window, after those that announce its transient parents."""
        family = [window]
        while len(family) < _MAX_PARENTS:
            parent = self.windows.get(family[-1].transient_for)
            if parent is None or parent.announced or parent in family:
                break
            family.append(parent)
        messages: list[Message] = []
        for member in reversed(family):
            self._dirty.pop(member.id, None)
            if member.announced or member.id not in self._echoes:
                messages += self._said(member)
        return messages

    def _said(self, window: Window) -> list[Message]:
        parent = self.windows.get(window.transient_for)
        before = window.dumped
        messages = window.messages(parent.id if parent is not None and parent.announced else 0)
        dumped = window.dumped
        if dumped is not None and dumped is not before and self._acknowledges():
            self._ledger.dumped(window.id, dumped)
        return messages

    # --- the daemon ---

    def receive(self, message: object) -> Iterable[Operation]:
        """What the daemon said. Messages about windows that it cannot mean are ignored: they crossed ours."""
        receiver = self._on_message.get(type(message))
        return receiver(message) if receiver is not None else ()

    def _known(self, number: int) -> Window | None:
        window = self.windows.get(number)
        return window if window is not None and window.announced else None

    def _input(self, message: KeyPress | Button | Motion | Crossing | Focus | Close) -> Iterable[Operation]:
        return (message,) if self._known(message.window) is not None else ()

    def _keys(self, message: KeymapNotify) -> Iterable[Operation]:
        return (message,)

    def _flagged(self, message: WindowFlags) -> Iterable[Operation]:
        window = self._known(message.window)
        if window is None:
            return ()
        window.state = WindowFlag((window.state | message.set) & ~message.unset & _ALL_FLAGS)
        return (message,)

    def _restored(self, message: Map) -> Iterable[Operation]:
        window = self._known(message.window)
        if window is None:
            return ()
        window.state &= ~WindowFlag.MINIMIZE
        return (message,)

    def _ordered(self, message: Configure) -> Iterable[Operation]:
        window = self._known(message.window)
        if window is None:
            return ()
        wanted = (
            max(-_COORDINATE_LIMIT, min(message.x, _COORDINATE_LIMIT)),
            max(-_COORDINATE_LIMIT, min(message.y, _COORDINATE_LIMIT)),
            max(1, min(message.width, limits.MAX_WINDOW_WIDTH)),
            max(1, min(message.height, limits.MAX_WINDOW_HEIGHT)),
        )
        window.answer_due = True
        if wanted == (window.x, window.y, window.width, window.height):
            self._mark(window, Due.CONFIGURE)
        return (Configure(window.id, *wanted, window.override_redirect),)

    def _acknowledged(self, message: WindowDumpAck) -> Iterable[Operation]:
        number = message.window
        buffer = self._ledger.acknowledged(number)
        if buffer is None:
            return ()
        operations: list[Operation] = []
        window = self.windows.get(number)
        if window is None or not window.mapped:
            return () if self._ledger.holds(number, buffer) else (Forget(buffer),)
        # From now on the daemon shows this one, and none that it was told of before.
        operations += [Forget(old) for old in window.replaced if old is not buffer]
        window.replaced.clear()
        if window.buffer is not buffer and not self._ledger.holds(number, buffer):
            window.replaced.append(buffer)
        if window.capture_due:
            operations += self._capture(window)
        return operations

    def _echoed(self, message: Destroy) -> Iterable[Operation]:
        number = message.window
        left = self._echoes.get(number, 0) - 1
        if left > 0:
            self._echoes[number] = left
            return ()
        if self._echoes.pop(number, None) is not None and number in self.windows:
            self._dirty[number] = None
        return ()
