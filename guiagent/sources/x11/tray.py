"""Programs find a notification area in the VM; what they put there is docked on the desktop, under the same rules.

The freedesktop.org system tray and XEMBED protocols, as far as a tray without a window of its own needs them: an icon
stays a top-level window of the VM, which nobody sees there, and the desktop's tray embeds what the daemon makes of it.
"""

import logging
from typing import Any, Final

from Xlib import X

from guiagent.sources.x11 import requests
from guiagent.sources.x11.atoms import Atoms
from guiagent.sources.x11.properties import Properties
from shm.xconn import XConnection

_log = logging.getLogger(__name__)

_REQUEST_DOCK: Final = 0
_EMBEDDED_NOTIFY: Final = 0
_XEMBED_VERSION: Final = 0
_MAPPED: Final = 1
ICON_SIZE: Final = 24
"""Pixels of an icon's edge, the usual one; the desktop's tray gives it another size if it likes."""


class Tray:
    """The notification area of one X server, unless another program has it."""

    def __init__(self, connection: XConnection, atoms: Atoms) -> None:
        self._connection = connection
        self._atoms = atoms
        display: Any = connection.display
        screen: Any = display.screen()
        self._owner = 0
        selection = atoms["_NET_SYSTEM_TRAY_S0"]
        if display.get_selection_owner(selection) != X.NONE:
            _log.warning("another program is this VM's notification area: its icons are not shown as such")
            return
        window = screen.root.create_window(-1, -1, 1, 1, 0, X.CopyFromParent, X.InputOnly, override_redirect=True)
        window.set_selection_owner(selection, X.CurrentTime)
        self._owner = int(window.id)
        # What waits for a tray is told so: ICCCM 2.8.
        message = requests.client_message(
            screen.root.id, atoms["MANAGER"], X.CurrentTime, selection, self._owner, mask=X.StructureNotifyMask
        )
        connection.send_raw(message, 1)

    def asked(self, event: Any) -> int:
        """The window that a ClientMessage asks to dock; 0 if it is about something else."""
        kind, words = event.data
        if not self._owner or event.window.id != self._owner or kind != 32:
            return 0
        wanted = event.client_type == self._atoms["_NET_SYSTEM_TRAY_OPCODE"] and words[1] == _REQUEST_DOCK
        return int(words[2]) if wanted else 0

    def embed(self, window: int) -> None:
        """Tell the program that its icon is embedded, and give it its size."""
        send = self._connection.send_raw
        send(requests.configure_window(window, width=ICON_SIZE, height=ICON_SIZE), 1)
        embedded = requests.client_message(
            window, self._atoms["_XEMBED"], X.CurrentTime, _EMBEDDED_NOTIFY, 0, self._owner, _XEMBED_VERSION
        )
        send(embedded, 1)

    def wants_to_be_seen(self, window: int, properties: Properties) -> bool:
        """What _XEMBED_INFO says; icons without it are from before there was any, and are seen."""
        (value,) = properties.read(window, self._atoms["_XEMBED_INFO"])
        return value is None or len(value.words) < 2 or bool(value.words[1] & _MAPPED)
