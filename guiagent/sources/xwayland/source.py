"""The windows of an Xwayland of our own, as a `Source`: all as with any X server, but for where their pixels are.

There is no screen: windows are drawn off screen and nowhere else.
"""

import contextlib
import select
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from Xlib import X, Xatom

from backends.base import PageSharer
from guiagent.core import operations
from guiagent.core.source_events import SourceEvent
from guiagent.sources.x11.following import Following
from guiagent.sources.x11.source import X11Source
from guiagent.sources.xwayland import redirect
from guiagent.sources.xwayland.capture import LiveCapture
from guiagent.sources.xwayland.memory import SOCKET_PROPERTY, Keeper, WindowMemory
from guiagent.sources.xwayland.screen import XwaylandScreen
from guiproto.errors import MachineCannot
from shm import descriptors
from shm.xconn import RawEvents


def keeper_of(display: Any) -> Path | None:
    """Where the keeper of that X server (python-xlib's) listens; None if it is no Xwayland of ours."""
    found = display.screen().root.get_full_property(display.intern_atom(SOCKET_PROPERTY), Xatom.STRING)
    return None if found is None or found.format != 8 else Path(bytes(found.value).decode())


class XwaylandSource(X11Source):
    """All windows of one Xwayland that `keeper` keeps."""

    def _set_up(self, sharer: PageSharer, keep_screen: bool) -> None:
        if keep_screen:
            raise MachineCannot("an Xwayland has no screen that could be kept", "choose the source x11")
        display: Any = self._connection.display
        path = keeper_of(display)
        if path is None:
            raise MachineCannot(
                "this X server is no Xwayland that an AppVM's session has started", "choose the source x11"
            )
        self._memory: dict[int, WindowMemory] = {}
        self._surface_id = int(display.intern_atom(redirect.SURFACE_ID))
        descriptors.allow()
        self._keeper = Keeper(path)
        self._epoll = select.epoll()
        self._epoll.register(self._connection.fileno(), select.EPOLLIN)
        self._epoll.register(self._keeper.fileno(), select.EPOLLIN)
        try:
            super()._set_up(sharer, keep_screen)
        except BaseException:
            self._leave()
            raise
        self._screen = XwaylandScreen(self._connection, self._keeper.screen)

    def _make_capture(self, sharer: PageSharer, audience: int) -> Following[Any]:
        return LiveCapture(
            self._connection, self._fences, self._found, sharer, self._emit, audience, self._memory, self._keeper.want
        )

    def _take_over(self, *, keep_screen: bool) -> None:  # noqa: ARG002 - refused before
        connection = self._connection
        connection.sync()
        self._keeper.wait_for_grant()
        before = connection.errors
        self._tree.follow(X.SubstructureRedirectMask)
        connection.sync()
        if connection.errors != before:
            raise MachineCannot("another program manages the windows of this X server", "stop the other guiagent")
        self._keeper.taken()

    def _handle(self, event: Any) -> None:
        if (told := redirect.surface_of(event, self._surface_id)) is not None:
            self._keeper.associate(*told)
        elif event.send_event or not redirect.carry_out(self._connection, event):
            super()._handle(event)

    # --- reports ---

    def fileno(self) -> int:
        return self._epoll.fileno()

    def events(self) -> Sequence[SourceEvent]:
        self._take_news()
        return super().events()

    def close(self) -> None:
        with contextlib.suppress(MachineCannot):
            # Nobody is asked from now on, and what programs have asked so far nobody else would hear of.
            self._connection.display.screen().root.change_attributes(event_mask=X.NoEventMask)
            self._connection.sync()
            for event in self._connection.events():
                if not isinstance(event, RawEvents) and not event.send_event:
                    redirect.carry_out(self._connection, event)
            self._connection.sync()
        super().close()
        self._leave()

    def _take_news(self) -> None:
        for window, memory in self._keeper.news():
            if (old := self._memory.pop(window, None)) is not None:
                old.close()
            if memory is not None:
                self._memory[window] = memory
                for capture in self._capture:
                    assert isinstance(capture, LiveCapture)
                    capture.moved(window)

    def _leave(self) -> None:
        self._epoll.close()
        self._keeper.close()
        for memory in self._memory.values():
            memory.close()
        self._memory.clear()

    # --- pixels ---

    def capture(self, operation: operations.Capture) -> None:
        self._take_news()  # what is known of its memory, before it is asked for
        super().capture(operation)
