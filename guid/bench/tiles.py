"""A program with many small windows side by side, each repainted in a colour that is the number of its frame.

A process of its own. The grid is the same for whoever looks at a display on which it is shown.
"""

import argparse
import time
from struct import Struct
from typing import Any, Final

from shm.xconn import XConnection

COLUMNS: Final = 10
SIZE: Final = 180, 100
PITCH: Final = 196, 116
ORIGIN: Final = 20, 20
MOST: Final = 100
_CHANGE_GC: Final = Struct("=BxHIII")
_FILL: Final = Struct("=BxHIIhhHH")
_FOREGROUND: Final = 4


def place(number: int) -> tuple[int, int]:
    """Where the content of a window is on the screen."""
    row, column = divmod(number, COLUMNS)
    return ORIGIN[0] + column * PITCH[0], ORIGIN[1] + row * PITCH[1]


class Tiles:
    """`count` windows on a display."""

    def __init__(self, display: str | None, count: int) -> None:
        self._connection = XConnection(display)
        screen: Any = self._connection.display.screen()
        windows = []
        for number in range(count):
            x, y = place(number)
            window = screen.root.create_window(x, y, *SIZE, 0, screen.root_depth, background_pixel=0)
            window.set_wm_name(f"tile {number}")
            window.set_wm_normal_hints(flags=1 | 2, x=x, y=y)
            window.map()
            windows.append(window)
        self._gc = int(windows[0].create_gc(graphics_exposures=False).id)
        self._fills = b"".join([_FILL.pack(70, 5, window.id, self._gc, 0, 0, *SIZE) for window in windows])
        self._count = count
        self._connection.sync()

    def paint(self, number: int) -> None:
        """Fill all windows; returns when the X server has done it."""
        self._connection.send_raw(_CHANGE_GC.pack(56, 4, self._gc, _FOREGROUND, number), 1)
        self._connection.send_raw(self._fills, self._count)
        self._connection.sync()


def main() -> None:
    """Paint until killed."""
    parser = argparse.ArgumentParser(description="Paints many windows; see the module's text.")
    parser.add_argument("--display", help="default: $DISPLAY")
    parser.add_argument("--windows", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, metavar="HZ", help="frames a second, of each window")
    args = parser.parse_args()
    tiles = Tiles(args.display, args.windows)
    due = time.monotonic()
    number = 0
    while True:
        number = number % 0xFFFFFE + 1
        tiles.paint(number)
        due = max(due + 1 / args.rate, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
