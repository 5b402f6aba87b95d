"""The screen of an Xwayland: its compositor says how large it is, and RandR which monitors it has."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from Xlib.ext import randr

from guiagent.sources.x11.monitors import Screen, extent
from qubesdb.keys import Monitor
from shm.xconn import XConnection

_SECONDS: Final = 1.0
_MOMENT: Final = 0.002


class XwaylandScreen(Screen):
    """`resize(width, height)` has the compositor say so."""

    def __init__(self, connection: XConnection, resize: Callable[[int, int], None]) -> None:
        super().__init__(connection)
        self._resize = resize

    def _change(self, monitors: Sequence[Monitor]) -> None:
        size = extent(monitors)
        self._resize(*size)
        end = time.monotonic() + _SECONDS
        while not self._is(*size) and time.monotonic() < end:
            time.sleep(_MOMENT)
        found = self._ask(randr.GetScreenResourcesCurrent, window=self._root)
        self._show(monitors, [int(output) for output in found.outputs])
        self._connection.sync()

    def _is(self, width: int, height: int) -> bool:
        root = self._display.screen().root.get_geometry()
        return (int(root.width), int(root.height)) == (width, height)
