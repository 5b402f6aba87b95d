"""The contenders that need nothing installed show the right pixels. Shapes are checked here, never times."""

from guid.bench.bed import Bed
from guid.bench.compare import Effort, compare
from guid.bench.peers import PEERS

_ALWAYS = ("raw", "ours", "x11-socket")


def test_every_contender_takes_its_turn_and_shows_the_right_pixels() -> None:
    peers = [peer for peer in PEERS if peer.name in _ALWAYS]
    with Bed(tcp=True) as bed:
        rows = compare(bed, peers, Effort(rounds=1, shots=3, seconds=0.2, warm_up=0.1), lambda _: None)
    assert [row["contender"] for row in rows] == list(_ALWAYS)
    for row in rows:
        assert row.get("failed") is None
        assert row["pixel_errors"] == 0
        assert row["draw"]["n"] == 3
        assert row["video_fps_presented"] > 0
        assert row["full_fps_presented"] > 0
        assert row["cpu_us_per_frame"] > 0
    shm = {row["contender"]: row["uses_shm"] for row in rows}
    assert shm == {"raw": True, "ours": True, "x11-socket": False}
    memory = {row["contender"]: row["memory_mib"] for row in rows}
    assert memory["raw"] == memory["x11-socket"] == 0, "nothing runs in between"
    assert memory["ours"] > 0
