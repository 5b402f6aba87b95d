"""A VM may say much at once, and in the long run no more than it may."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.worker.throttle import Throttle

RATE = 1000


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 0.5)), max_size=200))
def test_whoever_waits_when_told_reads_no_more_than_the_rate_and_a_batch(batches: list[tuple[int, float]]) -> None:
    throttle, now, read = Throttle(RATE, 5.0), 5.0, 0
    for messages, pause in batches:
        throttle.count(messages, 0, 0, now)
        read += messages
        now += pause + throttle.wait(now)
        assert read <= RATE * (1 + now - 5.0) + 1e-3
        assert throttle.wait(now) < 1e-6


def test_less_than_the_rate_is_never_held_up() -> None:
    throttle = Throttle(RATE, 0.0)
    for turn in range(1000):
        assert not throttle.count(9, 0, 252, turn / 100)
    assert not throttle.over


def test_what_has_consequences_counts_ten_times() -> None:
    throttle = Throttle(RATE, 0.0)
    assert not throttle.count(100, 100, 0, 0.0)
    assert throttle.count(1, 1, 0, 0.0)
    assert throttle.over
    assert throttle.wait(0.0) == pytest.approx(0.01)
    assert throttle.wait(0.02) == 0.0
    assert not throttle.over


def test_what_is_long_counts_by_the_kib() -> None:
    throttle = Throttle(RATE, 0.0)
    assert not throttle.count(1, 0, 999 * 1024, 0.0)
    assert throttle.count(0, 0, 1024, 0.0)


def test_another_rate_counts_at_once() -> None:
    throttle = Throttle(RATE, 0.0)
    throttle.count(3000, 0, 0, 0.0)
    assert throttle.wait(0.0) == pytest.approx(2.0)
    throttle.change(4000)
    assert throttle.wait(0.0) == pytest.approx(0.5)


def test_the_rate_is_that_of_lately() -> None:
    throttle = Throttle(RATE, 0.0)
    for turn in range(1, 31):
        throttle.count(50, 0, 0, turn / 10)
    assert throttle.rate(3.0) == 500
    assert throttle.rate(60.0) == 0
