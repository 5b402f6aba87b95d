"""Contenders take turns, failures are told, and no difference inside the noise counts. Shapes only, never times."""

import contextlib
from typing import Any

from guid.bench import compare
from guid.bench.bed import DESK, Bed
from guid.bench.peers import PEERS, Peer
from guid.bench.stages import Stage
from guiproto.errors import MachineCannot

BUILT_IN = [peer for peer in PEERS if not peer.programs and peer.name != "ours again"]


def broken(bed: Bed) -> contextlib.AbstractContextManager[Stage]:
    raise MachineCannot(f"it does not start on {bed.desk.display}")


def test_contenders_that_need_nothing_installed() -> None:
    told: list[str] = []
    with Bed(DESK, tcp=True) as bed:
        rows = compare.compare(bed, [*BUILT_IN, Peer("broken", broken)], compare.Effort(1, 3, 0.2), told.append)
    assert [row["contender"] for row in rows] == ["raw", "ours", "x11-socket", "broken"]
    assert rows[-1]["failed"].startswith("it does not start")
    assert any("does not work here" in line for line in told)
    for row in rows[:-1]:
        assert row["pixel_errors"] == 0, row["contender"]
        assert row["video_frames_dropped"] == 0
        assert len(row["draw_us"]) == row["draw"]["n"] == 3
    assert [row["uses_shm"] for row in rows[:-1]] == [True, True, False]


def test_a_peer_that_is_not_installed_says_what_to_install() -> None:
    peer = Peer("other", broken, ("no-such-program",), "some-package")
    assert peer.missing() == "not installed (apt install some-package)"
    assert all(peer.missing() is None for peer in BUILT_IN)


def row(contender: str, fps: float) -> dict[str, Any]:
    spread = {"p50_us": 1.0}
    return {
        "contender": contender, "draw": spread, "video_latency": spread, "video_fps_presented": 60.0,
        "full_fps_presented": fps, "cpu_us_per_frame": 1.0, "memory_mib": 1.0,
    }  # fmt: skip


def test_differences_inside_the_noise_are_none() -> None:
    rows = [
        row("ours", 100.0), row("ours again", 90.0), row("near", 105.0), row("far", 150.0),
        row("ours", 100.0), row("ours again", 100.0), row("near", 108.0), row("far", 150.0),
    ]  # fmt: skip
    assert compare.noise(rows, "full_fps") == 1 - 0.9
    assert compare.differs(rows, "near", "full_fps") is False
    assert compare.differs(rows, "far", "full_fps") is True
    assert compare.differs(rows, "absent", "full_fps") is None
    assert compare.noise([row("ours", 1.0)], "full_fps") is None
