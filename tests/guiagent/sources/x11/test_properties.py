"""WM_HINTS of any shape."""

import pytest

from guiagent.sources.x11.properties import Hints, Value, parse_hints


@pytest.mark.parametrize(
    ("words", "hints"),
    [
        ([], Hints(True, False)),
        ([1], Hints(True, False)),
        ([1, 0], Hints(False, False)),
        ([0, 0], Hints(True, False)),
        ([1, 1, 0, 0], Hints(True, False)),
        ([256, 0], Hints(True, True)),
        ([2**32 - 1, 0], Hints(False, True)),
    ],
)
def test_hints(words: list[int], hints: Hints) -> None:
    assert parse_hints(Value(35, b"", words)) == hints


def test_no_hints() -> None:
    assert parse_hints(None) == Hints(takes_input=True, urgent=False)
