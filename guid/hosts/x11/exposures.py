"""What was uncovered gets painted again, with a bounded number of requests however the uncovered parts look."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from guid.core.host_events import HostEvent
from guid.hosts.x11.window import HostWindow, WindowTable

EXPOSE: Final = 12
_MOST: Final = 64
"""Rectangles of one window that are repainted one by one; more become their bounding box."""

_EVENT: Final = np.dtype(
    [
        ("code", "u1"),
        ("pad", "u1"),
        ("sequence", "u2"),
        ("window", "u4"),
        ("x", "u2"),
        ("y", "u2"),
        ("width", "u2"),
        ("height", "u2"),
        ("count", "u2"),
        ("rest", "V14"),
    ]
)


class Exposures:
    """Collects exposed rectangles by window, until `take`."""

    def __init__(self, windows: WindowTable) -> None:
        self._windows = windows
        self._exposed: dict[int, list[NDArray[np.int32]]] = {}

    def add(self, data: bytes, out: list[HostEvent]) -> None:  # noqa: ARG002 - one signature for all handlers
        """A run of raw Expose events."""
        events = np.frombuffer(data, _EVENT)
        rects = np.stack([events[name] for name in ("x", "y", "width", "height")], axis=1).astype(np.int32)
        for xid in np.unique(events["window"]).tolist():
            parts = self._exposed.setdefault(xid, [])
            parts.append(rects[events["window"] == xid])
            if sum(map(len, parts)) > _MOST:
                parts[:] = [_bounding_box(np.concatenate(parts))]

    def take(self) -> Iterator[tuple[HostWindow, NDArray[np.int32]]]:
        """What is to be repainted of each window that still exists."""
        exposed, self._exposed = self._exposed, {}
        for xid, parts in exposed.items():
            window = self._windows.find(xid)
            if window is not None:
                yield window, np.concatenate(parts)


def _bounding_box(rects: NDArray[np.int32]) -> NDArray[np.int32]:
    left, top = rects[:, :2].min(axis=0)
    right, bottom = (rects[:, :2] + rects[:, 2:]).max(axis=0)
    return np.array([[left, top, right - left, bottom - top]], np.int32)
