"""The layout is found in what programs write about it, and nothing is found in anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shm.xkb import layout_in


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (b"evdev\0pc105\0us\0\0\0", b"us++"),
        (b"evdev\0pc105\0us,de\0,neo\0grp:alt_shift_toggle\0", b"us,de+,neo+grp:alt_shift_toggle"),
        (b"base\0pc105\0de\0nodeadkeys\0", b"de+nodeadkeys+"),
        (b"evdev\0pc105\0\0\0\0", None),
        (b"evdev\0pc105\0us", None),
        (b"", None),
    ],
)
def test_layouts(names: bytes, layout: bytes | None) -> None:
    assert layout_in(names) == layout


@given(st.binary(max_size=60))
def test_it_is_three_parts_of_the_value(names: bytes) -> None:
    found = layout_in(names)
    if found is not None:
        assert b"\0" not in found
        assert len(found) <= len(names)
