"""The vchan of a KVM guest: two rings in the region that it shares with the host, and a doorbell.

The control page of a slot, in 32-bit words; each is written by one side alone:

    server   GENERATION  random, new for each server; everything else in the page is about this one
             SERVING     1 while the server is there
             ACCEPTED    the client that the server talks to
    client   JOINED      the generation that it means
             WHO         random, new for each client
             PRESENT     1 while it is there

A server makes the rings empty while SERVING is 0 and no client of its generation can exist; a client joins, and both
begin once the server has accepted it. So nobody ever resets a ring that somebody uses, and whoever finds GENERATION or
WHO changed knows that his peer was replaced. A peer that dies without a word is noticed by its end of the doorbell
line, except one in the guest: it is noticed when the next one begins, which the VM's session takes care of.

One client at a time: a lock on the slot's bytes of the region's file, which ends with the process.
"""

import contextlib
import fcntl
import mmap
import os
import secrets
import select
import struct
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from backends.base import PeerMisbehaved, Vchan, VchanState
from backends.kvm.doorbell import MakeDoorbell
from backends.kvm.layout import BUFFERS_AT, RING_BYTES, SLOT_BYTES, open_region, slot_offset
from guiproto.limits import PAGE_SIZE
from shm.ring import WORDS, Consumer, Producer, fence, reset

# The server's words, the client's words, the ring to the client, the ring from it; cache lines are 16 words.
_GENERATION, _SERVING, _ACCEPTED = 0, 1, 2
_JOINED, _WHO, _PRESENT = 16, 17, 18
_OUT, _IN = 64, 128
Found = TypeVar("Found")
_FLOCK: Final = struct.Struct("@hhqqi4x")


class _Slot:
    """A slot mapped into this process: its control words and the bytes of its rings."""

    def __init__(self, region: Path, number: int) -> None:
        """Raises MachineCannot."""
        self.fd, _ = open_region(region, os.O_RDWR)
        try:
            mapped = memoryview(mmap.mmap(self.fd, BUFFERS_AT))
        except BaseException:
            os.close(self.fd)
            raise
        self._start = slot_offset(number)
        slot = mapped[self._start : self._start + SLOT_BYTES]
        self.words = slot[:PAGE_SIZE].cast("I")
        self.to_client = self.words[_OUT : _OUT + WORDS], slot[PAGE_SIZE : PAGE_SIZE + RING_BYTES]
        self.from_client = self.words[_IN : _IN + WORDS], slot[PAGE_SIZE + RING_BYTES :]

    def claim(self) -> bool:
        """Whether no other client has it; it is ours until `close`."""
        try:
            self._lock(fcntl.F_WRLCK)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Leave the slot to others; what is mapped can still be read."""
        if self.fd >= 0:
            self._lock(fcntl.F_UNLCK)  # closing does not do it: the mapping has a duplicate of the descriptor
            os.close(self.fd)
            self.fd = -1

    def _lock(self, kind: int) -> None:
        fcntl.fcntl(self.fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, self._start, SLOT_BYTES, 0))


class _Ringed(Vchan):
    """What both ends do.

    The one descriptor is an epoll that holds the doorbell's line and `_again`, which is readable when there may be
    bytes that nobody will ring for.
    """

    def __init__(self, slot: _Slot, producer: Producer, consumer: Consumer, make_doorbell: MakeDoorbell) -> None:
        self._slot = slot
        self._words = slot.words
        self._producer = producer
        self._consumer = consumer
        self._generation = 0
        self._state = VchanState.WAITING
        self._closed = False
        self._rung = False
        self._epoll = select.epoll()
        self._again = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._is_again = False
        self._epoll.register(self._again, select.EPOLLIN)
        try:
            self._doorbell = make_doorbell(self._epoll)
        except BaseException:
            os.close(self._again)
            self._epoll.close()
            slot.close()
            raise

    @abstractmethod
    def _meet(self) -> bool:
        """Whether the peer is there, and knows that we are."""

    @abstractmethod
    def _parted(self) -> bool:
        """Whether the peer has gone, or was replaced. Called while connected."""

    @abstractmethod
    def _leave(self) -> None:
        """Say that we are gone, in the words that are still ours."""

    def fileno(self) -> int:
        return self._epoll.fileno()

    @property
    def state(self) -> VchanState:
        return self._state

    def update(self) -> VchanState:
        if self._state is VchanState.DISCONNECTED:
            if not self._closed:
                self._come_again(self.data_ready() > 0)
            return self._state
        if self._state is VchanState.WAITING:
            # Before looking: whoever arrives afterwards is heard, and his ring must not be the one that is forgotten.
            self._doorbell.silence()
        there = self._doorbell.look()
        if self._state is VchanState.WAITING:
            self._rung = self._rung and there  # another line needs another ring
            if there and not self._rung:
                # Whoever waits on the other side may have looked before we were ready, or seen nothing of the line's
                # change of hands.
                self._rung = True
                self._doorbell.ring()
            if there and self._meet():
                self._state = VchanState.CONNECTED
                self._come_again(self.data_ready() > 0)
        elif not there or self._parted():
            self._lost()
            self._come_again(self.data_ready() > 0)
        return self._state

    def data_ready(self) -> int:
        if self._state is VchanState.WAITING or self._closed:
            return 0
        return self._unless_stale(self._consumer.available, 0)

    def buffer_space(self) -> int:
        if self._state is not VchanState.CONNECTED or self._parted():
            return 0
        return self._unless_stale(self._producer.space, 0)

    def read(self, size: int) -> bytes:
        if size <= 0 or not self.data_ready():
            if self._state is VchanState.WAITING or self._closed or size <= 0:
                return b""
            return self._read_after_all(size)
        data, wanted = self._unless_stale(lambda: self._consumer.read(size), (b"", False))
        if wanted:
            self._doorbell.ring()
        if self._unless_stale(self._consumer.available, 0):
            self._come_again(True)
        return data

    def write(self, data: bytes | bytearray | memoryview) -> int:
        if self._state is not VchanState.CONNECTED:
            return 0
        if self._parted():
            self._lost()
            return 0
        written, wanted = self._unless_stale(lambda: self._put(data), (0, False))
        if wanted:
            self._doorbell.ring()
        return written

    def _put(self, data: bytes | bytearray | memoryview) -> tuple[int, bool]:
        written, wanted = self._producer.write(data)
        if written < len(data) and self._producer.want_space():
            more, wanted_more = self._producer.write(memoryview(data)[written:])
            written += more
            wanted = wanted or wanted_more
            if written < len(data):
                # The peer may have rung for this space already. Then nobody rings for the next but for this.
                self._come_again(self._producer.want_space() > 0)
        return written, wanted

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._leave()
        self._doorbell.ring()
        self._doorbell.close()
        self._state = VchanState.DISCONNECTED
        self._epoll.close()
        os.close(self._again)
        self._slot.close()

    def _read_after_all(self, size: int) -> bytes:
        """Nothing is left. Make sure that we hear of what comes next, and take what came in this moment."""
        if self._state is VchanState.CONNECTED:
            self._doorbell.silence()
            if self._unless_stale(self._consumer.want_data, 0):
                # Its ring may be among those that were silenced, and the next bytes will not be rung for.
                self._come_again(True)
                data, wanted = self._unless_stale(lambda: self._consumer.read(size), (b"", False))
                if wanted:
                    self._doorbell.ring()
                return data
            if self._parted():
                self._lost()
                return b""
            self._come_again(False)
        return b""

    def _unless_stale(self, look: Callable[[], Found], nothing: Found) -> Found:
        """What `look` finds in the rings; `nothing` if they are those of a later server, whose words mean nothing here.

        Raises PeerMisbehaved.
        """
        try:
            found = look()
        except PeerMisbehaved:
            if not self._is_stale():
                raise
            return nothing
        fence()
        return nothing if self._is_stale() else found

    def _is_stale(self) -> bool:
        """Whether the rings are those of a later server."""
        return bool(self._words[_GENERATION] != self._generation)

    def _lost(self) -> None:
        self._state = VchanState.DISCONNECTED
        self._leave()
        self._doorbell.close()
        self._slot.close()
        self._come_again(True)  # so that whoever polls hears of it, until he looks

    def _come_again(self, wanted: bool) -> None:
        if wanted is not self._is_again:
            self._is_again = wanted
            if wanted:
                os.eventfd_write(self._again, 1)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._again)


class KvmServer(_Ringed):
    """The server end: in the guest for its windows, on the host for its Qubes DB."""

    def __init__(self, region: Path, slot_number: int, make_doorbell: MakeDoorbell) -> None:
        """Can be joined when it returns. Raises MachineCannot."""
        slot = _Slot(region, slot_number)
        super().__init__(slot, Producer(*slot.to_client), Consumer(*slot.from_client), make_doorbell)
        words = self._words
        before = words[_GENERATION]
        while self._generation in (0, before):
            self._generation = secrets.randbits(32)
        words[_SERVING] = 0
        fence()
        words[_GENERATION] = self._generation
        words[_ACCEPTED] = 0
        fence()
        reset(slot.to_client[0])
        reset(slot.from_client[0])
        fence()
        words[_SERVING] = 1
        self._client = 0
        self._doorbell.ring()

    def _meet(self) -> bool:
        words = self._words
        if words[_PRESENT] != 1:
            return False
        fence()
        self._client = words[_WHO]
        if words[_JOINED] != self._generation or not self._client:
            return False
        words[_ACCEPTED] = self._client
        fence()
        self._doorbell.ring()
        return True

    def _parted(self) -> bool:
        words = self._words
        return bool(words[_PRESENT] != 1 or words[_WHO] != self._client or self._is_stale())

    def _leave(self) -> None:
        if not self._is_stale():
            self._words[_SERVING] = 0
            fence()


class KvmClient(_Ringed):
    """The client end, on the other side."""

    def __init__(self, region: Path, slot_number: int, make_doorbell: MakeDoorbell) -> None:
        """Returns at once; the first look for the server is due, and `fileno()` says so. Raises MachineCannot."""
        slot = _Slot(region, slot_number)
        super().__init__(slot, Producer(*slot.from_client), Consumer(*slot.to_client), make_doorbell)
        self._who = secrets.randbits(32) or 1

    def _meet(self) -> bool:
        words = self._words
        if words[_SERVING] != 1:
            return False
        fence()
        generation = words[_GENERATION]
        if generation in (0, self._generation):
            return bool(generation and words[_ACCEPTED] == self._who)
        if not self._slot.claim():
            return False
        self._generation = generation
        words[_PRESENT] = 0
        fence()
        words[_WHO] = self._who
        words[_JOINED] = generation
        fence()
        words[_PRESENT] = 1
        fence()
        self._doorbell.ring()
        return bool(words[_ACCEPTED] == self._who)

    def _parted(self) -> bool:
        return bool(self._words[_SERVING] != 1 or self._is_stale())

    def _leave(self) -> None:
        if self._generation and self._words[_WHO] == self._who:
            self._words[_PRESENT] = 0
            fence()
