"""Gives programs text that is too long for one property, part by part, as each takes the one before: INCR, ICCCM 2.7.2.

A program that takes none for a while gets no more, and so many at a time are served that none can use up our memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from Xlib import X

from shm.xconn import XConnection

PART_BYTES: Final = 64 * 1024
"""What is longer goes in parts of this size."""
MOST_TRANSFERS: Final = 16
PATIENCE_SECONDS: Final = 10.0


@dataclass(slots=True)
class _Transfer:
    kind: int
    data: bytes
    deadline: float
    sent: int = 0


class Transfers:
    """Those that are under way, by window and property of the program."""

    def __init__(self, connection: XConnection, clock: Callable[[], float]) -> None:
        self._display: Any = connection.display
        self._clock = clock
        self._incr = int(self._display.intern_atom("INCR"))
        self._open: dict[tuple[int, int], _Transfer] = {}

    def begin(self, window: int, name: int, kind: int, data: bytes) -> bool:
        """Announce `data` of type `kind` in that property; whether it will be served."""
        key = window, name
        if len(self._open) >= MOST_TRANSFERS and key not in self._open:
            return False
        requestor = self._window(window)
        requestor.change_attributes(event_mask=X.PropertyChangeMask)
        self._open[key] = _Transfer(kind, data, self._clock() + PATIENCE_SECONDS)
        requestor.change_property(name, self._incr, 32, [len(data)])
        return True

    def taken(self, window: int, name: int) -> None:
        """The program has deleted that property: it wants the next part. The last one is empty."""
        transfer = self._open.get((window, name))
        if transfer is None:
            return
        part = transfer.data[transfer.sent : transfer.sent + PART_BYTES]
        transfer.sent += len(part)
        transfer.deadline = self._clock() + PATIENCE_SECONDS
        self._window(window).change_property(name, transfer.kind, 8, part)
        if not part:
            self._end(window, name)

    def deadline(self) -> float | None:
        """When `due` has something to do."""
        return min((transfer.deadline for transfer in self._open.values()), default=None)

    def due(self, now: float) -> None:
        """Forget those who take nothing."""
        for window, name in [key for key, transfer in self._open.items() if transfer.deadline <= now]:
            self._end(window, name)

    def _end(self, window: int, name: int) -> None:
        del self._open[window, name]
        if all(other != window for other, _ in self._open):
            self._window(window).change_attributes(event_mask=X.NoEventMask)

    def _window(self, window: int) -> Any:
        return self._display.create_resource_object("window", window)
