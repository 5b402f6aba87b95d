"""Icons are in the notification area whenever there is one: a panel may come late, go, and be followed by another.

The freedesktop.org system tray protocol, from the icon's side. A panel that goes takes the windows that it has embedded
with it, unless it tells the X server to give them back (a save-set). Either way an icon is an unmapped window of ours
until the next panel announces itself.
"""

from struct import Struct
from typing import Any, Final

from Xlib.protocol import request

from guid.core.host_events import HostEvent
from guid.hosts.x11 import requests as x
from guid.hosts.x11.atoms import Atoms
from guid.hosts.x11.builder import Builder
from guid.hosts.x11.properties import Properties
from guid.hosts.x11.replies import Replies
from guid.hosts.x11.window import HostWindow, WindowTable
from shm.xconn import XConnection

DESTROY: Final = 17
REPARENT: Final = 21
_DESTROY_EVENT: Final = Struct("=BxHII20x")
_REPARENT_EVENT: Final = Struct("=BxHIII16x")
_REQUEST_DOCK: Final = 0


class Tray:
    """Asks whoever owns the notification area to embed the windows that are `docked`."""

    def __init__(
        self, connection: XConnection, replies: Replies, windows: WindowTable, atoms: Atoms, properties: Properties,
        root: int, builder: Builder,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._replies = replies
        self._windows = windows
        self._properties = properties
        self._root = root
        self._builder = builder
        self._selection = atoms["_NET_SYSTEM_TRAY_S0"]
        self._opcode = atoms["_NET_SYSTEM_TRAY_OPCODE"]

    def dock(self, window: HostWindow) -> None:
        """It is an icon from now on."""
        window.docked = True
        x.send(self._connection, self._properties.embedding(window.frame))

        def answer(reply: Any) -> None:
            if reply.owner and self._windows.get(window.id) is window:
                self._ask(window, int(reply.owner.id))

        self._replies.ask(request.GetSelectionOwner, answer, selection=self._selection)

    def announced(self, selection: int, owner: int) -> None:
        """A client says (MANAGER) that its window `owner` has that selection now."""
        if selection == self._selection:
            for window in self._windows:
                if window.docked:
                    self._ask(window, owner)

    def pressed(self, time: int, window: HostWindow) -> None:
        """The user clicked on an icon: keys are for its VM, which may open a menu, and not for who had them."""
        x.send(self._connection, [x.set_input_focus(window.frame.outer, time)])

    def destroyed(self, data: bytes, out: list[HostEvent]) -> None:  # noqa: ARG002 - one signature for all handlers
        """DestroyNotify events."""
        for _, _, _, xid in _DESTROY_EVENT.iter_unpack(data):
            window = self._windows.find(xid)
            if window is not None and window.docked and xid == window.frame.outer:
                self._builder.rebuild(window)
                self._lost(window)

    def reparented(self, data: bytes) -> None:
        """ReparentNotify events."""
        for _, _, _, xid, parent in _REPARENT_EVENT.iter_unpack(data):
            window = self._windows.find(xid)
            if window is not None and window.docked and xid == window.frame.outer and parent == self._root:
                x.send(self._connection, [x.unmap_window(xid)])  # the X server has mapped it, on the bare desktop
                self._lost(window)

    def _lost(self, window: HostWindow) -> None:
        """No panel has it. None is asked before it announces itself: one that throws icons out would go on for ever."""
        window.tray = 0
        x.send(self._connection, self._properties.embedding(window.frame))

    def _ask(self, window: HostWindow, tray: int) -> None:
        if window.tray != tray:  # one that is asked twice embeds twice
            window.tray = tray
            message = x.client_message(tray, self._opcode, (0, _REQUEST_DOCK, window.frame.outer, 0, 0))
            x.send(self._connection, [x.send_event(tray, 0, message)])
