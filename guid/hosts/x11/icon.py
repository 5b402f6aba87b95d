"""Task bars show whose a window is: by a padlock in the label's colour, made here and of nothing that a VM sent, or by
the VM's own icon in the label's colours.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from guid.core.trusted import Icon
from guid.hosts.x11.tint import tinted

_SIZES: Final = (16, 32, 48)
_FINE: Final = 4
"""Points per pixel and direction that are drawn, for smooth edges."""
_OUTLINE: Final = 0.05
"""Of the icon's width."""


def label_icon(color: int) -> bytes:
    """The value of _NET_WM_ICON: for each size its width, its height and its pixels as 0xAARRGGBB."""
    words = [np.concatenate([np.array([size, size], np.uint32), _padlock(color, size).ravel()]) for size in _SIZES]
    return np.concatenate(words).tobytes()


def tinted_icon(icon: Icon, color: int) -> bytes:
    """The same of a VM's icon: it keeps its lightness and takes hue and saturation from the label."""
    pixels = icon.pixels & 0xFF000000 | tinted(icon.pixels, color)
    return np.array(pixels.shape[::-1], np.uint32).tobytes() + pixels.tobytes()


def _padlock(color: int, size: int) -> NDArray[np.uint32]:
    whole, filled = _shape(size, 0.0), _shape(size, _OUTLINE)
    share = np.divide(filled, whole, out=np.zeros_like(whole), where=whole > 0)
    rgb = np.array([color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF], float)
    outline = rgb * 0.5 if rgb.max() >= 96 else rgb * 0.5 + 127  # a dark label gets a light edge
    mixed = np.rint(share[..., None] * rgb + (1 - share[..., None]) * outline).astype(np.uint32)
    alpha = np.rint(whole * 255).astype(np.uint32)
    pixels: NDArray[np.uint32] = alpha << 24 | mixed[..., 0] << 16 | mixed[..., 1] << 8 | mixed[..., 2]
    return pixels


def _shape(size: int, less: float) -> NDArray[np.float64]:
    """How much of each pixel a padlock covers whose edges are all `less` further in."""
    at = (np.arange(size * _FINE) + 0.5) / (size * _FINE)
    x, y = np.meshgrid(np.abs(at - 0.5), at)
    body = (x < 0.36 - less) & (y > 0.44 + less) & (y < 0.96 - less)
    bend = np.hypot(x, y - 0.32)
    bow = np.where(y < 0.32, (bend < 0.28 - less) & (bend > 0.14 + less), (x < 0.28 - less) & (x > 0.14 + less))
    points = body | (bow & (y < 0.5))
    covered: NDArray[np.float64] = points.reshape(size, _FINE, size, _FINE).mean(axis=(1, 3))
    return covered
