"""An agent that comes and goes is left alone for longer and longer; one that stays is forgiven."""

from guid.worker.pauses import BRIEF_SECONDS, LONGEST, Pauses


def test_brief_connections_in_a_row_have_growing_pauses_up_to_a_limit() -> None:
    pauses, now, waited = Pauses(), 100.0, []
    for _ in range(16):
        pauses.begin(now)
        now += BRIEF_SECONDS / 2
        waited.append(pauses.end(now))
        now += waited[-1]
    assert waited[:4] == [0.02, 0.04, 0.08, 0.16]
    assert waited == sorted(waited)
    assert waited[-1] == LONGEST


def test_one_that_lasts_is_followed_by_none_and_begins_anew() -> None:
    pauses = Pauses()
    for duration, pause in ((0.0, 0.02), (0.0, 0.04), (BRIEF_SECONDS, 0.0), (0.0, 0.02)):
        pauses.begin(10.0)
        assert pauses.end(10.0 + duration) == pause
