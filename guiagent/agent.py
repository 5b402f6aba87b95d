"""The agent's shell: one thread that sleeps until the vchan, the source or a signal has something, then does it all.

The vchan's daemon may come and go; each time a new server end is opened at once and the next daemon is told everything.
A daemon that breaks the protocol is logged, cut off and, after a pause that grows, listened for again. Nothing is taken
from the tracker while earlier bytes wait for room in the vchan, and the source is held meanwhile.
"""

import logging
import select
import time
from collections.abc import Callable
from struct import Struct
from typing import Final

from backends.base import Vchan, VchanState
from guiagent.core.tracker import Tracker
from guiagent.sources.base import Source
from guiproto.connection import AgentConnection, DaemonHello
from guiproto.errors import MachineCannot, PeerMisbehaved
from guiproto.messages import MessageType, ShmImage, WindowDump

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


class Agent:
    """Runs one source for whatever daemon connects."""

    def __init__(
        self, listen: Callable[[], Vchan], source: Source, publish: Callable[[], None], *, serving: bool = True
    ) -> None:
        """`listen` opens a vchan's server end; `publish` makes shared pages reachable before references are sent.

        `serving`: whether to begin with it, see `serve`.

        Raises MachineCannot when `listen` does, for example because another agent serves the same domains.
        """
        self._listen = listen
        self._source = source
        self._publish = publish
        self._tracker = Tracker()
        self._epoll = select.epoll()
        self._wakers: dict[int, Callable[[], None]] = {}
        self._wire = AgentConnection()
        self._greeted = False
        self._ready = False
        self._held = True
        self._outbox = bytearray()
        self._pause = 0.0
        self._listen_at = 0.0
        self._stopping = False
        self._serving = serving
        self._vchan: Vchan | None = None
        if serving:
            self._open()
        self._watch(source.fileno(), self._look)

    def run(self, stop_fd: int) -> None:
        """Serve until `stop_fd` becomes readable. Raises MachineCannot when the display server is gone."""
        self._watch(stop_fd, self._stop)
        self._look()
        while not self._stopping:
            self._say()
            self._source.flush()
            for fd, _ in self._epoll.poll(self._patience()):
                waker = self._wakers.get(fd)
                if waker is not None:  # otherwise it was closed by one before it in this turn
                    waker()

    def follow(self, fd: int, waker: Callable[[], None]) -> None:
        """Call `waker` from the loop whenever `fd`, which stays open for as long as we are, polls readable."""
        self._watch(fd, waker)

    def serve(self, serving: bool) -> None:
        """Serve daemons from now on, or hang up and serve none. Raises MachineCannot as the constructor does."""
        self._serving = serving
        if not serving and self._vchan is not None:
            self._pause = 0.0
            self._hang_up()
        elif serving and self._vchan is None and not self._pause:
            self._open()

    def close(self) -> None:
        """Hang up."""
        if self._vchan is not None:
            self._vchan.close()
        self._epoll.close()

    # --- what wakes us ---

    def _watch(self, fd: int, waker: Callable[[], None]) -> None:
        self._epoll.register(fd, select.EPOLLIN)
        self._wakers[fd] = waker

    def _stop(self) -> None:
        self._stopping = True

    def _look(self) -> None:
        """The source has something."""
        for event in self._source.events():
            for operation in self._tracker.handle(event):
                self._source.perform(operation)

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
            self._tracker.connected(event.minor, self._source.stacking())
            return
        for operation in self._tracker.receive(event):
            self._source.perform(operation)

    # --- what we say ---

    def _say(self) -> None:
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
            self._source.hold(held)

    def _fill(self, outbox: bytearray) -> None:
        """Some of what the daemon is to be told, at least a window's worth. Raises MachineCannot from `publish`."""
        dumps = False
        while len(outbox) < _WRITE_BYTES:
            messages = self._tracker.take()
            if not messages:
                break
            for message in messages:
                if type(message) is ShmImage:
                    outbox += _SHMIMAGE.pack(MessageType.SHMIMAGE, message.window, _SHMIMAGE_BYTES, *message[1:])
                    continue
                dumps = dumps or type(message) is WindowDump
                outbox += self._wire.encode(message)
        if dumps:
            self._publish()

    def _cut_off(self, why: str) -> None:
        self._pause = min(max(FIRST_PAUSE, 2 * self._pause), LONGEST_PAUSE)
        _log.warning("%s; listening again in %.1f s", why, self._pause)
        self._hang_up()

    # --- connections ---

    def _open(self) -> None:
        self._vchan = self._listen()
        self._wire = AgentConnection()
        self._greeted = self._ready = False
        self._watch(self._vchan.fileno(), self._hear)

    def _hang_up(self) -> None:
        vchan, self._vchan = self._vchan, None
        assert vchan is not None
        self._epoll.unregister(vchan.fileno())
        del self._wakers[vchan.fileno()]
        vchan.close()
        self._outbox.clear()
        self._greeted = self._ready = False
        for operation in self._tracker.disconnected():
            self._source.perform(operation)
        if self._pause:
            self._listen_at = time.monotonic() + self._pause
        elif self._serving:
            self._open()

    def _patience(self) -> float | None:
        """Seconds to sleep at most; listens again when it is time."""
        if self._vchan is not None or not self._serving:
            return None
        left = self._listen_at - time.monotonic()
        if left > 0:
            return left
        self._open()
        return None
