"""What a VM does to a vchan that lies in memory of its own: any word of it, at any moment."""

import mmap
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backends.kvm.layout import RING_BYTES, SLOT_BYTES, slot_offset
from backends.kvm.vchan import KvmServer
from guiproto.limits import PAGE_SIZE
from guiproto.messages import Create, Destroy
from tests.e2e.rig import wait_for
from tests.hostile.field import Shown

# 32-bit words of the slot's first page, see `backends.kvm.vchan` and `shm.ring`.
_SERVING: Final = 1
_TO_DAEMON, _FROM_DAEMON = 64, 128
_PROD, _CONS, _DATA_WANTED, _SPACE_WANTED = 0, 16, 32, 48
_WORDS: Final = 1 << 32
_SECONDS: Final = 10.0


class Slot:
    """The memory of the vchan, written past the agent that uses it."""

    def __init__(self, region: Path) -> None:
        fd = os.open(region, os.O_RDWR)
        slot = memoryview(mmap.mmap(fd, SLOT_BYTES + slot_offset(0)))[slot_offset(0) :]
        os.close(fd)
        self.words = slot[:PAGE_SIZE].cast("I")
        self.bytes_to_daemon = slot[PAGE_SIZE : PAGE_SIZE + RING_BYTES]

    def move(self, word: int, by: int) -> None:
        """Add to a word."""
        self.words[word] = (self.words[word] + by) % _WORDS


@dataclass(frozen=True)
class RingAttack:
    """`ends`: what the reason may begin with; none: the session goes on."""

    act: Callable[[Shown, Slot], object]
    ends: tuple[str, ...] = ()


def _speak(bad: Shown) -> None:
    """Make the worker look at both rings: it reads something and answers."""
    bad.agent.tell(Create(99, 0, 0, 5, 5, 0, 0), Destroy(99))


def _until_it_ends(bad: Shown, step: Callable[[], object]) -> None:
    """At most for some seconds."""
    end = time.monotonic() + _SECONDS
    while not bad.reason() and time.monotonic() < end:
        step()


def _moved(word: int, by: int) -> Callable[[Shown, Slot], object]:
    def act(bad: Shown, slot: Slot) -> None:
        if word < _FROM_DAEMON:
            # The agent's own next message would put the index right again: only the bell is to be heard.
            slot.move(word, by)
            _ring(bad)
        else:
            slot.move(word, by)
            _speak(bad)

    return act


def _ring(bad: Shown) -> None:
    vchan = bad.agent._vchan
    assert isinstance(vchan, KvmServer)
    vchan._doorbell.ring()


def _flicker(bad: Shown, slot: Slot) -> None:
    """The index is right and wrong in turns, faster than anybody can look twice."""
    right = slot.words[_TO_DAEMON + _PROD]
    wrong = (right + RING_BYTES + 1) % _WORDS

    def step() -> None:
        for _ in range(200):
            slot.words[_TO_DAEMON + _PROD] = wrong
            slot.words[_TO_DAEMON + _PROD] = right
        slot.words[_TO_DAEMON + _PROD] = wrong
        _ring(bad)

    _until_it_ends(bad, step)


def _never_written(bad: Shown, slot: Slot) -> None:
    """Says that the ring is full of what nobody has put in."""
    slot.move(_TO_DAEMON + _PROD, RING_BYTES - 64)
    _ring(bad)


def _rewritten(bad: Shown, slot: Slot) -> None:
    """Changes bytes that are on their way, in all places of the ring, again and again."""
    chance = random.Random(5)

    def step() -> None:
        _speak(bad)
        for _ in range(100):
            slot.bytes_to_daemon[chance.randrange(RING_BYTES)] = chance.randrange(256)
        bad.agent.read()

    _until_it_ends(bad, step)


def _wishes(bad: Shown, slot: Slot) -> None:
    """Wants to be rung for, and not, for everything that is possible."""
    received = bad.agent.received
    for value in (0, 1, RING_BYTES, 2**31, 2**32 - 1) * 20:
        before = received[Destroy]
        slot.words[_FROM_DAEMON + _DATA_WANTED] = value
        slot.words[_TO_DAEMON + _SPACE_WANTED] = value
        _speak(bad)

        def is_answered() -> bool:
            _ring(bad)
            bad.agent.read()
            return received[Destroy] > before  # noqa: B023 - called at once

        wait_for("the answer", is_answered)


def _bells(bad: Shown, slot: Slot) -> None:  # noqa: ARG001 - as all attacks
    """Rings and has nothing to say."""
    for _ in range(20_000):
        _ring(bad)
    bad.agent.settle()


def _come_and_go(bad: Shown, slot: Slot) -> None:
    """Is gone and there again by one word, as fast as that can be written."""
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        for value in (0, 1) * 50:
            slot.words[_SERVING] = value
        _ring(bad)
    slot.words[_SERVING] = 0
    _ring(bad)


RING_ATTACKS: Final[Mapping[str, RingAttack]] = {
    "more is said to wait than fits": RingAttack(_moved(_TO_DAEMON + _PROD, RING_BYTES + 1), ("vchan ring",)),
    "an index goes backwards": RingAttack(_moved(_TO_DAEMON + _PROD, -1), ("vchan ring",)),
    "an index is half way round": RingAttack(_moved(_TO_DAEMON + _PROD, 2**31), ("vchan ring",)),
    "more is taken out than was put in": RingAttack(_moved(_FROM_DAEMON + _CONS, 1 << 20), ("vchan ring",)),
    "what was taken out is put back": RingAttack(_moved(_FROM_DAEMON + _CONS, -(RING_BYTES + 1)), ("vchan ring",)),
    "an index that changes all the time": RingAttack(_flicker, ("vchan ring",)),
    "bytes that nobody wrote": RingAttack(_never_written, ("unknown message type", "message length", "unknown window")),
    "bytes that change on their way": RingAttack(_rewritten, ("",)),
    "wishes to be rung for": RingAttack(_wishes),
    "a bell without end": RingAttack(_bells),
    "a server that comes and goes by a word": RingAttack(_come_and_go),
}
