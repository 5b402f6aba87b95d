"""A picture of a whole X display."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from Xlib import X

from shm.xconn import XConnection

_ROWS_AT_ONCE = 128


def save_screenshot(display: str | None, path: Path) -> None:
    """Write what `display` shows as a PNG. Raises MachineCannot if there is no such display, OSError for the file."""
    connection = XConnection(display)
    try:
        screen: Any = connection.display.screen()
        width, height = int(screen.width_in_pixels), int(screen.height_in_pixels)
        pixels = np.empty((height, width, 4), np.uint8)
        for top in range(0, height, _ROWS_AT_ONCE):
            rows = min(_ROWS_AT_ONCE, height - top)
            image = screen.root.get_image(0, top, width, rows, X.ZPixmap, 0xFFFFFFFF)
            pixels[top : top + rows] = np.frombuffer(image.data, np.uint8).reshape(rows, width, 4)
    finally:
        connection.close()
    Image.fromarray(np.ascontiguousarray(pixels[:, :, 2::-1])).save(path)
