"""The desktop's monitors are as RandR last told: where they are and, as far as it concerns programs, how fine.

A VM is not told which monitor it is: physical sizes are rounded to those of a few resolutions, and left out where the
resolution is an ordinary one.
"""

from struct import Struct
from typing import Any, Final

from Xlib.ext import randr

from guid.core.host_events import HostEvent
from guid.hosts.x11.replies import Replies
from qubesdb.keys import Monitor
from shm.xconn import XConnection

_SELECT_INPUT: Final = Struct("=BBHIHxx")
_SCREEN_CRTC_OUTPUT_CHANGES: Final = 1 | 2 | 4
_EVENTS: Final = 2
"""RandR has so many kinds of them."""
_VERSION: Final = (1, 5)
"""The first with monitors."""
_MM_PER_INCH: Final = 25.4
_FINE_DPI: Final = (300, 200, 150)
_MOST: Final = 16


class Monitors:
    """Follows RandR. `monitors`, the main one first, is empty where it does not know any."""

    def __init__(self, connection: XConnection, replies: Replies, root: int) -> None:
        self.monitors: tuple[Monitor, ...] = ()
        self.event_codes: frozenset[int] = frozenset()
        self._replies = replies
        self._root = root
        self._asking = self._changed = False
        display: Any = connection.display
        found = display.query_extension("RANDR")
        if found is None or not found.present:
            return
        self._major = int(found.major_opcode)
        version = randr.QueryVersion(
            display=display.display, opcode=self._major, major_version=_VERSION[0], minor_version=_VERSION[1]
        )
        if (version.major_version, version.minor_version) < _VERSION:
            return
        first = int(found.first_event)
        self.event_codes = frozenset(range(first, first + _EVENTS))
        connection.send_raw(_SELECT_INPUT.pack(self._major, 4, 3, root, _SCREEN_CRTC_OUTPUT_CHANGES), 1)
        self._ask()

    def changed(self, data: bytes, out: list[HostEvent]) -> None:  # noqa: ARG002 - one signature for all handlers
        """Events of RandR arrived, or one that says that the root window has another size."""
        if not self.event_codes:
            return
        if self._asking:
            self._changed = True
        else:
            self._ask()

    def _ask(self) -> None:
        def answer(reply: Any) -> None:
            self._asking = False
            if self._changed:
                self._changed = False
                self._ask()
            main_first = sorted(filter(_is_sound, reply.monitors), key=lambda found: not found.primary)
            self.monitors = tuple(_monitor(found) for found in main_first[:_MOST])

        self._asking = True
        self._replies.ask(randr.GetMonitors, answer, opcode=self._major, window=self._root, is_active=1)


def _is_sound(found: Any) -> bool:
    return bool(found.width_in_pixels and found.height_in_pixels and found.x >= 0 and found.y >= 0)


def _monitor(found: Any) -> Monitor:
    width, height = int(found.width_in_pixels), int(found.height_in_pixels)
    mm = coarse(width, height, int(found.width_in_millimeters))
    return Monitor(width, height, int(found.x), int(found.y), *mm)


def coarse(width: int, height: int, mm_width: int) -> tuple[int, int]:
    """A width and a height in millimetres that say no more than that the pixels are small; 0, 0 where they are not."""
    dpi = width * _MM_PER_INCH / mm_width if mm_width else 0
    for fine in _FINE_DPI:
        if dpi >= fine:
            return round(width * _MM_PER_INCH / fine), round(height * _MM_PER_INCH / fine)
    return 0, 0
