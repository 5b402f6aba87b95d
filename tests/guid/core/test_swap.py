"""Conversations of a swap: whatever happens, either the present GUI domain has the windows afterwards or the target."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from guid.core.swap import (
    CUT_SECONDS,
    FILL_SECONDS,
    LOOK_SECONDS,
    PATIENCE,
    RELEASE_SECONDS,
    Await,
    Command,
    Do,
    Finished,
    Swap,
)


def _swap(*, one_id: bool = False) -> Swap:
    swap = Swap("work", "dom0", "wall", 100.0, one_id=one_id)
    assert swap.start() == [Do.OPEN_TARGET]
    return swap


def _filling(windows: set[int]) -> Swap:
    swap = _swap()
    assert swap.target_ready(100.1) == [Do.PREPARE]
    assert swap.target_connected(100.2) == [Do.ASK_PRESENT]
    assert swap.present_shows(windows, 100.3) == [Await(frozenset(windows))]
    return swap


def _releasing() -> Swap:
    swap = _filling({1, 2})
    assert swap.target_complete({1, 2}, 100.4) == [Do.RELEASE_PRESENT]
    return swap


def _cutting() -> Swap:
    swap = _releasing()
    assert swap.present_released(100.4) == [Do.COMMIT]
    return swap


MOVED = [Do.CLOSE_PRESENT, Do.ADOPT, Finished(True, "wall shows work")]


UNDONE = [Do.WITHDRAW, Do.CLOSE_TARGET, Do.CLOSE_PRESENT, Do.RESTORE]
"""When the present worker has no windows any more."""


def _stays(reason: str) -> Finished:
    return Finished(False, f"dom0 still shows work: wall: {reason}")


def test_the_target_shows_everything_before_the_present_one_is_cut_off() -> None:
    swap = _cutting()
    assert swap.present_gone(100.5) == MOVED
    assert swap.over


def test_a_window_that_goes_meanwhile_is_awaited_no_longer() -> None:
    swap = _filling({1, 2})
    assert swap.tick(100.3 + LOOK_SECONDS) == [Do.ASK_PRESENT]
    assert swap.present_shows({2}, 100.4) == [Await(frozenset({2}))]
    assert swap.target_complete({1, 2}, 100.4) == [], "that was about the earlier ones"
    assert swap.target_complete({2}, 100.5) == [Do.RELEASE_PRESENT]


def test_what_is_asked_again_and_has_not_changed_is_not_said_again() -> None:
    swap = _filling({1, 2})
    assert swap.present_shows({2, 1}, 100.4) == []


def test_a_vm_without_windows_moves() -> None:
    swap = _filling(set())
    assert swap.target_complete([], 100.4) == [Do.RELEASE_PRESENT]


def test_a_target_that_does_not_answer() -> None:
    swap = _swap()
    assert swap.tick(100.0 + PATIENCE) == [
        Do.WITHDRAW, Do.CLOSE_TARGET, _stays("in 10 s it has not opened its display")
    ]  # fmt: skip


def test_an_agent_that_does_not_come() -> None:
    swap = _swap()
    swap.target_ready(100.1)
    assert swap.tick(110.0)[-1] == _stays("in 10 s it has not connected to the VM")


def test_a_target_that_does_not_show_every_window() -> None:
    swap = _filling({1, 2})
    assert swap.tick(110.0) == [Do.WITHDRAW, Do.CLOSE_TARGET, _stays("in 10 s it has not shown every window")]


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_target_that_refuses_or_dies_before_it_shows_everything(steps: int) -> None:
    swap = _swap()
    way: list[Callable[[], object]] = [
        lambda: swap.target_ready(100.1),
        lambda: swap.target_connected(100.2),
        lambda: swap.present_shows({5}, 100.3),
    ]
    for step in way[:steps]:
        step()
    assert swap.target_ended("no MIT-SHM") == [Do.WITHDRAW, Do.CLOSE_TARGET, _stays("no MIT-SHM")]
    assert swap.tick(200.0) == []


def test_a_vm_that_cannot_be_told() -> None:
    swap = _swap()
    swap.target_ready(100.1)
    assert swap.not_told("no Qubes DB") == [Do.WITHDRAW, Do.CLOSE_TARGET, _stays("no Qubes DB")]
    swap = _cutting()
    assert swap.not_told("its Qubes DB is gone") == [*UNDONE, _stays("its Qubes DB is gone")]


def test_a_target_that_dies_when_the_windows_are_its_own_has_them_still() -> None:
    assert _cutting().target_ended("killed") == MOVED


def test_a_target_that_dies_after_the_present_one_has_let_go() -> None:
    assert _releasing().target_ended("killed") == [*UNDONE, _stays("killed")]


def test_a_present_worker_that_does_not_let_go_is_not_waited_for() -> None:
    swap = _releasing()
    assert swap.deadline() == 100.4 + RELEASE_SECONDS
    assert swap.tick(swap.deadline()) == [Do.COMMIT]
    assert swap.present_released(102.0) == []
    assert _releasing().present_gone(100.5) == [Do.COMMIT]


def test_a_vm_that_does_not_cut_the_present_one_off() -> None:
    swap = _cutting()
    assert swap.deadline() == 100.4 + CUT_SECONDS
    assert swap.tick(swap.deadline()) == MOVED


def test_the_vm_ends() -> None:
    for swap in (_swap(), _filling({3}), _cutting()):
        assert swap.vm_ended() == [
            Do.CLOSE_TARGET, Finished(False, "work ended while its windows moved to wall")
        ]  # fmt: skip
        assert swap.vm_ended() == []


def test_the_agent_dies_and_comes_back_to_both() -> None:
    swap = _filling({1})
    assert swap.target_disconnected() == []
    assert swap.present_gone(100.5) == [], "the present worker waits for it as well"
    assert swap.target_connected(101.0) == [Do.ASK_PRESENT]
    assert swap.present_shows({7}, 101.1) == [Await(frozenset({7}))]
    assert swap.target_complete({7}, 101.2) == [Do.RELEASE_PRESENT]


def test_the_present_one_dies_before_it_said_what_it_shows() -> None:
    swap = _swap()
    swap.target_ready(100.1)
    swap.target_connected(100.2)
    assert swap.present_gone(100.3) == [Await(frozenset())]
    assert swap.target_complete([], 100.4) == [Do.RELEASE_PRESENT]


def test_one_id_breaks_only_when_the_target_has_its_display() -> None:
    swap = _swap(one_id=True)
    assert swap.target_ready(100.1) == [Do.ASK_PRESENT]
    assert swap.present_shows({1, 2}, 100.2) == [Do.RELEASE_PRESENT]
    assert swap.present_released(100.2) == [Do.CLOSE_PRESENT]
    assert swap.target_connected(100.3) == [Await(frozenset({1, 2}))]
    assert swap.target_complete({1, 2}, 100.4) == [Do.ADOPT, Finished(True, "wall shows work")]


def test_one_id_and_no_display() -> None:
    assert _swap(one_id=True).target_ended("no display") == [Do.CLOSE_TARGET, _stays("no display")]


def test_one_id_and_the_agent_does_not_come_back() -> None:
    swap = _swap(one_id=True)
    swap.target_ready(100.1)
    swap.present_shows({1}, 100.2)
    swap.present_released(100.3)
    assert swap.tick(111.0) == [
        Do.CLOSE_TARGET, Do.CLOSE_PRESENT, Do.RESTORE, _stays("in 10 s it has not connected to the VM")
    ]  # fmt: skip


def test_one_id_and_a_window_that_went_while_nobody_looked() -> None:
    swap = _swap(one_id=True)
    swap.target_ready(100.1)
    swap.present_shows({1, 2}, 100.2)
    swap.present_released(100.2)
    swap.target_connected(100.3)
    assert swap.tick(100.3 + FILL_SECONDS) == [Do.ADOPT, Finished(True, "wall shows work")]


def test_one_id_and_a_present_worker_that_hangs() -> None:
    swap = _swap(one_id=True)
    swap.target_ready(100.1)
    assert swap.tick(swap.deadline()) == [Do.RELEASE_PRESENT]
    assert swap.tick(swap.deadline()) == [Do.CLOSE_PRESENT]


class Anything(RuleBasedStateMachine):
    """Whatever is reported in whatever order: it ends once, and exactly one side has the windows then."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.said: list[Command] = []
        self.swap: Swap

    @rule(one_id=st.booleans())
    @precondition(lambda self: not self.said)
    def begin(self, one_id: bool) -> None:
        self.one_id = one_id
        self.swap = Swap("work", "dom0", "wall", self.now, one_id=one_id)
        self.said += self.swap.start()

    def _hear(self, commands: list[Command]) -> None:
        self.said += commands

    @rule(
        event=st.sampled_from(
            [
                "target_ready",
                "target_connected",
                "target_disconnected",
                "target_complete",
                "target_ended",
                "present_shows",
                "present_gone",
                "not_told",
                "vm_ended",
                "tick",
            ]
        ),
        windows=st.frozensets(st.integers(1, 3), max_size=2),
        passed=st.floats(0, 12),
    )
    @precondition(lambda self: self.said)
    def something(self, event: str, windows: frozenset[int], passed: float) -> None:
        self.now += passed if event == "tick" else 0.01
        arguments: dict[str, Any] = {
            "target_ended": ("why",), "not_told": ("why",), "target_complete": (windows, self.now),
            "present_shows": (windows, self.now), "target_disconnected": (), "vm_ended": (),
        }  # fmt: skip
        self._hear(getattr(self.swap, event)(*arguments.get(event, (self.now,))))

    @rule()
    @precondition(lambda self: self.said)
    def as_asked(self) -> None:
        """What was asked for last happens, so that the far states are reached."""
        last, now = self.said[-1], self.now
        if last in (Do.OPEN_TARGET, Do.ASK_PRESENT):
            self._hear(self.swap.target_ready(now) if last is Do.OPEN_TARGET else self.swap.present_shows({1}, now))
        elif last is Do.PREPARE or (last is Do.CLOSE_PRESENT and not self.swap.over):
            self._hear(self.swap.target_connected(now))
        elif isinstance(last, Await):
            self._hear(self.swap.target_complete(last.windows, now))
        elif last is Do.RELEASE_PRESENT:
            self._hear(self.swap.present_released(now))
        elif last is Do.COMMIT:
            self._hear(self.swap.present_gone(now))

    @invariant()
    def one_side_has_the_windows(self) -> None:
        said = self.said
        ends = [command for command in said if isinstance(command, Finished)]
        assert len(ends) <= 1
        if not ends:
            assert Do.ADOPT not in said
            assert Do.CLOSE_TARGET not in said
            return
        assert isinstance(said[-1], Finished)
        assert self.swap.over
        moved = ends[0].moved
        assert (Do.ADOPT in said) is moved
        assert (Do.CLOSE_TARGET in said) is not moved
        if not moved and "ended while" not in ends[0].text:
            assert (Do.RELEASE_PRESENT in said) is (Do.RESTORE in said)
            assert (Do.CLOSE_PRESENT in said) is (Do.RESTORE in said)
            assert Do.PREPARE not in said or Do.WITHDRAW in said
        if moved:
            assert Do.CLOSE_PRESENT in said
            assert self.one_id or Do.COMMIT in said

    @invariant()
    def it_ends(self) -> None:
        if self.said and not self.swap.over:
            assert self.swap.deadline() <= self.now + PATIENCE + 0.1 or self.now < 100.0 + PATIENCE


TestAnything = Anything.TestCase
