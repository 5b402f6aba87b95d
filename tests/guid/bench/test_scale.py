"""AppVMs are counted, measured and gone; neighbours take turns. Shapes only, never times."""

from pathlib import Path

import pytest

from guid.bench import scale
from guid.bench.bed import Bed
from guid.bench.neighbour import CONDITIONS, neighbour
from guiproto.errors import MachineCannot


def test_two_appvms() -> None:
    row = scale.scale(2, 0.5, 0.2, lambda _: None)
    assert row["vms"] == 2
    assert set(row["pss_by_role_mib"]) >= {"worker", "agent", "x_server", "program"}
    assert row["pss_per_vm_mib"] == pytest.approx(sum(row["pss_by_role_mib"].values()))
    assert 0.5 <= row["jain_index"] <= 1.0
    assert row["fps_least"] > 0


def test_more_than_there_is_memory_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: "MemTotal: 1 kB\nMemAvailable: 102400 kB\n")
    with pytest.raises(MachineCannot, match="100 MiB are free"):
        scale.scale(2, 0.1, 0.1, lambda _: None)


def test_keys_beside_a_video() -> None:
    with Bed() as bed:
        rows = neighbour(bed, (160, 120, 60.0), 20, 1, lambda _: None)
    assert [row["condition"] for row in rows] == list(CONDITIONS)
    assert all(row["n"] + row["lost"] == 20 for row in rows)
    assert rows[0]["video_fps"] == 0
    assert all(row["video_fps"] > 20 for row in rows[1:]), "the videos play"
    assert all(row["p99_us"] is None for row in rows), "twenty are too few"
