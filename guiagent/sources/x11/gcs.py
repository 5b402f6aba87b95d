"""One graphics context for each depth, made when first needed: it fills with zeros, and copies children as well."""

from typing import Any

from Xlib import X

from guiagent.sources.x11 import requests
from shm.xconn import XConnection


class Gcs:
    """Those of one connection."""

    def __init__(self, connection: XConnection) -> None:
        self._connection = connection
        self._root: Any = connection.display.screen().root
        self._by_depth: dict[int, int] = {}

    def of(self, depth: int) -> int:
        """Its id."""
        gc = self._by_depth.get(depth)
        if gc is None:
            pixmap = self._root.create_pixmap(1, 1, depth)
            gc = int(pixmap.create_gc(subwindow_mode=X.IncludeInferiors, graphics_exposures=False, foreground=0).id)
            self._by_depth[depth] = gc
        return gc

    def close(self) -> None:
        """Free them."""
        for gc in self._by_depth.values():
            self._connection.send_raw(requests.free_gc(gc), 1)
            self._connection.free_id(gc)
        self._by_depth.clear()
