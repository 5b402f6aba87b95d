"""Every path between two X servers is seen, and nothing is lost. Shapes are checked here, never times."""

from guid.bench import latency
from guid.bench.bed import Bed


def test_every_path_is_seen() -> None:
    with Bed() as bed, latency.paths(bed) as paths:
        assert set(paths) == {
            "native 64x64", "native 1600x900", "draw 64x64", "draw 1600x900", "motion", "key",
        }  # fmt: skip
        samples: dict[str, list[float]] = {name: [] for name in paths}
        for name, value in latency.in_turn(paths, 20):
            samples[name].append(value)
        found, lost = latency.open_loop(paths["draw 64x64"], 100.0, 20)
        assert len(found) + lost == 20
    for name in samples:
        row = latency.summary(name, samples)
        assert row["n"] == 20
        assert row["p99_us"] is None
    assert latency.summary("native 1600x900", samples)["ratio"] == 1.0
