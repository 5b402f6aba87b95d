"""Every frame has one fate, and the last one must be seen."""

import pytest

from guid.bench.tags import Fates, Produced, Seen


def made(*numbers: int) -> list[Produced]:
    return [Produced(number, number * 1000) for number in numbers]


def test_seen_frames_are_late_by_what_the_first_look_says() -> None:
    fates = Fates.of(made(1, 2, 3), [Seen(1, 6000, False), Seen(3, 9000, False), Seen(3, 50000, False)])
    assert [frame["fate"] for frame in fates.frames] == ["seen", "unseen", "seen"]
    assert fates.latencies_us() == [5.0, 6.0]
    assert fates.count("dropped") == 0


@pytest.mark.parametrize("looks", [[], [Seen(1, 6000, False)], [Seen(2, 6000, True)]])
def test_a_last_frame_that_nobody_saw_whole_was_dropped(looks: list[Seen]) -> None:
    fates = Fates.of(made(1, 2), looks)
    assert fates.count("dropped") == 1
    assert fates.torn == sum(look.torn for look in looks)


def test_frames_of_another_run_do_not_count() -> None:
    fates = Fates.of(made(5), [Seen(4, 1, False), Seen(5, 6000, False)])
    assert fates.summary()["frames_seen"] == 1


def test_nothing_produced_is_nothing_lost() -> None:
    summary = Fates.of([], []).summary()
    assert (summary["frames_seen"], summary["frames_dropped"]) == (0, 0)
    assert summary["latency"]["p50_us"] is None
