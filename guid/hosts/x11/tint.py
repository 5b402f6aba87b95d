"""An icon in a label's colours: every pixel keeps its lightness and takes hue and saturation from the label."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_BYTE: Final = 255.0


def tinted(pixels: NDArray[np.uint32], color: int) -> NDArray[np.uint32]:
    """`pixels` and `color` are 0x00RRGGBB; what the unused byte holds does not matter and is 0 in the result."""
    channels = np.stack([pixels >> shift & 0xFF for shift in (16, 8, 0)], axis=-1) / _BYTE
    lightness = (channels.max(axis=-1) + channels.min(axis=-1)) / 2
    saturation, pure = _hue(color)
    spread = saturation * (1 - np.abs(2 * lightness - 1))
    mixed = np.rint((lightness[..., None] + spread[..., None] * (pure - 0.5)) * _BYTE).astype(np.uint32)
    result: NDArray[np.uint32] = mixed[..., 0] << 16 | mixed[..., 1] << 8 | mixed[..., 2]
    return result


def _hue(color: int) -> tuple[float, NDArray[np.float64]]:
    """The saturation of `color`, and its hue as red, green and blue that are 0 and 1 at their extremes."""
    rgb = np.array([color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF]) / _BYTE
    low, high = float(rgb.min()), float(rgb.max())
    if low == high:
        return 0.0, np.full(3, 0.5)
    return (high - low) / (1 - abs(high + low - 1)), (rgb - low) / (high - low)
