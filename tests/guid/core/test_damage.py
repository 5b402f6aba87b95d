"""Damage that is held until somebody asks for it costs no more memory for more of it."""

import tracemalloc

import numpy as np
import pytest

from guid.core.damage import Damage
from guid.core.trusted import WindowId
from shm.damage import rows

WINDOW = WindowId(1)


@pytest.mark.parametrize("run", [0, 50])
def test_it_is_bounded(run: int) -> None:
    damage = Damage(64)
    many = np.arange(4 * run, dtype=np.int32).reshape(-1, 4)
    tracemalloc.start()
    try:
        for n in range(100_000 // max(1, run)):
            if run:
                damage.add_many(WINDOW, many + n % 7)
            else:
                damage.add(WINDOW, (n % 3000, n % 2000, 5, 5))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 4_000_000
    assert 1 <= len(damage.take(WINDOW, 4000, 3000)) <= 64


def test_repetitions_are_one_whether_alone_or_in_runs() -> None:
    damage = Damage(64)
    damage.add(WINDOW, (5, 6, 7, 8))
    damage.add_many(WINDOW, np.array([[5, 6, 7, 8]] * 20, np.int32))
    assert damage.windows() == (WINDOW,)
    assert list(map(tuple, rows(damage.take(WINDOW, 100, 100)))) == [(5, 6, 7, 8)]
    assert damage.windows() == ()


def test_all_outside_is_nothing() -> None:
    damage = Damage(64)
    damage.add(WINDOW, (500, 6, 7, 8))
    assert len(damage.take(WINDOW, 100, 100)) == 0
