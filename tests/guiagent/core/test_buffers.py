"""The ledger knows what a daemon may still be reading."""

import numpy as np

from guiagent.core.buffers import Buffer, Ledger


def _buffer() -> Buffer:
    return Buffer(1, 1, np.zeros(1, np.uint32), 0)


def test_acknowledgements_mean_the_oldest_dump_of_their_window() -> None:
    ledger, first, second, other = Ledger(), _buffer(), _buffer(), _buffer()
    ledger.dumped(1, first)
    ledger.dumped(2, other)
    ledger.dumped(1, second)
    assert ledger.outstanding(1) == 2
    assert ledger.acknowledged(1) is first
    assert not ledger.holds(1, first)
    assert ledger.holds(1, second)
    assert ledger.acknowledged(2) is other
    assert ledger.acknowledged(1) is second


def test_acknowledgements_too_many_mean_nothing() -> None:
    ledger = Ledger()
    assert ledger.acknowledged(1) is None
    ledger.dumped(1, _buffer())
    ledger.acknowledged(1)
    assert ledger.acknowledged(1) is None


def test_what_was_outstanding_is_named_once_at_the_end() -> None:
    ledger, buffer = Ledger(), _buffer()
    ledger.dumped(1, buffer)
    ledger.dumped(1, buffer)
    assert ledger.clear() == [buffer]
    assert ledger.outstanding(1) == 0
