"""A buffer is given back only when its window shows another one and the daemon has acknowledged every dump of it."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(eq=False, slots=True)
class Buffer:
    """Pixels of one window that the GUI domain can map: rows of width * 4 bytes in the pages `refs` (u32 [n]).

    Sources derive from it to add what they need to know. Equality is identity.
    """

    width: int
    height: int
    refs: NDArray[np.uint32]
    audience: int
    """Which of the source's audiences it is shared with."""


class Ledger:
    """Which buffers one daemon may still be using: announced by WINDOW_DUMP and not yet acknowledged.

    Acknowledgements come in the order of the dumps. They carry the window's id, so each window has its own queue here;
    that is the same order, and a daemon that acknowledges one window late delays no other window's memory.
    """

    def __init__(self) -> None:
        self._unacknowledged: dict[int, deque[Buffer]] = {}

    def dumped(self, window: int, buffer: Buffer) -> None:
        """`buffer` was announced for `window`."""
        self._unacknowledged.setdefault(window, deque()).append(buffer)

    def acknowledged(self, window: int) -> Buffer | None:
        """The buffer that an acknowledgement means; None for one too many."""
        queue = self._unacknowledged.get(window)
        if queue is None:
            return None
        buffer = queue.popleft()
        if not queue:
            del self._unacknowledged[window]
        return buffer

    def outstanding(self, window: int) -> int:
        """How many dumps of `window` wait for their acknowledgement."""
        return len(self._unacknowledged.get(window, ()))

    def holds(self, window: int, buffer: Buffer) -> bool:
        """Whether a dump of `buffer` waits for its acknowledgement."""
        return buffer in self._unacknowledged.get(window, ())

    def clear(self) -> list[Buffer]:
        """The daemon is gone, nothing is in use any more: everything that was, each once."""
        buffers = dict.fromkeys(buffer for queue in self._unacknowledged.values() for buffer in queue)
        self._unacknowledged.clear()
        return list(buffers)
