"""What many workers are asked at once: each answers for its own VM, and once."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from guid.control import LineSocket
from guid.spec import VmSpec
from guid.supervisor.queries import Queries
from guid.supervisor.vm import Vm
from guid.worker.child import Child


class Asked:
    """Two VMs whose workers are this test, and what came of a question."""

    def __init__(self) -> None:
        self.now = 0.0
        self.queries = Queries(lambda: self.now)
        self.answers: list[tuple[list[dict[str, Any]], list[str]]] = []
        self.lines: dict[str, LineSocket] = {}
        self.vms = [self._vm(name) for name in ("work", "bad")]

    def _vm(self, name: str) -> Vm:
        ours, theirs = socket.socketpair()
        self.lines[name] = LineSocket(theirs)
        return Vm(VmSpec(name, 5, "red"), child=Child(os.getpid(), -1, LineSocket(ours)), state="connected")

    def ask(self) -> int:
        self.queries.ask("windows", self.vms, lambda rows, silent: self.answers.append((rows, silent)))
        for line in self.lines.values():
            (question,) = line.receive()
            assert question["op"] == "windows"
        return int(question["id"])

    def answer(self, name: str, number: int, *rows: dict[str, Any]) -> None:
        self.queries.answered(name, {"id": number, "rows": list(rows)})

    def close(self) -> None:
        for line in self.lines.values():
            line.close()
        for vm in self.vms:
            assert vm.child is not None
            vm.child.line.close()


@pytest.fixture
def asked() -> Iterator[Asked]:
    made = Asked()
    yield made
    made.close()


def test_rows_say_whose_they_are_whatever_the_worker_says(asked: Asked) -> None:
    number = asked.ask()
    asked.answer("work", number, {"vm": "work", "title": "a"})
    asked.answer("bad", number, {"vm": "work", "title": "b"})
    assert asked.answers == [([{"vm": "work", "title": "a"}, {"vm": "bad", "title": "b"}], [])]


def test_only_the_first_answer_counts(asked: Asked) -> None:
    number = asked.ask()
    for _ in range(3):
        asked.answer("bad", number, {"vm": "bad"})
    asked.answer("bad", number + 1, {"vm": "bad"})
    asked.answer("work", number)
    assert asked.answers == [([{"vm": "bad"}], [])]


def test_who_is_silent_is_named(asked: Asked) -> None:
    asked.answer("work", asked.ask(), {"vm": "work"})
    (deadline,) = asked.queries.deadlines()
    asked.queries.give_up(deadline)
    assert asked.answers == [([{"vm": "work"}], ["bad"])]
