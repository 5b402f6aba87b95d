"""The line to one GUI domain: its daemon may come and go, and each one that comes is told everything.

A daemon that breaks the protocol is logged, cut off and, after a pause that grows, listened for again. Nothing is taken
from the tracker while earlier bytes wait for room in the vchan, and the source is held meanwhile.

A line can be in reserve, while the windows are about to move to its GUI domain and another one still has them. Its
daemon is told everything as well, but what it has to say waits until the line is the one.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Final

from backends.base import PageSharer, Vchan, VchanState
from guiagent.core.clipboard_text import fitting, most
from guiagent.core.operations import ReleaseAll
from guiagent.core.tracker import Tracker
from guiagent.icon_line import IconLine
from guiagent.sources.base import Clipboard, Source
from guiagent.wakers import Wakers
from guiproto.connection import AgentConnection, DaemonHello
from guiproto.errors import MachineCannot, PeerMisbehaved
from guiproto.messages import (
    Button,
    ClipboardData,
    ClipboardReq,
    Close,
    Configure,
    Crossing,
    Destroy,
    Focus,
    KeymapNotify,
    KeyPress,
    Map,
    MessageType,
    Motion,
    ShmImage,
    WindowDump,
    WindowDumpAck,
    WindowFlags,
)

_log = logging.getLogger(__name__)

_READ_BYTES: Final = 64 * 1024
_READS_PER_TURN: Final = 16
_WRITE_BYTES: Final = 32 * 1024

# The one message that is frequent: the table of all of them costs several times its packing.
_SHMIMAGE: Final = Struct("<IIIiiII")
_SHMIMAGE_BYTES: Final = 16

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
"""Seconds before listening again after daemons that misbehaved one after another."""
MAX_WAITING: Final = 4096
"""Messages that a daemon in reserve may have waiting: the keys of some minutes."""
_AT_ONCE: Final = frozenset((WindowDumpAck, Destroy))
"""What a daemon in reserve says about its own memory of the windows, and not to them."""
_LATER: Final = frozenset((KeyPress, Button, Motion, Crossing, Focus, KeymapNotify, Close, Configure, Map, WindowFlags))
"""What it says to windows, all of it small. Nothing else waits: what it wants of the clipboard is nobody's later."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """How to meet one GUI domain: what shares pages with it, and what opens vchans' server ends for it."""

    gui_domid: int
    sharer: PageSharer
    listen: Callable[[], Vchan]
    listen_for_icons: Callable[[], Vchan]


class Link:
    """Talks with whatever daemon of that domain connects. `reserve`: another link has the windows still."""

    def __init__(
        self,
        meeting: Meeting,
        audience: int,
        tracker: Tracker,
        source: Source,
        wakers: Wakers,
        *,
        serving: bool = True,
        reserve: bool = False,
        clipboard: Clipboard | None = None,
        icons: IconLine | None = None,
    ) -> None:
        """Raises MachineCannot when nobody can listen, for example because another agent serves the same domains."""
        self.meeting = meeting
        self.audience = audience
        self.tracker = tracker
        self._source = source
        self._wakers = wakers
        self._reserve = reserve
        self._clipboard = clipboard
        self._icons = icons
        self._waiting: list[object] = []
        self._wire = AgentConnection()
        self._greeted = False
        self._ready = False
        self._held = True
        self._outbox = bytearray()
        self._pause = 0.0
        self._listen_at = 0.0
        self._vchan: Vchan | None = None
        self._serving = serving
        if serving:
            self._open()

    def serve(self, serving: bool) -> None:
        """Listen from now on, or hang up and do not. Raises MachineCannot as the constructor does."""
        self._serving = serving
        if not serving and self._vchan is not None:
            self._pause = 0.0
            self._hang_up()
            self._close_icons()
        elif serving and self._vchan is None and not self._pause:
            self._open()

    def promote(self) -> None:
        """Nobody else has the windows any more: what the daemon has said so far counts now, in its order."""
        self._reserve = False
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            self._heard(event)

    def close(self) -> None:
        """Hang up. What the daemon said before counts; then no key is held any more and every buffer is free."""
        if self._vchan is not None:
            with contextlib.suppress(MachineCannot):  # from listening again, which nobody wants
                self._hear()
        if self._vchan is not None:
            self._let_go(self._vchan)
        self._close_icons()
        self._source.dismiss(self.audience)
        self.meeting.sharer.close()

    def leave(self) -> None:
        """Hang up, and that is all: the agent ends."""
        if self._vchan is not None:
            self._vchan.close()
        self._close_icons()

    def _close_icons(self) -> None:
        if self._icons is not None:
            self._icons.close()

    # --- what it says ---

    def _hear(self) -> None:
        """The vchan has something."""
        vchan = self._vchan
        assert vchan is not None
        state = vchan.update()
        if state is VchanState.CONNECTED and not self._greeted:
            self._greeted = True
            self._outbox += self._wire.hello()
        try:
            for _ in range(_READS_PER_TURN):
                data = vchan.read(_READ_BYTES)
                if not data:
                    break
                self._wire.feed(data)
                for event in self._wire.events():
                    self._heard(event)
        except PeerMisbehaved as error:
            self._cut_off(f"the GUI daemon misbehaved: {error}")
            return
        if vchan.state is VchanState.DISCONNECTED and not vchan.data_ready():
            _log.info("the GUI daemon is gone")
            self._pause = 0.0
            self._hang_up()

    def _heard(self, event: object) -> None:
        if isinstance(event, DaemonHello):
            _log.info("a GUI daemon of version 1.%d is there", event.minor)
            self._ready = True
            self.tracker.connected(event.minor, self._source.stacking())
            return
        if self._reserve and type(event) not in _AT_ONCE:
            if type(event) not in _LATER:
                return
            if len(self._waiting) == MAX_WAITING:
                raise PeerMisbehaved("does not wait", f"{MAX_WAITING} messages before the windows are its own")
            self._waiting.append(event)
            return
        if isinstance(event, ClipboardReq):
            self._give_clipboard(event.window)
            return
        if isinstance(event, ClipboardData):
            if self._clipboard is not None:
                self._clipboard.offer(event.data)
            return
        for operation in self.tracker.receive(event):
            self._source.perform(operation)

    def _give_clipboard(self, window: int) -> None:
        """Answer, to this daemon and to no later one, once the clipboard is known."""
        wire = self._wire
        minor = wire.minor
        assert minor is not None, "a daemon that has asked was greeted"

        def answer(text: bytes) -> None:
            if wire is self._wire and self._ready:
                self._outbox += wire.encode(ClipboardData(window, fitting(text, minor)))

        if self._clipboard is None:
            answer(b"")
        else:
            self._clipboard.fetch(most(minor), answer)

    # --- what it is told ---

    def say(self) -> None:
        """Hand the vchan what it takes; keep the rest of the last piece, and everything else where it was."""
        vchan = self._vchan
        if vchan is not None and self._greeted:
            outbox = self._outbox
            try:
                while True:
                    if not outbox:
                        self._fill(outbox)
                    if not outbox:
                        break
                    del outbox[: vchan.write(outbox)]
                    if outbox:
                        break
            except MachineCannot as error:
                self._cut_off(str(error))
        held = not self._ready or bool(self._outbox)
        if held is not self._held:
            self._held = held
            self._source.hold(held, self.audience)
        if self._icons is not None and not held:
            self._icons.say()  # after the window itself has been told

    def _fill(self, outbox: bytearray) -> None:
        """Some of what the daemon is to be told, at least a window's worth. Raises MachineCannot from `publish`."""
        dumps = False
        while len(outbox) < _WRITE_BYTES:
            messages = self.tracker.take()
            if not messages:
                break
            for message in messages:
                if type(message) is ShmImage:
                    outbox += _SHMIMAGE.pack(MessageType.SHMIMAGE, message.window, _SHMIMAGE_BYTES, *message[1:])
                    continue
                dumps = dumps or type(message) is WindowDump
                outbox += self._wire.encode(message)
        if dumps:
            self.meeting.sharer.publish()

    # --- connections ---

    def patience(self) -> float | None:
        """Seconds to sleep at most; listens again when it is time. Raises MachineCannot as the constructor does."""
        if self._vchan is not None or not self._serving:
            return None
        left = self._listen_at - time.monotonic()
        if left > 0:
            return left
        self._open()
        return None

    def _open(self) -> None:
        self._vchan = self.meeting.listen()
        self._wire = AgentConnection()
        self._greeted = self._ready = False
        self._wakers.watch(self._vchan.fileno(), self._hear)
        if self._icons is not None:
            self._icons.open()

    def _cut_off(self, why: str) -> None:
        self._pause = min(max(FIRST_PAUSE, 2 * self._pause), LONGEST_PAUSE)
        _log.warning("%s; listening again in %.1f s", why, self._pause)
        self._hang_up()

    def _hang_up(self) -> None:
        assert self._vchan is not None
        self._let_go(self._vchan)
        if self._pause:
            self._listen_at = time.monotonic() + self._pause
        elif self._serving:
            self._open()

    def _let_go(self, vchan: Vchan) -> None:
        self._vchan = None
        self._wakers.unwatch(vchan.fileno())
        vchan.close()
        self._outbox.clear()
        self._waiting.clear()
        self._greeted = self._ready = False
        for operation in self.tracker.disconnected():
            if not (self._reserve and isinstance(operation, ReleaseAll)):  # it holds nothing down; another may
                self._source.perform(operation)
