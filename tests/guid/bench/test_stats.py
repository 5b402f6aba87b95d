"""Figures claim no more than their samples allow."""

import pytest

from guid.bench.stats import Distribution, interleaved, ratio


@pytest.mark.parametrize(
    ("n", "p90", "p99"), [(0, False, False), (99, False, False), (100, True, False), (1000, True, True)]
)
def test_percentiles_need_enough_samples(n: int, p90: bool, p99: bool) -> None:
    found = Distribution.of([float(value) for value in range(n)])
    assert (found.p90 is not None, found.p99 is not None) == (p90, p99)
    assert found.n == n
    assert (found.p50 is None) == (n == 0)


def test_ratios_are_taken_pair_by_pair() -> None:
    found = ratio([1.0, 20.0, 3.0], [2.0, 40.0, 3.0])
    assert found.values == (0.5, 0.5, 1.0)
    assert (found.median, found.low, found.high) == (0.5, 0.5, 1.0)


def test_runs_take_turns() -> None:
    order = []

    def run(name: str) -> dict[str, str]:
        order.append(name)
        return {"name": name}

    results = interleaved({"a": lambda: run("a"), "b": lambda: run("b")}, 3, lambda _: None)
    assert order == ["a", "b"] * 3
    assert [len(result) for result in results.values()] == [3, 3]
