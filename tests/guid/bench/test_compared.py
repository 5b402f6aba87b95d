"""What is said of contenders: medians, ranges, noise, and nothing where nothing was measured."""

from typing import Any

import pytest

from guid.bench import compared
from guid.bench.peers import Peer
from guid.bench.stages import raw


def _row(contender: str, number: int, fps: float, *, errors: int = 0) -> dict[str, Any]:
    return {
        "contender": contender, "round": number, "version": "1.2", "about": f"{contender} --fast",
        "draw": {"p50_us": 400.0, "p90_us": None},
        "video_fps_presented": 60.0, "video_frames_superseded": 0, "video_latency": {"p50_us": 900.0, "p90_us": 950.0},
        "full_fps_presented": fps, "cpu_us_per_frame": 5.0, "memory_mib": 70.0, "pixel_errors": errors,
    }  # fmt: skip


ROWS = [
    *(_row("ours", number, fps) for number, fps in enumerate((100.0, 110.0))),
    *(_row("ours again", number, fps) for number, fps in enumerate((105.0, 99.0))),
    *(_row("near", number, fps) for number, fps in enumerate((112.0, 102.0))),
    *(_row("far", number, fps, errors=3) for number, fps in enumerate((50.0, 40.0))),
    {"contender": "gone", "missing": "not installed (apt install gone-server)"},
    _row("broken", 0, 100.0),
    {"contender": "broken", "round": 1, "failed": "it fell over"},
]


def _cells(contender: str) -> dict[str, str]:
    head, lines = compared.table(ROWS)
    (line,) = [line for line in lines if line[0] == contender]
    return dict(zip(head, line, strict=True))


def test_noise_is_the_largest_difference_of_two_runs_of_ours_that_were_neighbours() -> None:
    assert compared.noise(ROWS, "full_fps") == pytest.approx(0.1)


def test_a_difference_inside_the_noise_is_marked_and_a_larger_one_is_not() -> None:
    assert _cells("near")["full fps"] == "~107 (102 to 112)"
    assert _cells("far")["full fps"] == "45 (40 to 50)"


def test_what_was_not_measured_is_not_zero() -> None:
    assert set(_cells("gone").values()) == {"gone", "n/a"}
    assert compared.figure(ROWS, "ours", "draw_p90_us") is None
    assert compared.noise(ROWS, "video_superseded") is None, "nothing can be said of a share of 0"


def test_wrong_pixels_of_all_rounds_are_summed() -> None:
    assert _cells("far")["pixel errors"] == "6"
    assert _cells("near")["pixel errors"] == "0"


def test_notes_say_how_each_was_run_or_why_it_was_not() -> None:
    notes = compared.notes(ROWS)
    assert "far: 1.2; far --fast" in notes
    assert "gone: not installed (apt install gone-server)" in notes
    assert "broken: it fell over" in notes
    assert len(notes) == 6


def test_a_peer_without_its_program_says_what_to_install() -> None:
    assert Peer("nobody", raw, ("sh", "no-such-program-anywhere"), "a-package").missing() == (
        "not installed (apt install a-package)"
    )
    assert Peer("somebody", raw, ("sh",), "a-package").missing() is None
