"""The questions that are open on desktops: each is a process of its own, and is answered with no if nobody answers."""

import os
import select
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from guid.config.labels import label
from guid.control import LineSocket
from guid.spec import VmSpec
from guid.supervisor.question import Question
from guid.worker.child import Child
from guid.worker.process import fork
from guiproto.errors import MachineCannot

ANSWER_SECONDS: Final = 30.0

Done = Callable[[bool, str], None]
"""Gets whether it may be, and if not, why."""


@dataclass(slots=True)
class _Open:
    child: Child
    done: Done
    deadline: float
    answer: str = ""


class Questions:
    """At most one about each target. Their descriptors are in `poll`."""

    def __init__(self, poll: select.epoll, clock: Callable[[], float]) -> None:
        self._poll = poll
        self._clock = clock
        self._open: dict[str, _Open] = {}

    def ask(self, spec: VmSpec, source: str, source_label: str, done: Done) -> None:
        """Whether what was copied from `source` may be given to the VM of `spec`, asked where its windows are.

        `done` is called once, unless the question is withdrawn. Raises MachineCannot where there is no way to ask.
        """
        target = spec.name
        if target in self._open:
            raise MachineCannot("the question whether it may be is open already", "answer it")
        if spec.gui_vm or spec.view.host != "x11":
            raise MachineCannot(
                f"a rule wants you to be asked, which {spec.shown_by()} cannot", "allow or deny it there"
            )
        sides = (source, label(source_label)), (target, label(spec.label))

        def live(line: LineSocket) -> dict[str, str]:
            os.environ.update(spec.environ)
            try:
                question = Question(spec.view.display, *sides)
                return {"kind": "answer", "reason": "yes" if question.answer(line) else "you did not allow it"}
            except MachineCannot as error:
                return {"kind": "machine", "reason": str(error)}

        child = fork("guid:question", live)
        self._open[target] = _Open(child, done, self._clock() + ANSWER_SECONDS, "the question failed")
        self._poll.register(child.line.fileno(), select.EPOLLIN)
        self._poll.register(child.pidfd, select.EPOLLIN)

    def withdraw(self, target: str) -> None:
        """The question about that VM is of no interest any more, if there is one."""
        question = self._open.pop(target, None)
        if question is not None:
            question.child.end(self._poll)

    def ready(self, fd: int) -> bool:
        """Serve a descriptor that polls ready; False if it is none of ours."""
        for target, question in self._open.items():
            child = question.child
            if fd in (child.line.fileno(), child.pidfd):
                for message in child.hear(ended=fd == child.pidfd):
                    if message.get("event") == "ended":
                        question.answer = str(message.get("reason"))
                if fd == child.pidfd or child.line.closed:
                    self._close(target, question.answer)
                return True
        return False

    def deadlines(self) -> list[float]:
        """When `due` has something to do."""
        return [question.deadline for question in self._open.values()]

    def due(self, now: float) -> None:
        """Give up those that nobody answers."""
        for target in [target for target, question in self._open.items() if question.deadline <= now]:
            self._close(target, f"nobody answered within {ANSWER_SECONDS:g} s")

    def close(self) -> None:
        """Withdraw all."""
        for target in list(self._open):
            self.withdraw(target)

    def _close(self, target: str, answer: str) -> None:
        question = self._open.pop(target)
        question.child.end(self._poll)
        question.done(answer == "yes", answer)
