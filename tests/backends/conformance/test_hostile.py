"""An attack that gets through, hurts in another way than it should, or costs something, fails the check."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from backends.base import MachineCannot, MappedPages, PageMapper, PeerMisbehaved, Refs
from backends.conformance import check_hostile_pages, hostile, waiting


class Victim(PageMapper):
    """A mapper that answers every reference as it is told."""

    def __init__(self, answer: Callable[[], object]) -> None:
        self._answer = answer
        self.closed = False

    def map(self, refs: Refs) -> MappedPages:
        self._answer()
        view = memoryview(bytes(len(refs)))
        return MappedPages(None, 0, len(view), view, 1, lambda: None)

    def close(self) -> None:
        self.closed = True


def check(answer: Callable[[], object]) -> list[Victim]:
    victims = []

    @contextmanager
    def attack() -> Iterator[tuple[PageMapper, Refs]]:
        victims.append(Victim(answer))
        yield victims[-1], np.zeros(1, np.uint32)

    check_hostile_pages({"the attack": attack})
    return victims


def refuse() -> None:
    raise PeerMisbehaved("page reference")


def test_refusing_is_right_every_time() -> None:
    victims = check(refuse)
    assert len(victims) == hostile._ROUNDS
    assert all(victim.closed for victim in victims)


def test_not_noticing_is_wrong() -> None:
    with pytest.raises(AssertionError, match="'the attack' was not noticed"):
        check(lambda: None)


def test_another_error_is_wrong() -> None:
    def fail() -> None:
        raise MachineCannot("do that")

    with pytest.raises(AssertionError, match="raised MachineCannot, not PeerMisbehaved: do that"):
        check(fail)


def test_waiting_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PROMPT", 0.0)

    def wait() -> None:
        time.monotonic()
        refuse()

    with pytest.raises(AssertionError, match="must not block"):
        check(wait)


def test_leaking_is_wrong() -> None:
    leaked = []

    def leak() -> None:
        leaked.append(os.eventfd(0))
        refuse()

    with pytest.raises(AssertionError, match="leaks descriptors"):
        check(leak)
    for fd in leaked:
        os.close(fd)
