"""When a process that died is started again, and when no more."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guiagent.kept import RESTART_DELAYS, Backoff, Part
from guiproto.errors import MachineCannot


def test_the_first_restart_is_at_once_and_there_is_a_last_one() -> None:
    backoff = Backoff()
    delays = [backoff.died(0.1) for _ in range(len(RESTART_DELAYS) + 1)]
    assert delays == [*RESTART_DELAYS, None]
    assert delays[0] == 0


def test_living_long_enough_starts_the_count_again() -> None:
    backoff = Backoff((0.0, 1.0))
    assert [backoff.died(lived) for lived in (0.1, 0.1, 20, 0.1, 0.1)] == [0.0, 1.0, 0.0, 1.0, None]


@given(st.lists(st.floats(0, 100), max_size=50))
def test_gives_up_exactly_after_as_many_quick_deaths_as_there_are_delays(lives: list[float]) -> None:
    backoff = Backoff()
    for lived in lives:
        delay = backoff.died(lived)
        assert (delay is None) == (backoff.deaths > len(RESTART_DELAYS))
        if delay is None:
            return


def test_a_part_is_due_until_started_and_again_after_its_death() -> None:
    part = Part("the part", (0.0,))
    assert part.due()
    part.started(7)
    assert (part.pid, part.due()) == (7, False)
    part.died()
    assert (part.pid, part.due()) == (0, True)
    part.started(8)
    with pytest.raises(MachineCannot, match="the part died 2 times in a row"):
        part.died()


def test_a_delayed_start_is_not_due_yet() -> None:
    part = Part("the part", (1000.0,))
    part.started(7)
    part.died()
    assert not part.due()
    assert part.start_at is not None
    assert 900 < part.start_at - time.monotonic() <= 1000
