"""Every path between two X servers is seen, and nothing is lost. Shapes are checked here, never times."""

from guid.bench import latency
from guid.bench.bed import Bed


def test_every_path_is_seen() -> None:
    with Bed() as bed, latency.paths(bed) as paths:
        assert set(paths) == {
            "native 64x64", "native 1600x900", "draw 64x64", "draw 1600x900", "motion", "key",
        }  # fmt: skip
        samples = {}
        for name, path in paths.items():
            found, lost = latency.shots(path, 20, None)
            assert (len(found), lost) == (18, 0)
            samples[name] = found
        found, lost = latency.shots(paths["draw 64x64"], 20, 100.0)
        assert len(found) + lost >= 18
    for name in samples:
        row = latency.summary(name, samples)
        assert row["n"] == 18
        assert row["p99_us"] is None
    assert latency.summary("native 1600x900", samples)["ratio"] == 1.0
