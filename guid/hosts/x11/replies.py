"""Questions to the X server whose answers nobody waits for, so that looking at events never blocks."""

from collections import deque
from collections.abc import Callable
from typing import Any

from shm.xconn import XConnection


class Replies:
    """Questions asked and not yet answered, in order: X answers in order."""

    def __init__(self, connection: XConnection) -> None:
        self._wire: Any = connection.display.display
        self._open: deque[tuple[Any, Callable[[Any], None]]] = deque()

    def ask(self, kind: Any, then: Callable[[Any], None], **fields: Any) -> None:
        """Queue python-xlib's reply request `kind`; `then` gets its reply, or is forgotten if it ends in an X error."""
        self._open.append((kind(display=self._wire, defer=True, **fields), then))

    def collect(self) -> None:
        """Hand out the answers that have arrived."""
        while self._open:
            question, then = self._open[0]
            if question._data is None and question._error is None:
                return
            self._open.popleft()
            if question._data is not None:
                then(question)

    def __len__(self) -> int:
        return len(self._open)
