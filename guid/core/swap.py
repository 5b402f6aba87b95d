"""How a VM's windows move from one GUI domain to another: make before break, and never neither.

The target's worker connects, is told of every window and paints it, all while the present one goes on. Then that takes
its windows away and passes on the last of the user's keys; and only then is the VM told whose the windows are from now
on, which cuts the present worker off. Whatever fails before that moment leaves things as they were; what fails after it
is the target's own trouble, as on any other day.

Two GUI domains with one domain id cannot be connected at the same time. Then the target's worker only opens its display
beforehand; the present one is ended, and comes back if the VM does not connect to the target.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

PATIENCE: Final = 10.0
"""Seconds that the target has to show everything."""
RELEASE_SECONDS: Final = 4.0
"""Seconds that the present worker has to take its windows away before it is not waited for."""
CUT_SECONDS: Final = 2.0
"""Seconds that a VM has to cut the present worker off before that is ended."""
FILL_SECONDS: Final = 3.0
"""Seconds that a target of the same id has to show everything once it is connected. Nobody can say then which windows
have gone meanwhile, so what is there after that time is taken for everything."""
LOOK_SECONDS: Final = 0.05
"""How often the present worker is asked again what it shows: windows may have gone that the target waits for."""


class Do(Enum):
    """What the supervisor is to do."""

    OPEN_TARGET = "start the target's worker"
    PREPARE = "let the VM listen for the target as well"
    ASK_PRESENT = "ask the present worker what it shows"
    RELEASE_PRESENT = "have the present worker take its windows away and pass on the last keys"
    COMMIT = "tell the VM that the windows are the target's"
    CLOSE_PRESENT = "end the present worker"
    ADOPT = "the target's worker is the VM's worker from now on"
    WITHDRAW = "the VM listens for the target no more"
    CLOSE_TARGET = "end the target's worker"
    RESTORE = "start the present worker again"


@dataclass(frozen=True, slots=True)
class Await:
    """Have the target say when it shows all of these windows."""

    windows: frozenset[int]


@dataclass(frozen=True, slots=True)
class Finished:
    """The swap is over. `moved`: whether the target has the windows. `text`: one sentence for the user."""

    moved: bool
    text: str


Command = Do | Await | Finished


class _State(Enum):
    OPENING = "opened its display"
    PREPARING = "connected to the VM"
    FILLING = "shown every window"
    RELEASING = "been given the windows"
    CUTTING = "taken over"
    OVER = ""


class Swap:
    """One VM's way from GUI domain `present` to `target`, both by name. `now`: seconds of any monotonic clock."""

    def __init__(self, vm: str, present: str, target: str, now: float, *, one_id: bool) -> None:
        """`one_id`: both have the same domain id."""
        self.vm = vm
        self.present = present
        self.target = target
        self._one_id = one_id
        self._state = _State.OPENING
        self._deadline = now + PATIENCE
        self._look_at: float | None = None
        self._awaited: frozenset[int] | None = None
        self._released = False
        """Whether the present worker has no windows any more: it has to be started again if the target fails."""

    @property
    def over(self) -> bool:
        """Whether nothing can follow."""
        return self._state is _State.OVER

    def start(self) -> list[Command]:
        """Begin."""
        return [Do.OPEN_TARGET]

    # --- the target ---

    def target_ready(self, now: float) -> list[Command]:
        """Its worker has opened its display."""
        if self._state is not _State.OPENING:
            return []
        if not self._one_id:
            self._state = _State.PREPARING
            return [Do.PREPARE]
        self._look_at = now + CUT_SECONDS
        return [Do.ASK_PRESENT]

    def target_connected(self, now: float) -> list[Command]:
        """The VM's agent talks to it."""
        if self._state is not _State.PREPARING:
            return []
        self._state = _State.FILLING
        if self._one_id:
            self._deadline = now + FILL_SECONDS
            return [Await(self._awaited or frozenset())]
        self._look_at = now + LOOK_SECONDS
        self._awaited = None
        return [Do.ASK_PRESENT]

    def target_disconnected(self) -> list[Command]:
        """The agent is gone, and will be back."""
        if self._state is _State.FILLING:
            self._state = _State.PREPARING
            self._look_at = None
        return []

    def target_complete(self, windows: Iterable[int], now: float) -> list[Command]:
        """It shows all the windows that it was to."""
        if self._state is not _State.FILLING or frozenset(windows) != self._awaited:
            return []
        self._look_at = None
        if self._one_id:
            return [Do.ADOPT, self._finished()]
        return self._release(now)

    def target_ended(self, reason: str) -> list[Command]:
        """Its worker has ended."""
        if self._state is _State.CUTTING:  # too late: it is started again like any other
            return [Do.CLOSE_PRESENT, Do.ADOPT, self._finished()]
        return self._fail(reason)

    # --- the present one ---

    def present_shows(self, windows: Iterable[int], now: float) -> list[Command]:
        """The windows that can be seen there, by the agent's ids."""
        shown = frozenset(windows)
        if self._state is _State.OPENING and self._one_id and self._look_at is not None:
            self._awaited = shown
            return self._release(now)
        if self._state is not _State.FILLING or self._one_id:
            return []
        self._look_at = now + LOOK_SECONDS
        if shown == self._awaited:
            return []
        self._awaited = shown
        return [Await(shown)]

    def present_released(self, now: float) -> list[Command]:
        """It has taken its windows away, and all that the user said to them is on its way to the VM."""
        if self._state is not _State.RELEASING:
            return []
        self._deadline = now + (PATIENCE if self._one_id else CUT_SECONDS)
        if self._one_id:
            self._state = _State.PREPARING
            return [Do.CLOSE_PRESENT]
        self._state = _State.CUTTING
        return [Do.COMMIT]

    def present_gone(self, now: float) -> list[Command]:
        """It is not connected to the VM any more, or has ended."""
        if self._state is _State.RELEASING:
            return self.present_released(now)
        if self._state is _State.CUTTING:
            return [Do.CLOSE_PRESENT, Do.ADOPT, self._finished()]
        return self.present_shows((), now) if self._awaited is None else []

    # --- the VM ---

    def not_told(self, reason: str) -> list[Command]:
        """The VM could not be told what PREPARE or COMMIT say."""
        return self._fail(reason)

    def vm_ended(self) -> list[Command]:
        """There are no windows any more."""
        if self.over:
            return []
        self._state = _State.OVER
        return [Do.CLOSE_TARGET, Finished(False, f"{self.vm} ended while its windows moved to {self.target}")]

    # --- time ---

    def tick(self, now: float) -> list[Command]:
        """Time passed."""
        if self.over:
            return []
        if now >= self._deadline:
            if self._state is _State.CUTTING:
                return [Do.CLOSE_PRESENT, Do.ADOPT, self._finished()]
            if self._state is _State.RELEASING:
                return self.present_released(now)
            if self._state is _State.FILLING and self._one_id:
                return [Do.ADOPT, self._finished()]
            return self._fail(f"in {PATIENCE:g} s it has not {self._state.value}")
        if self._look_at is not None and now >= self._look_at:
            if self._state is _State.OPENING:  # the present worker does not answer: it is awaited no longer
                return self.present_shows((), now)
            self._look_at = now + LOOK_SECONDS
            return [Do.ASK_PRESENT]
        return []

    def deadline(self) -> float:
        """When `tick` has something to do."""
        return self._deadline if self._look_at is None else min(self._deadline, self._look_at)

    # --- endings ---

    def _release(self, now: float) -> list[Command]:
        self._state = _State.RELEASING
        self._deadline = now + RELEASE_SECONDS
        self._look_at = None
        self._released = True
        return [Do.RELEASE_PRESENT]

    def _finished(self) -> Finished:
        self._state = _State.OVER
        return Finished(True, f"{self.target} shows {self.vm}")

    def _fail(self, reason: str) -> list[Command]:
        if self.over:
            return []
        self._state = _State.OVER
        undo: list[Command] = [Do.CLOSE_TARGET] if self._one_id else [Do.WITHDRAW, Do.CLOSE_TARGET]
        if self._released:
            undo += [Do.CLOSE_PRESENT, Do.RESTORE]
        return [*undo, Finished(False, f"{self.present} still shows {self.vm}: {self.target}: {reason}")]
