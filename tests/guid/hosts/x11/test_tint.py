"""Nothing but the lightness of an icon is its own."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.config.labels import LABELS
from guid.hosts.x11.tint import tinted

COLORS = st.integers(0, 0xFFFFFF)


def hls(color: int) -> tuple[float, float, float]:
    return colorsys.rgb_to_hls(*(channel / 255 for channel in color.to_bytes(3, "big")))


@given(st.lists(COLORS, min_size=1, max_size=20), COLORS, st.integers(0, 255))
def test_lightness_is_kept_and_hue_and_saturation_are_the_labels(pixels: list[int], label: int, unused: int) -> None:
    result = tinted(np.array([pixels], np.uint32) | np.uint32(unused << 24), label)
    hue, _, saturation = hls(label)
    for before, after in zip(pixels, result[0].tolist(), strict=True):
        _, lightness, _ = hls(before)
        expected = colorsys.hls_to_rgb(hue, lightness, saturation)
        got = [channel / 255 for channel in after.to_bytes(3, "big")]
        assert got == pytest.approx(expected, abs=0.51 / 255)


def test_an_icon_in_another_labels_colour_does_not_look_like_it() -> None:
    red = LABELS["red"].color
    pixel = int(tinted(np.array([[LABELS["green"].color]], np.uint32), red)[0, 0])
    assert hls(pixel)[0] == pytest.approx(hls(red)[0], abs=0.01)
