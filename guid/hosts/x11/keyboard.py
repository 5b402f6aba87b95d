"""Where the desktop's keyboard has a key, and the news that it has other keys now."""

from typing import Any, Final

import Xlib.error

from guid.core.host_events import HostEvent, KeyboardEvent
from guid.hosts.keysyms import keysym
from shm.xconn import XConnection

MAPPING: Final = 34
"""MappingNotify, which X sends to every client; of keys it tells through XKB those who use that."""
_POINTER: Final = 2
_REQUEST: Final = 4
_EVENT_BYTES: Final = 32
_COLUMNS: Final = 4
"""Of the core protocol's map: without and with Shift, in the first and in the second layout."""


class KeyboardMap:
    """The keys of one X server."""

    def __init__(self, connection: XConnection) -> None:
        self._display: Any = connection.display
        self._first = int(self._display.display.info.min_keycode)
        self._rows: list[list[int]] | None = None
        """The keysyms of each keycode, while they are known."""

    def keycodes(self, key: str) -> frozenset[int]:
        """See `DisplayHost.keycodes`. Waits for the X server."""
        wanted = keysym(key)
        if not wanted:
            return frozenset()
        if self._rows is None:
            last = int(self._display.display.info.max_keycode)
            try:
                rows = self._display.get_keyboard_mapping(self._first, last - self._first + 1)
            except Xlib.error.XError:  # the keyboard is being replaced: an event will tell
                return frozenset()
            self._rows = [list(row)[:_COLUMNS] for row in rows]
        return frozenset(keycode for keycode, row in enumerate(self._rows, self._first) if wanted in row)

    def changed(self, data: bytes, out: list[HostEvent]) -> None:
        """MappingNotify events arrived: X sends several for one change."""
        if any(data[at + _REQUEST] != _POINTER for at in range(0, len(data), _EVENT_BYTES)):
            self.notified(data, out)

    def notified(self, data: bytes, out: list[HostEvent]) -> None:  # noqa: ARG002 - as all handlers
        """XKB has told of other keys."""
        self._rows = None
        out.append(KeyboardEvent())
