"""A process that a VM has taken over can say what it likes: it is heard for a moment, and then it is killed."""

import json
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from guid.control import LineSocket
from guid.worker.child import Child
from guid.worker.process import fork
from tests.e2e.rig import wait_for
from tests.guid.worker.test_process import WINDOW


@contextmanager
def running(live: Callable[[LineSocket], object]) -> Iterator[Child]:
    """A real process that does that."""

    def alive(line: LineSocket) -> dict[str, str]:
        os.set_blocking(line.fileno(), True)
        live(line)
        while True:
            time.sleep(1000)

    child = fork("hostile", alive)
    poll = select.epoll()
    poll.register(child.pidfd)
    try:
        yield child
    finally:
        child.end(poll)
        poll.close()


def word(event: str, **fields: object) -> bytes:
    return json.dumps({"event": event, **fields}).encode() + b"\n"


def dead(child: Child) -> bool:
    return bool(select.select([child.pidfd], [], [], 0)[0])


def hear_to_the_end(child: Child) -> int:
    """How many words are heard until it is dead."""
    heard, patience = 0, time.monotonic() + 30
    while not dead(child):
        select.select([child.line.fileno(), child.pidfd], [], [], 1)
        heard += len(child.hear())
        assert time.monotonic() < patience, "it goes on"
    return heard + len(child.hear(ended=True))


@pytest.mark.parametrize(
    ("flood", "most"),
    [
        (word("ready"), 4000),
        (word("log", level=20, text="x"), 4000),
        (word("notify", text="look here"), 4000),
        (word("copying"), 200),
        (word("pasting"), 200),
        (word("desktop", layout="us", monitors="") + word("desktop", layout="de", monitors=""), 1000),
        (word("windows", id=1, rows=[WINDOW] * 100), 2000),
        (word("log", level=20, text="x" * 1_000_000), 100),
        (b" ", 0),
    ],
    ids=["words", "logs", "notifications", "copies", "pastes", "desktops", "answers", "long ones", "no end of a line"],
)
def test_whoever_floods_is_ended_and_was_heard_for_a_moment(flood: bytes, most: int) -> None:
    def live(line: LineSocket) -> None:
        while True:
            os.write(line.fileno(), flood)

    with running(live) as child:
        assert hear_to_the_end(child) <= most
        assert child.fault == "its worker said too much"


def test_somebody_who_sends_byte_by_byte_is_ended() -> None:
    """Each of them would have the supervisor wake up."""

    def live(line: LineSocket) -> None:
        while True:
            os.write(line.fileno(), b" ")
            time.sleep(0.0001)

    with running(live) as child:
        assert hear_to_the_end(child) == 0
        assert child.fault == "its worker said too much"


def test_answers_that_were_asked_for_are_free() -> None:
    answer = word("windows", id=1, rows=[WINDOW] * 3000)  # a megabyte

    def live(line: LineSocket) -> None:
        while os.read(line.fileno(), 1000):
            os.write(line.fileno(), answer)

    with running(live) as child:
        for _ in range(60):
            child.ask({"op": "windows", "id": 1})
            heard: list[object] = []

            def look(heard: list[object] = heard) -> bool:
                select.select([child.line.fileno()], [], [], 1)
                heard += child.hear()
                return bool(heard) or bool(child.fault)

            wait_for("the answer", look)
            assert not child.fault


def test_nothing_more_is_heard_of_somebody_disowned() -> None:
    with running(lambda line: os.write(line.fileno(), word("ready") + word("surprise") + word("pasting"))) as child:
        assert hear_to_the_end(child) == 1
        assert child.fault == "its worker said what none says"
        child.disown("later")
        assert child.fault == "its worker said what none says"


def test_somebody_who_hangs_up_and_goes_on_is_ended_a_little_later() -> None:
    with running(lambda line: line.close()) as child:
        wait_for("the end of its line", lambda: child.hear() or child.line.closed)
        child.hung_up(100.0)
        due = child.overdue_at or 0.0
        child.due(due - 0.1)
        assert [child.fault] == [""]
        child.due(due)
        wait_for("its end", lambda: dead(child))
        assert child.fault == "its worker hung up and went on"
