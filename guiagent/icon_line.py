"""The second vchan to a GUI domain: it carries icons of windows, and the windows do without it where there is none.

At most one icon is in memory for each line: that of the next window is fetched when the one before it has been written.
So a daemon that takes icons slowly gets of each window the latest, and a program that changes its icon all the time
costs no more than what is read.
"""

import logging
from collections.abc import Callable
from typing import Final

from backends.base import Vchan, VchanState
from guiagent.core.source_events import Created, Destroyed, SourceEvent
from guiagent.sources.base import Icons
from guiagent.wakers import Wakers
from guiproto.errors import MachineCannot, PeerMisbehaved
from guiproto.icons import WindowIcon

_READ_BYTES: Final = 4096

_log = logging.getLogger(__name__)


class IconLine:
    """Tells one GUI domain's daemon the icons of all windows, and of those whose icon changes."""

    def __init__(self, listen: Callable[[], Vchan], book: "IconBook", wakers: Wakers) -> None:
        """`listen` opens the vchan's server end."""
        self._listen = listen
        self._book = book
        self._wakers = wakers
        self._vchan: Vchan | None = None
        self._met = False
        """Whether somebody has connected."""
        self._due: dict[int, None] = {}
        self._asked: object = None
        """What stands for the answer that we wait for."""
        self._out = bytearray()

    def open(self) -> None:
        """Listen, if we do not. Where that is impossible, nothing is told."""
        if self._vchan is not None:
            return
        try:
            self._vchan = self._listen()
        except MachineCannot as error:
            _log.info("no icons of windows are told: %s", error)
            return
        self._wakers.watch(self._vchan.fileno(), self._look)
        self._book.lines.add(self)

    def close(self) -> None:
        """Hang up. May be called twice."""
        self._book.lines.discard(self)
        vchan, self._vchan = self._vchan, None
        if vchan is not None:
            self._wakers.unwatch(vchan.fileno())
            vchan.close()
        self._met = False
        self._asked = None
        self._due.clear()
        self._out.clear()

    def changed(self, window: int) -> None:
        """The window has another icon, or is new."""
        if self._met:
            self._due[window] = None

    def say(self) -> None:
        """Write what the vchan takes, and fetch the next icon when that is done."""
        if self._vchan is None or not self._met:
            return
        if self._out:
            try:
                del self._out[: self._vchan.write(self._out)]
            except PeerMisbehaved as error:
                self._cut_off(error)
                return
        if self._due and not self._out and self._asked is None:
            window = next(iter(self._due))
            del self._due[window]
            self._fetch(window)

    def _fetch(self, window: int) -> None:
        asked = self._asked = object()

        def answer(icon: WindowIcon | None) -> None:
            if asked is self._asked:
                self._asked = None
                if icon is not None and window in self._book.windows:
                    self._out += icon.encode()

        self._book.source.fetch(window, answer)

    def _look(self) -> None:
        """The vchan has something: somebody is there, or gone, or takes more."""
        vchan = self._vchan
        assert vchan is not None
        try:
            if vchan.update() is VchanState.CONNECTED and not self._met:
                self._met = True
                self._due = dict(self._book.windows)
            vchan.read(_READ_BYTES)  # a daemon has nothing to say here
        except PeerMisbehaved as error:
            self._cut_off(error)
            return
        if vchan.update() is VchanState.DISCONNECTED:
            self.close()
            self.open()

    def _cut_off(self, error: PeerMisbehaved) -> None:
        """No more of it before the windows' own line is opened again."""
        _log.warning("no more icons of windows are told: %s", error)
        self.close()


class IconBook:
    """Which windows there are, and who is to hear of their icons. `source` is ours to close."""

    def __init__(self, source: Icons, wakers: Wakers) -> None:
        self.source = source
        self.windows: dict[int, None] = {}
        self.lines: set[IconLine] = set()
        wakers.watch(source.fileno(), self._proceed)

    def handle(self, event: SourceEvent) -> None:
        """What the source of windows reported."""
        if type(event) is Created:
            self.windows[event.window] = None
            self.source.watch(event.window)
            self._changed(event.window)
        elif type(event) is Destroyed:
            self.windows.pop(event.window, None)
            self.source.unwatch(event.window)

    def _proceed(self) -> None:
        for window in self.source.proceed():
            if window in self.windows:
                self._changed(window)

    def _changed(self, window: int) -> None:
        for line in self.lines:
            line.changed(window)
