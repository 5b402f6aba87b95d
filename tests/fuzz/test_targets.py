"""What fuzzing has once reached, reached again; and some of what it would try."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_once(name: str) -> None:
    inputs = sorted((CORPUS / name).iterdir())
    assert inputs, "there is a corpus"
    for path in inputs:
        TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@given(data=st.binary(max_size=400))
@settings(max_examples=100)
def test_anything(target: Callable[[bytes], None], data: bytes) -> None:
    target(data)
