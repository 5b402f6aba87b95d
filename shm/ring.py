"""A byte stream through shared memory: one producer, one consumer, and neither believes what the other one writes.

Each ring has four words, each in a cache line of its own and each written by one side alone:

    PROD          the producer's: how many bytes it has put in, modulo 2**32
    CONS          the consumer's: how many it has taken out
    DATA_WANTED   the consumer's: "ring when PROD goes past this"
    SPACE_WANTED  the producer's: "ring when CONS goes past this"

The two last are what libxenvchan's notify flags are for: whoever is awake is not rung for. Flags have two writers (one
sets, the other one clears) and so need an atomic exchange; an index that only its owner writes needs none, and means
the same (virtio calls it the event index).

A side keeps its own index in its own memory, so the only foreign numbers are the other's index and wish. The index is
read once per call and checked before it is used; the wish decides about a doorbell and about nothing else. What a
hostile peer can do is to say nothing sensible: then it gets wrong bytes, or none, and PeerMisbehaved ends its session.

Memory ordering. Aligned 32-bit loads and stores are single accesses on every machine with Linux. Four pairs have to
keep their order, and `fence`, a full barrier, stands between each:

    producer: bytes, then PROD           consumer: PROD, then bytes       or bytes would be read that are not there yet
    consumer: bytes, then CONS           producer: CONS, then bytes       or bytes would be overwritten that are needed
    producer: PROD, then DATA_WANTED     consumer: DATA_WANTED, then PROD
    consumer: CONS, then SPACE_WANTED    producer: SPACE_WANTED, then CONS

x86 keeps the first two lines by itself and arm64 does not. The last two are a store followed by a load of another
word, which no machine keeps in order by itself: without a barrier both sides could read the old value, and sleep.
"""

import ctypes
import os
from collections.abc import Callable
from typing import Final

from guiproto.errors import PeerMisbehaved

WORDS: Final = 64
"""32-bit words of one ring's control block: four cache lines of 64 bytes."""
_PROD, _CONS, _DATA_WANTED, _SPACE_WANTED = 0, 16, 32, 48
_MASK: Final = 0xFFFFFFFF
_SEQ_CST: Final = 5


def _find_fence() -> Callable[[], object]:
    try:
        function = ctypes.CDLL("libatomic.so.1").atomic_thread_fence
    except (OSError, AttributeError):
        # Linux makes a full barrier before it picks the next process to run (smp_mb__after_spinlock in __schedule).
        return os.sched_yield
    function.argtypes = [ctypes.c_int]
    function.restype = None
    return lambda: function(_SEQ_CST)


fence: Final = _find_fence()
"""A full memory barrier."""


def reset(words: memoryview) -> None:
    """Make a ring empty. `words`: its control block, format "I". Nobody may use it meanwhile."""
    words[_PROD] = words[_CONS] = words[_DATA_WANTED] = 0
    words[_SPACE_WANTED] = _MASK


class Producer:
    """The side that writes. `words`: the control block, format "I"; `data`: the bytes, whose number is a power of 2."""

    def __init__(self, words: memoryview, data: memoryview) -> None:
        self._words = words
        self._data = data
        self._size = len(data)
        self._prod = 0

    def space(self) -> int:
        """Bytes that `write` would take. Raises PeerMisbehaved."""
        return self._size - self._used(self._words[_CONS])

    def write(self, data: bytes | bytearray | memoryview) -> tuple[int, bool]:
        """Put in what fits: how many bytes, and whether the consumer wants to be rung. Raises PeerMisbehaved."""
        count = min(len(data), self.space())
        if count == 0:
            return 0, False
        fence()
        start = self._prod % self._size
        first = min(count, self._size - start)
        self._data[start : start + first] = memoryview(data)[:first]
        if first < count:
            self._data[: count - first] = memoryview(data)[first:count]
        old, self._prod = self._prod, (self._prod + count) & _MASK
        fence()
        self._words[_PROD] = self._prod
        fence()
        return count, _passed(self._words[_DATA_WANTED], old, self._prod)

    def want_space(self) -> int:
        """Be rung when the consumer goes on; bytes of space there are after all. Raises PeerMisbehaved."""
        cons = self._words[_CONS]
        self._words[_SPACE_WANTED] = cons
        fence()
        return self.space()

    def _used(self, cons: int) -> int:
        used = (self._prod - cons) & _MASK
        if used > self._size:
            raise PeerMisbehaved("vchan ring", f"{used} of {self._size} bytes are said to wait")
        return used


class Consumer:
    """The side that reads; see `Producer`."""

    def __init__(self, words: memoryview, data: memoryview) -> None:
        self._words = words
        self._data = data
        self._size = len(data)
        self._cons = 0

    def available(self) -> int:
        """Bytes that `read` would return. Raises PeerMisbehaved."""
        available = (self._words[_PROD] - self._cons) & _MASK
        if available > self._size:
            raise PeerMisbehaved("vchan ring", f"{available} bytes are said to be in {self._size}")
        return available

    def read(self, size: int) -> tuple[bytes, bool]:
        """Take out up to `size` bytes: they, and whether the producer wants to be rung. Raises PeerMisbehaved."""
        count = min(size, self.available())
        if count <= 0:
            return b"", False
        fence()
        start = self._cons % self._size
        first = min(count, self._size - start)
        taken = bytes(self._data[start : start + first])
        if first < count:
            taken += bytes(self._data[: count - first])
        old, self._cons = self._cons, (self._cons + count) & _MASK
        fence()
        self._words[_CONS] = self._cons
        fence()
        return taken, _passed(self._words[_SPACE_WANTED], old, self._cons)

    def want_data(self) -> int:
        """Be rung when the producer goes on; bytes there are after all. Raises PeerMisbehaved."""
        self._words[_DATA_WANTED] = self._cons
        fence()
        return self.available()


def _passed(mark: int, old: int, new: int) -> bool:
    """Whether an index that went from `old` to `new` went past `mark`."""
    return (new - mark - 1) & _MASK < (new - old) & _MASK
