"""What the checks lean on: children that fail are noticed, and silence is not waited for without end."""

import os
import time

import pytest

from backends.conformance.waiting import Child, hear, no_descriptor_leaks


def test_a_child_that_fails_is_noticed(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise AssertionError("on purpose")

    with pytest.raises(AssertionError, match="the other process failed"):
        Child(fail).join()
    assert "AssertionError: on purpose" in capfd.readouterr().err


def test_a_child_that_hangs_is_ended_and_noticed() -> None:
    with pytest.raises(AssertionError, match="the other process failed"):
        Child(lambda: time.sleep(60)).join()


def test_a_good_child_is_good() -> None:
    Child(lambda: None).join()


def test_silence_is_noticed() -> None:
    reader, writer = os.pipe()
    with pytest.raises(AssertionError, match="nothing heard of anybody"):
        hear(reader, 1, "anybody")
    os.write(writer, b"word")
    assert hear(reader, 2, "anybody") == b"wo"
    os.close(reader)
    os.close(writer)


def test_a_leak_is_noticed_and_named() -> None:
    kept = []
    with pytest.raises(AssertionError, match=r"a test leaks descriptors.*/dev/null"), no_descriptor_leaks("a test"):
        kept.append(os.open("/dev/null", os.O_RDONLY))
    os.close(kept.pop())
