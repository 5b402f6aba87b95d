"""Marks call back in order, once each."""

from collections.abc import Iterator

import pytest

from shm.fences import NO_EXPOSURE, Fences
from shm.xconn import RawEvents, XConnection
from tests.xserver import XServer, wait_until


@pytest.fixture
def connection() -> Iterator[XConnection]:
    with XServer(100, 100) as server:
        made = XConnection(server.display)
        yield made
        made.close()


@pytest.fixture
def fences(connection: XConnection) -> Iterator[Fences]:
    connection.raw_events = frozenset({NO_EXPOSURE})
    yield Fences(connection)
    assert connection.errors == 0


def test_order(connection: XConnection, fences: Fences) -> None:
    called: list[int] = []
    for number in range(3):
        fences.mark(lambda now=number: called.append(now))  # type: ignore[misc]  # its default binds the loop's value
    connection.flush()

    def look() -> bool:
        for event in connection.events():
            assert isinstance(event, RawEvents)
            fences.passed(event.data)
        return len(called) == 3

    wait_until(look, "three marks to be passed")
    assert called == [0, 1, 2]


def test_more_answers_than_marks_do_no_harm(fences: Fences) -> None:
    called: list[int] = []
    fences.mark(lambda: called.append(1))
    fences.passed((bytes([NO_EXPOSURE]) + bytes(31)) * 3)
    assert called == [1]
