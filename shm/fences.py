"""A mark in the stream of requests says when the X server has executed everything before it.

A mark is a copy of one pixel of a private pixmap, with a GC that asks for an answer: the server sends NoExposure, a
plain event of 32 bytes, once and in order. A reply would do as well but costs python-xlib ten times as much to read.
"""

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from shm.xconn import XConnection

NO_EXPOSURE: Final = 14
_EVENT_BYTES: Final = 32
_COPY_AREA: Final = 62
_COPY_AREA_REQUEST: Final = Struct("=BxHIIIhhhhHH")


class Fences:
    """Marks of one connection, whose `raw_events` must include NO_EXPOSURE."""

    def __init__(self, connection: XConnection) -> None:
        self._connection = connection
        screen: Any = connection.display.screen()
        self._pixmap: Any = screen.root.create_pixmap(1, 1, screen.root_depth)
        self._gc: Any = self._pixmap.create_gc(graphics_exposures=True)
        pixmap = self._pixmap.id
        self._mark = _COPY_AREA_REQUEST.pack(_COPY_AREA, 7, pixmap, pixmap, self._gc.id, 0, 0, 0, 0, 1, 1)
        self._waiting: deque[Callable[[], None]] = deque()

    def mark(self, call: Callable[[], None], data: bytes | bytearray = b"", requests: int = 0) -> None:
        """Have `call` called by `passed` once everything queued so far, and then `data`, has been executed."""
        self._connection.send_raw(data + self._mark, requests + 1)
        self._waiting.append(call)

    def passed(self, events: bytes) -> None:
        """NoExposure events arrived: call who waits for them. Events that another client made up do not count."""
        if events[0] != NO_EXPOSURE:
            return
        waiting = self._waiting
        if len(events) == _EVENT_BYTES:
            if waiting:
                waiting.popleft()()
            return
        for _ in range(min(len(events) // _EVENT_BYTES, len(waiting))):
            waiting.popleft()()
