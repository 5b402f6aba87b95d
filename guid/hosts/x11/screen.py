"""The desktop's size and work area are as last heard of; nonsense in a root property leaves the area as it was."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from Xlib import Xatom
from Xlib.protocol import request

from guid.core.host_events import HostEvent, ScreenEvent, ScreenInfo
from guid.core.trusted import Geometry
from guid.hosts.x11.atoms import Atoms
from guid.hosts.x11.replies import Replies
from guid.hosts.x11.requests import EVENT_MASK, change_attributes, send
from guiproto.errors import MachineCannot
from shm.xconn import XConnection

_STRUCTURE_EVENTS: Final = 0x20000
_PROPERTY_EVENTS: Final = 0x400000
_MAX_DESKTOPS: Final = 256
_DEPTH: Final = 24
_MASKS: Final = (0xFF0000, 0x00FF00, 0x0000FF)


class Screen:
    """Follows the root window."""

    def __init__(self, connection: XConnection, replies: Replies, atoms: Atoms) -> None:
        """Raises MachineCannot unless pixels are 0x00RRGGBB in 32 bits, which is what AppVMs send."""
        self._connection = connection
        self._replies = replies
        self._properties = (atoms["_NET_CURRENT_DESKTOP"], atoms["_NET_WORKAREA"])
        screen: Any = connection.display.screen()
        self.root = int(screen.root.id)
        self.depth = int(screen.root_depth)
        _demand_true_color(connection, screen)
        self._size = (int(screen.width_in_pixels), int(screen.height_in_pixels))
        self._desktop = 0
        self._answers: list[HostEvent] = []
        self.info = ScreenInfo(*self._size, self.depth, Geometry(0, 0, *self._size))
        send(connection, [change_attributes(self.root, {EVENT_MASK: _STRUCTURE_EVENTS | _PROPERTY_EVENTS})])
        self._ask_area()
        connection.sync()
        replies.collect()
        self._answers.clear()

    def resized(self, width: int, height: int) -> None:
        """The root window has another size."""
        self._size = (width, height)
        self._update(self.info.work_area if self._fits(self.info.work_area) else Geometry(0, 0, width, height))
        self._ask_area()

    def property_changed(self, name: int) -> None:
        """A property of the root window changed."""
        if name in self._properties:
            self._ask_area()

    def take_answers(self, out: list[HostEvent]) -> None:
        """Events that answers of the X server have become since the last call."""
        out += self._answers
        self._answers.clear()

    def _ask_area(self) -> None:
        desktop, area = self._properties
        self._ask(desktop, 1, self._desktop_is)
        self._ask(area, 4 * _MAX_DESKTOPS, self._areas_are)

    def _ask(self, name: int, longs: int, then: Callable[[list[int]], None]) -> None:
        def answer(reply: Any) -> None:
            kind, value = reply.value or (0, ())
            then(np.asarray(value, np.uint32).tolist() if kind == 32 else [])

        self._replies.ask(
            request.GetProperty, answer,
            delete=0, window=self.root, property=name, type=Xatom.CARDINAL, long_offset=0, long_length=longs,
        )  # fmt: skip

    def _desktop_is(self, values: list[int]) -> None:
        self._desktop = values[0] if values else 0

    def _areas_are(self, values: list[int]) -> None:
        area = values[4 * self._desktop : 4 * self._desktop + 4]
        whole = Geometry(0, 0, *self._size)
        if not values:
            self._update(whole)
        elif len(area) == 4 and self._fits(Geometry(*area)):
            self._update(Geometry(*area))

    def _fits(self, area: Geometry) -> bool:
        width, height = self._size
        return 0 < area.width <= width - area.x and 0 < area.height <= height - area.y

    def _update(self, area: Geometry) -> None:
        info = ScreenInfo(*self._size, self.depth, area)
        if info != self.info:
            self.info = info
            self._answers.append(ScreenEvent(info))


def _demand_true_color(connection: XConnection, screen: Any) -> None:
    visuals = {visual.visual_id: visual for depth in screen.allowed_depths for visual in depth.visuals}
    visual = visuals.get(screen.root_visual)
    masks = (visual.red_mask, visual.green_mask, visual.blue_mask) if visual is not None else None
    formats: Any = connection.display.display.info.pixmap_formats
    bits = {form.depth: form.bits_per_pixel for form in formats}
    if screen.root_depth != _DEPTH or masks != _MASKS or bits.get(_DEPTH) != 32:
        raise MachineCannot(
            f"the X server's screen has depth {screen.root_depth} with another pixel layout than 0x00RRGGBB",
            "start it with depth 24",
        )
