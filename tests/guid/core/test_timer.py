"""A delay counts from when the time is first told, and rings once."""

from guid.core.timer import Timer


def test_it_rings_once_after_its_delay() -> None:
    timer = Timer()
    assert timer.deadline() is None
    timer.start(2.0)
    assert timer.deadline() == 0.0
    assert not timer.rings(1000.0)
    assert timer.deadline() == 1002.0
    assert not timer.rings(1001.9)
    assert timer.rings(1002.0)
    assert not timer.rings(2000.0)
    assert timer.deadline() is None


def test_starting_again_begins_anew() -> None:
    timer = Timer()
    timer.start(2.0)
    timer.rings(0.0)
    timer.start(5.0)
    assert not timer.rings(3.0)
    assert timer.deadline() == 8.0


def test_stopped_it_is_silent() -> None:
    timer = Timer()
    timer.start(2.0)
    timer.rings(0.0)
    timer.stop()
    assert not timer.rings(5.0)
    assert timer.deadline() is None
