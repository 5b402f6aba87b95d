"""A process that the supervisor has started for a VM, as the supervisor sees it: what it says is checked and rationed.

One that a VM has taken over can make the supervisor do nothing but what its words ask for, and of that only so much in
a time: less than 5 % of a processor. Whoever says more, or something else, is killed.
"""

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass, field
from typing import Final

from guid.control import LONGEST_LINE, LineSocket, Message
from guid.rates import Bucket
from guid.worker.words import COSTS, is_word

_WORDS_AT_ONCE: Final = 2000.0
_WORDS_PER_SECOND: Final = 200.0
"""A word takes the supervisor at most a fifth of a millisecond, and so does a turn in which it reads something."""
_WORD_BYTES: Final = 16 * 1024
"""What is long counts as one more word for so many bytes."""
_ANSWER: Final = LONGEST_LINE / _WORD_BYTES + 100.0
"""What an answer may cost that somebody has asked for, in words."""
_ENDING_SECONDS: Final = 5.0


@dataclass(eq=False, slots=True)
class Child:
    """A running one: its pid, a descriptor that is readable when it has ended, and the line to it."""

    pid: int
    pidfd: int
    line: LineSocket
    fault: str = ""
    """For what it was disowned."""
    overdue_at: float | None = None
    """When it will be disowned: it has hung up, and should have ended by then. See `hung_up`."""
    _ration: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self._ration = Bucket(_WORDS_AT_ONCE, _WORDS_PER_SECOND, time.monotonic())

    def hear(self, *, ended: bool = False) -> list[Message]:
        """What it has said since the last time, or some of it; all that is left if it has `ended`.

        One that says anything but `WORDS`, or too much, is disowned.
        """
        if self.fault:
            return []
        before = self.line.received
        messages = self.line.receive(everything=ended)
        if not self._affords(1.0 + (self.line.received - before) / _WORD_BYTES):
            return []
        for number, message in enumerate(messages):
            if not is_word(message):
                self.disown("its worker said what none says")
            elif self._affords(COSTS.get(message["event"], 1.0)):
                continue
            return messages[:number]
        return messages

    def ask(self, question: Message) -> None:
        """Say something that it is to answer: the answer may be long."""
        self._ration.give(_ANSWER)
        self.line.send(question)

    def hung_up(self, now: float) -> None:
        """It has closed its line, so it should end. `now`, of the clock of whoever looks at `overdue_at`."""
        self.overdue_at = now + _ENDING_SECONDS

    def due(self, now: float) -> None:
        """Disown it if it is overdue."""
        if self.overdue_at is not None and self.overdue_at <= now:
            self.overdue_at = None
            self.disown("its worker hung up and went on")

    def disown(self, fault: str) -> None:
        """It has done what it must not do: kill it. What becomes of that is seen at `pidfd`."""
        self.fault = self.fault or fault
        self._kill()

    def end(self, poll: select.epoll, patience: float = 0.0) -> bool:
        """Hang up, end it and let go of it, also in `poll`; whether SIGKILL ended it, ours or another's.

        `patience`: seconds that it may take to end by itself.
        """
        poll.unregister(self.pidfd)
        with contextlib.suppress(OSError, ValueError):
            poll.unregister(self.line.fileno())
        self.line.close()
        if patience:
            select.select([self.pidfd], [], [], patience)
        self._kill()
        _, status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL

    def _affords(self, cost: float) -> bool:
        if not self._ration.take(time.monotonic(), cost):
            self.disown("its worker said too much")
        return not self.fault

    def _kill(self) -> None:
        # It is our child and not reaped yet, so the number is its own. KILL, because an X server that hangs would keep
        # a worker from hearing anything else; the X server removes what belonged to it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
