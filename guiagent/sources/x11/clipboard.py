"""The clipboard of an X server's programs, on a connection of its own: nothing here can hold up windows or input.

The connection is made before it is needed. Later a program could have grabbed the server, and we would wait for it.
"""

import logging
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import Xlib.error
from Xlib import X

from guiagent.core.clipboard_text import harmless
from guiagent.sources.base import Clipboard
from guiagent.sources.x11.atoms import Atoms
from guiagent.sources.x11.fetching import Fetch
from guiagent.sources.x11.offering import Offer
from guiagent.sources.x11.transfers import Transfers
from guiproto.errors import MachineCannot
from guiproto.limits import CLIPBOARD_MAX
from shm.xconn import XConnection

FETCH_SECONDS: Final = 5.0
"""How long a program may take to give its text: less than a daemon waits for us."""
WIPE_SECONDS: Final = 60.0
"""What came from another VM is forgotten when no program has wanted it for so long."""
_MOST_ANSWERS: Final = 8
_EVENTS_PER_TURN: Final = 64
_MOST_EVENTS: Final = 1024

log = logging.getLogger(__name__)


class X11Clipboard(Clipboard):
    """Of the X server `display`."""

    def __init__(self, display: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises MachineCannot if there is no such X server."""
        self._name = display
        self._clock = clock
        self._epoll = select.epoll()
        self._connection: XConnection | None = None
        self._events: deque[Any] = deque()
        self._fetch: Fetch | None = None
        self._fetch_until = 0.0
        self._answers: list[tuple[int, Callable[[bytes], None]]] = []
        self._offer: Offer | None = None
        self._wipe_at = 0.0
        self._connected()

    def fileno(self) -> int:
        return self._epoll.fileno()

    def fetch(self, most: int, answer: Callable[[bytes], None]) -> None:
        if len(self._answers) >= _MOST_ANSWERS:
            answer(b"")
            return
        self._answers.append((most, answer))
        if self._fetch is None:
            self._try(self._begin_fetch)

    def offer(self, text: bytes) -> None:
        self._try(lambda: self._begin_offer(harmless(text)))

    def proceed(self) -> None:
        if self._connection is not None:
            self._try(self._proceed)

    def patience(self) -> float | None:
        connection = self._connection
        if connection is None:
            return None
        if self._events or connection.unseen:
            return 0.0
        moments = [] if self._fetch is None else [self._fetch_until]
        moments += [] if self._offer is None else [self._wipe_at]
        transfer = self._transfers.deadline()
        moments += [] if transfer is None else [transfer]
        return max(0.0, min(moments) - self._clock()) if moments else None

    def close(self) -> None:
        self._answers.clear()
        self._disconnect()
        self._epoll.close()

    # --- the connection ---

    def _try(self, action: Callable[[], None]) -> None:
        """Windows and input have connections of their own, and may go on without us."""
        try:
            action()
        except MachineCannot as error:
            log.warning("there is no clipboard: %s", error)
            self._disconnect()
            self._answered(b"")

    def _connected(self) -> XConnection:
        """Raises MachineCannot."""
        if self._connection is None:
            connection = XConnection(self._name)
            display: Any = connection.display
            # A program that grabs the server stops all others; we would wait for it.
            display.xtest_grab_control(True)
            self._connection = connection
            self._atoms = Atoms(display)
            self._transfers = Transfers(connection, self._clock)
            self._epoll.register(connection.fileno(), select.EPOLLIN)
        return self._connection

    def _disconnect(self) -> None:
        self._fetch = self._offer = None
        self._events.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            self._epoll.unregister(connection.fileno())
            connection.close()

    def _proceed(self) -> None:
        connection = self._connected()
        if len(self._events) < _MOST_EVENTS:
            self._events += connection.events()
        for _ in range(min(len(self._events), _EVENTS_PER_TURN)):
            self._handle(self._events.popleft())
        now = self._clock()
        self._transfers.due(now)
        if self._fetch is not None and self._fetch_until <= now:
            log.info("the program that has the clipboard does not answer")
            self._fetch.give_up()
        if self._offer is not None and (self._offer.lost or self._wipe_at <= now):
            self._offer.withdraw()
            self._offer = None
        connection.flush()

    def _handle(self, event: Any) -> None:
        fetch, offer = self._fetch, self._offer
        try:
            if event.type == X.SelectionNotify:
                if fetch is not None and event.requestor.id == fetch.window:
                    fetch.notified(event)
            elif event.type == X.PropertyNotify:
                self._property_changed(event, fetch, offer)
            elif event.type == X.SelectionRequest:
                if offer is not None and event.owner.id == offer.window and offer.requested(event):
                    self._wipe_at = self._clock() + WIPE_SECONDS
            elif event.type == X.SelectionClear and offer is not None and event.window.id == offer.window:
                offer.cleared(event)
        except Xlib.error.XError:  # somebody has destroyed our window
            if self._fetch is not None:
                self._fetch.give_up()

    def _property_changed(self, event: Any, fetch: Fetch | None, offer: Offer | None) -> None:
        window = int(event.window.id)
        if fetch is not None and window == fetch.window:
            fetch.changed(event)
        elif offer is not None and window == offer.window:
            offer.stamped(event)
        elif event.state == X.PropertyDelete:
            self._transfers.taken(window, event.atom)

    # --- what is fetched ---

    def _begin_fetch(self) -> None:
        connection = self._connected()
        display: Any = connection.display
        owner = display.get_selection_owner(self._atoms["CLIPBOARD"])
        if owner == X.NONE:
            self._answered(b"")
        elif self._offer is not None and owner.id == self._offer.window:
            self._answered(self._offer.text.encode())
        else:
            self._fetch = Fetch(connection, self._atoms, CLIPBOARD_MAX, self._fetched)
            self._fetch_until = self._clock() + FETCH_SECONDS
            connection.flush()

    def _fetched(self, text: bytes) -> None:
        self._fetch = None
        self._answered(text)

    def _answered(self, text: bytes) -> None:
        answers, self._answers = self._answers, []
        for most, answer in answers:
            answer(text[: most + 1])

    # --- what is offered ---

    def _begin_offer(self, text: str) -> None:
        connection = self._connected()
        if self._offer is not None:
            self._offer.withdraw()
        self._offer = Offer(connection, self._atoms, self._transfers, text)
        self._wipe_at = self._clock() + WIPE_SECONDS
        connection.flush()
