"""Questions to all workers at once: answered when the last one has answered, or without those that do not in time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from guid.control import Message
from guid.supervisor.vm import Vm

_ANSWER_SECONDS: Final = 5.0

Answer = Callable[[list[dict[str, Any]], list[str]], None]
"""Gets the rows, each with the name of its `vm`, and the names of the VMs whose workers did not answer."""


@dataclass(slots=True)
class _Query:
    """A request that waits for workers."""

    answer: Answer
    waiting: set[str]
    rows: list[dict[str, Any]]
    deadline: float


class Queries:
    """The questions that are open."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[int, _Query] = {}
        self._last = 0

    def ask(self, what: str, vms: Iterable[Vm], answer: Answer) -> None:
        """Ask the workers of `vms` for their "windows" or their "usage"; `answer` may be called at once."""
        self._last += 1
        query = self._open[self._last] = _Query(answer, set(), [], self._clock() + _ANSWER_SECONDS)
        for vm in vms:
            if vm.child is not None and vm.state != "starting":
                vm.child.ask({"op": what, "id": self._last})
                query.waiting.add(vm.spec.name)
        self._settle(self._last)

    def answered(self, name: str, message: Message) -> None:
        """The worker of VM `name` answered."""
        number = message["id"]
        if number in self._open and name in self._open[number].waiting:
            self._open[number].rows += [{**row, "vm": name} for row in message["rows"]]
            self._open[number].waiting.discard(name)
            self._settle(number)

    def gone(self, name: str) -> None:
        """The worker of VM `name` will not answer any more."""
        for number, query in list(self._open.items()):
            query.waiting.discard(name)
            self._settle(number)

    def deadlines(self) -> list[float]:
        """When `give_up` has something to do."""
        return [query.deadline for query in self._open.values()]

    def give_up(self, now: float) -> None:
        """Answer without those who take too long."""
        for number, query in list(self._open.items()):
            if query.deadline <= now:
                self._finish(number)

    def _settle(self, number: int) -> None:
        if not self._open[number].waiting:
            self._finish(number)

    def _finish(self, number: int) -> None:
        query = self._open.pop(number)
        query.answer(query.rows, sorted(query.waiting))
