"""A real program's frames arrive whole through agent and worker, in every workload. Shapes are checked, never times."""

from collections.abc import Iterator

import pytest

from guid.bench import painter, stages
from guid.bench.bed import Bed
from guid.bench.full_path import full_path, performance
from guid.bench.storm import storm
from guid.bench.workloads import WORKLOADS


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    with Bed() as made:
        yield made


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name not in ("full-4k", "many-windows-1")])
def test_every_workload_arrives(bed: Bed, name: str) -> None:
    with stages.ours(bed) as stage:
        row = full_path(bed, stage, WORKLOADS[name], 0.1)
    assert row["pixel_errors"] == 0
    assert row["frames_produced"] > 0
    assert row["frames_presented"] > 0
    assert row["frames_dropped"] in (0, None)
    assert row["copies_per_frame"] == 0
    assert (row["frames_seen"] is None) == (not row["frames"])


def test_the_ceiling_presents_every_frame(bed: Bed) -> None:
    with stages.raw(bed) as stage:
        row = full_path(bed, stage, WORKLOADS["region"], 0.1)
    assert row["frames_presented"] == row["frames_produced"] > 0
    assert (row["frames_superseded"], row["pixel_errors"], row["copies_per_frame"]) == (0, 0, None)


def test_wrong_pixels_are_counted(bed: Bed) -> None:
    with stages.raw(bed) as stage, performance(bed, stage, (100, 80)) as show:
        rect = (10, 10, 32, 32)
        show.aim(rect)
        assert show.errors(7, rect) == 0
        show.program.step(8, rect)
        x, y, width, height = show.viewer.place
        shown = show.viewer.pixels(x, y, width, height)
        wrong = int((shown != painter.frame(7, width, height)).sum())
        assert wrong > 32 * 30, "frames are different noise"


def test_a_storm_leaves_the_neighbour_alone(bed: Bed) -> None:
    row = storm(bed, 0.8)
    assert row["pixel_errors"] == 0
    assert row["innocent_dropped_beside"] == 0
    assert row["hostile_messages_per_s"] > 0
    assert row["sessions_ended"]
    assert all(name.endswith(": violation") for name in row["sessions_ended"]), row["sessions_ended"]
