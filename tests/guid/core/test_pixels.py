"""Damage in runs: the same as one message at a time, and bounded."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from guid.core.trusted import Geometry
from guiproto.messages import Create, DamageBatch, ShmImage
from shm.damage import rows
from tests.guid.core.playbook import SMALL, Playbook, dump

NUMBERS = st.one_of(st.integers(-3, 40), st.integers(-(2**31), 2**31 - 1))
RUNS = st.lists(st.tuples(st.integers(1, 3), NUMBERS, NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=30)


def batch(rows: list[tuple[int, int, int, int, int]]) -> DamageBatch:
    return DamageBatch(
        np.array([row[0] for row in rows], np.uint32), np.array([row[1:] for row in rows], np.int32).reshape(-1, 4)
    )


def three_windows() -> Playbook:
    book = Playbook()
    for number in (1, 2, 3):
        book.with_window(number, Geometry(100, 100, 32, 24))
    return book


def painted(book: Playbook) -> dict[int, NDArray[np.bool_]]:
    masks: dict[int, NDArray[np.bool_]] = {}
    for command in book.session.take_damage():
        mask = np.zeros((24, 32), np.bool_)
        for x, y, width, height in rows(command.rects):
            mask[y : y + height, x : x + width] = True
        assert command.window not in masks, "one command per window"
        masks[command.window] = mask
    return masks


@given(RUNS)
def test_a_run_paints_what_its_messages_would(rows: list[tuple[int, int, int, int, int]]) -> None:
    together, apart = three_windows(), three_windows()
    together.agent(batch(rows)).does()
    apart.agent(*batch(rows).messages()).does()
    left, right = painted(together), painted(apart)
    assert left.keys() == right.keys()
    for number, mask in left.items():
        # Merging may paint a little more than was damaged, and not the same little more.
        wanted = np.zeros((24, 32), np.bool_)
        for window, x, y, width, height in rows:
            if window == number and min(x, y, width, height) >= 0:
                wanted[y : y + height, x : x + width] = True
        assert mask[wanted].all()
        assert right[number][wanted].all()


def test_a_run_with_an_unknown_window_counts_up_to_there() -> None:
    book = three_windows()
    book.agent(batch([(1, 0, 0, 5, 5), (2, 0, 0, 5, 5), (9, 0, 0, 5, 5), (3, 0, 0, 5, 5)])).breaks("unknown window")
    assert painted(book).keys() == {1, 2}


def test_a_run_that_begins_with_an_unknown_window() -> None:
    book = three_windows()
    book.agent(batch([(9, 0, 0, 5, 5), (3, 0, 0, 5, 5)])).breaks("unknown window")
    assert not painted(book)


def test_a_run_about_refused_and_hidden_windows_paints_the_others() -> None:
    book = Playbook(quotas=SMALL)
    for number in (1, 2):
        book.with_window(number, Geometry(100, 100, 32, 24))
    book.agent(Create(3, 100, 100, 32, 24, 0, 0), dump(3, 32, 24), Create(4, 100, 100, 32, 24, 0, 0))
    book.agent(batch([(number, 0, 0, 5, 5) for number in (4, 3, 2, 1, 4)])).does()
    assert painted(book).keys() == {1, 2}


def test_nothing_in_a_run() -> None:
    Playbook().agent(batch([])).does()


def test_damage_that_nobody_fetches_stays_bounded() -> None:
    book = Playbook().with_window()
    random = np.random.default_rng(3)
    for _ in range(40):
        run = random.integers(0, 90, (2000, 4)).astype(np.int32)
        book.agent(DamageBatch(np.full(2000, 1, np.uint32), run)).does()
    for x in range(20000):
        book.agent(ShmImage(1, x % 190, 0, 1, 1)).does()
    (paint,) = book.session.take_damage()
    assert 1 <= len(paint.rects) <= 512
