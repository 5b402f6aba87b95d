"""The core hears where a window really is whenever that is not what the core asked for, and never an echo of its own.

Echoes are told from other people's wishes by value: what we asked for last is kept, in order, until an event confirms
it. A window manager may still be busy with wishes that the X server has long seen, so their age tells too little. A
window manager's frame makes X's coordinates relative to that frame; it then says the real ones in a synthetic event
(ICCCM 4.1.5), or the X server is asked.
"""

from collections.abc import Callable
from dataclasses import replace
from struct import Struct
from typing import Any, Final

from Xlib.protocol import request

from guid.core.host_events import ConfiguredEvent, HostEvent, MappedEvent
from guid.core.trusted import Geometry
from guid.hosts.x11.replies import Replies
from guid.hosts.x11.requests import send
from guid.hosts.x11.window import HostWindow, WindowTable
from shm.xconn import XConnection

_UNMAP: Final = 18
_MAP: Final = 19
_REPARENT: Final = 21
CONFIGURE: Final = 22
_SYNTHETIC: Final = 0x80

_MAP_EVENT: Final = Struct("=BxHII20x")
_REPARENT_EVENT: Final = Struct("=BxHIII16x")
_CONFIGURE_EVENT: Final = Struct("=BxHIIIhhHHHB5x")


class Placement:
    """Follows the outer windows: where they are, and whether they are mapped."""

    def __init__(self, connection: XConnection, replies: Replies, windows: WindowTable, root: int) -> None:
        self._connection = connection
        self._replies = replies
        self._windows = windows
        self._root = root
        self._answers: list[HostEvent] = []
        self.handlers: dict[int, Callable[[bytes, list[HostEvent]], None]] = {
            _UNMAP: self._mapping,
            _MAP: self._mapping,
            _REPARENT: self._reparented,
            CONFIGURE: self._configured,
        }

    def ask(self, window: HostWindow, geometry: Geometry) -> None:
        """Move and resize the content."""
        place = window.frame.clamp(geometry)
        window.geometry = geometry
        if place != (window.asked[-1] if window.asked else window.seen):
            window.asked.append(place)
        send(self._connection, window.frame.place(geometry))
        window.asking_serial = self._connection.serial

    def take_answers(self, out: list[HostEvent]) -> None:
        """Events that answers of the X server have become since the last call."""
        out += self._answers
        self._answers.clear()

    def _configured(self, data: bytes, out: list[HostEvent]) -> None:
        latest = {fields[3]: fields for fields in _CONFIGURE_EVENT.iter_unpack(data)}
        for xid, (code, low, _, _, _, x, y, width, height, _, _) in latest.items():
            window = self._windows.find(xid)
            if window is None or xid != window.frame.outer:
                continue
            border = window.frame.border
            window.sightings += 1
            window.seen = Geometry(x + border, y + border, *window.frame.content_size(width, height))
            serial = self._connection.serial_of(low)
            if code & _SYNTHETIC or not window.reparented:
                self._is_at(window, serial, out)
            else:
                self._ask_where(window, serial)

    def _ask_where(self, window: HostWindow, serial: int) -> None:
        sighting = window.sightings

        def answer(reply: Any) -> None:
            # An event that was read by now is newer than the answer, or has a question of its own.
            if self._windows.get(window.id) is window and window.sightings == sighting:
                window.seen = replace(window.seen, x=reply.x, y=reply.y)
                self._is_at(window, serial, self._answers)

        inner = window.frame.inner
        self._replies.ask(request.TranslateCoords, answer, src_wid=inner, dst_wid=self._root, src_x=0, src_y=0)

    def _is_at(self, window: HostWindow, serial: int, out: list[HostEvent]) -> None:
        geometry, asked = window.seen, window.asked
        if geometry in asked:
            while asked.popleft() != geometry:
                pass
            if asked:
                return  # an echo of a wish that a later one has overtaken
        elif serial < window.asking_serial:
            return  # older than our last wish, which the X server had not seen by then
        else:
            asked.clear()  # somebody else decided
        if geometry != window.geometry:
            window.geometry = geometry
            out.append(ConfiguredEvent(window.id, geometry))

    def _mapping(self, data: bytes, out: list[HostEvent]) -> None:
        for code, low, _, xid in _MAP_EVENT.iter_unpack(data):
            window = self._windows.find(xid)
            if window is None or xid != window.frame.outer:
                continue
            visible = code & 0x7F == _MAP
            if self._connection.serial_of(low) >= window.mapping_serial and window.visible != visible:
                window.visible = visible
                out.append(MappedEvent(window.id, visible))

    def _reparented(self, data: bytes, out: list[HostEvent]) -> None:  # noqa: ARG002 - one signature for all handlers
        for _, _, _, xid, parent in _REPARENT_EVENT.iter_unpack(data):
            window = self._windows.find(xid)
            if window is not None and xid == window.frame.outer:
                window.reparented = parent != self._root
