"""Every workload runs and shows the right pixels. Shapes are checked here, never times."""

from collections.abc import Iterator

import pytest

from guid.bench.bed import Bed
from guid.bench.daemon_path import daemon_path, raw_path
from guid.bench.workloads import WORKLOADS


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    with Bed() as made:
        yield made


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name != "full-4k"])
def test_a_worker_paints_what_a_synthetic_agent_shares(bed: Bed, name: str) -> None:
    result = daemon_path(bed, WORKLOADS[name], 0.1)
    assert result["pixel_errors"] == 0
    assert result["messages"] > 0
    assert result["frames_presented"] > 0
    assert result["copies_per_frame"] == 0


def test_the_ceiling_paints_every_message(bed: Bed) -> None:
    result = raw_path(bed, WORKLOADS["small"], 0.1)
    assert result["frames_superseded"] == 0
    assert result["frames_presented"] == result["messages"] > 0
