"""What may happen often is bounded in the long run, and never refused to those who are patient."""

from hypothesis import given
from hypothesis import strategies as st

from guid.rates import Bucket


@given(st.lists(st.floats(0, 5), max_size=200))
def test_never_more_than_the_burst_and_what_the_time_allows(pauses: list[float]) -> None:
    bucket, now, allowed = Bucket(3.0, 0.5, 10.0), 10.0, 0
    for pause in pauses:
        now += pause
        allowed += bucket.take(now)
        assert allowed <= 3 + (now - 10.0) * 0.5 + 1e-6


def test_who_waits_is_let_through() -> None:
    bucket = Bucket(2.0, 0.5, 0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(2.0 * turn) for turn in range(1, 6)] == [True] * 5
    assert [bucket.take(1000.0) for _ in range(3)] == [True, True, False], "waiting does not add up without end"


def test_what_has_happened_is_owed_until_time_has_passed() -> None:
    bucket = Bucket(2.0, 0.5, 0.0)
    bucket.owe(0.0, 5.0)
    assert bucket.wait(0.0) == 6.0
    assert not bucket.take(6.0, 0.1)
    assert bucket.wait(6.0) == 0.0
    bucket.give(1.5)
    assert bucket.take(6.0, 1.5)
    bucket.give(9.0)
    assert [bucket.take(6.0, 2.0), bucket.take(6.0, 0.1)] == [True, False], "a gift is no more than the burst"
