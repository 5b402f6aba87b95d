"""VMs that paint at once lie side by side; what they get adds up."""

import itertools

import pytest

from guid.bench.bed import DESK, Bed
from guid.bench.shares import jain, places, shares


@pytest.mark.parametrize("vms", [1, 5, 20, 50, 200])
def test_windows_lie_apart_and_on_the_desktop(vms: int) -> None:
    made = places(vms)
    assert len(made) == vms
    assert all(x >= 0 and y >= 0 and x + w <= DESK[0] and y + h <= DESK[1] and w > 0 and h > 0 for x, y, w, h in made)
    for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(made, 2):
        assert x + w < x2 or x2 + w2 < x or y + h < y2 or y2 + h2 < y


def test_jains_index() -> None:
    assert jain([5.0] * 4) == 1
    assert jain([8.0, 0, 0, 0]) == 0.25
    assert jain([0.0, 0.0]) is None


def test_three_at_once() -> None:
    with Bed() as bed:
        found = shares(bed, 3, 0.3)
    assert 0 < found["fps_least"] <= found["fps_total"] / 3 <= found["fps_most"]
    assert 1 / 3 <= found["jain_index"] <= 1
