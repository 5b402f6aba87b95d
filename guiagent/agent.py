"""The agent's shell: one thread that sleeps until a vchan, the source or a signal has something, then does it all.

The windows belong to one GUI domain at a time. While they move to another there are two links: the second one is told
everything beforehand, so that its daemon has painted all windows before the first one's line is cut.
"""

import logging
from collections.abc import Callable
from typing import Final

from guiagent.core.source_events import FrameReady
from guiagent.core.tracker import Tracker
from guiagent.icon_line import IconBook, IconLine
from guiagent.link import Link, Meeting
from guiagent.sources.base import Source
from guiagent.wakers import Wakers
from guiproto.errors import MachineCannot

_log = logging.getLogger(__name__)

_FIRST_AUDIENCE: Final = 0


class Agent:
    """Runs one source for the daemons of the GUI domain that has its windows."""

    def __init__(self, meet: Callable[[int], Meeting], first: Meeting, source: Source, *, serving: bool = True) -> None:
        """`first`: the GUI domain that `source` was made for. `meet`: how to meet another one, by its domain id.

        `serving`: whether to begin with it, see `serve`. The source and the sharer are ours to close from now on.

        Raises MachineCannot when nobody can listen, for example because another agent serves the same domains.
        """
        self._meet = meet
        self._source = source
        self._wakers = Wakers()
        self._serving = serving
        self._clipboard = source.clipboard()
        icons = source.icons()
        self._icons = None if icons is None else IconBook(icons, self._wakers)
        self._link = Link(
            first, _FIRST_AUDIENCE, Tracker(), source, self._wakers, serving=serving, clipboard=self._clipboard,
            icons=self._icon_line(first),
        )  # fmt: skip
        self._reserve: Link | None = None
        self._next_audience = _FIRST_AUDIENCE + 1
        self._stopping = False
        self._wakers.watch(source.fileno(), self._look)
        if self._clipboard is not None:
            self._wakers.watch(self._clipboard.fileno(), self._clipboard.proceed)

    def run(self, stop_fd: int) -> None:
        """Serve until `stop_fd` becomes readable. Raises MachineCannot when the display server is gone."""
        self.watch(stop_fd, self._stop)
        self._look()
        while not self._stopping:
            self._link.say()
            if self._reserve is not None:
                self._reserve.say()
            self._source.flush()
            self._wakers.wait(self._patience())
            if self._clipboard is not None and self._clipboard.patience() == 0:
                self._clipboard.proceed()

    def watch(self, fd: int, waker: Callable[[], None]) -> None:
        """Call `waker` from the loop whenever `fd` polls readable."""
        self._wakers.watch(fd, waker)

    def close(self) -> None:
        """Hang up, and let go of the source and of all memory."""
        links = [link for link in (self._link, self._reserve) if link is not None]
        for link in links:
            link.leave()
        if self._clipboard is not None:
            self._clipboard.close()
        if self._icons is not None:
            self._icons.source.close()
        self._source.close()
        for link in links:
            link.meeting.sharer.close()
        self._wakers.close()

    def serve(self, serving: bool) -> None:
        """Serve daemons from now on, or hang up and serve none. Raises MachineCannot as the constructor does."""
        self._serving = serving
        for link in (self._link, self._reserve):
            if link is not None:
                link.serve(serving)

    # --- whose the windows are ---

    @property
    def gui_domid(self) -> int:
        """The id of the GUI domain that has the windows."""
        return self._link.meeting.gui_domid

    def prepare(self, gui_domid: int) -> None:
        """Listen for that GUI domain as well, and tell its daemon everything. What it says has no effect yet.

        Raises MachineCannot where that is impossible; nothing has changed then.
        """
        if self._reserve is not None:
            if self._reserve.meeting.gui_domid == gui_domid:
                return
            self.withdraw()
        if gui_domid == self.gui_domid:
            return
        meeting = self._meet(gui_domid)
        audience = self._next_audience
        self._next_audience += 1
        tracker = self._link.tracker.twin(audience)
        try:
            self._source.admit(audience, meeting.sharer)
            try:
                self._reserve = Link(
                    meeting, audience, tracker, self._source, self._wakers, serving=self._serving, reserve=True,
                    clipboard=self._clipboard, icons=self._icon_line(meeting),
                )  # fmt: skip
            except MachineCannot:
                self._source.dismiss(audience)
                raise
        except MachineCannot:
            meeting.sharer.close()
            raise
        for operation in tracker.start():
            self._source.perform(operation)
        _log.info("GUI domain %d may take over", gui_domid)

    def withdraw(self) -> None:
        """The GUI domain that was prepared does not get the windows."""
        reserve, self._reserve = self._reserve, None
        if reserve is not None:
            reserve.close()
            _log.info("GUI domain %d does not take over", reserve.meeting.gui_domid)

    def move(self, gui_domid: int) -> None:
        """That GUI domain has the windows from now on, and the one before has nothing. Raises as `prepare`."""
        if gui_domid == self.gui_domid:
            return
        self.prepare(gui_domid)
        link, reserve = self._link, self._reserve
        assert reserve is not None
        self._link, self._reserve = reserve, None
        link.close()
        reserve.promote()
        _log.info("GUI domain %d has the windows now", gui_domid)

    # --- the loop ---

    def _stop(self) -> None:
        self._stopping = True

    def _look(self) -> None:
        """The source has something."""
        source = self._source
        for event in source.events():
            if self._icons is not None:
                self._icons.handle(event)
            for link in (self._link, self._reserve):
                if link is None or (type(event) is FrameReady and event.buffer.audience != link.audience):
                    continue
                for operation in link.tracker.handle(event):
                    source.perform(operation)

    def _icon_line(self, meeting: Meeting) -> IconLine | None:
        if self._icons is None:
            return None
        return IconLine(meeting.listen_for_icons, self._icons, self._wakers)

    def _patience(self) -> float | None:
        """Seconds to sleep at most."""
        parts = [part.patience() for part in (self._link, self._reserve, self._clipboard) if part is not None]
        return min((patience for patience in parts if patience is not None), default=None)
