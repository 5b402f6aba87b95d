"""Window managers see what a window is to others: a dialog of its owner, a menu, or a window of its own.

The wire names owners but no types; a type follows from what is known: an override-redirect window is a menu or
something like it, one with an owner is a dialog. No window names an owner that is gone: its number could be another
program's window next.
"""

from guid.core.trusted import WindowId
from guid.hosts.x11.properties import Properties
from guid.hosts.x11.requests import send
from guid.hosts.x11.window import HostWindow, WindowTable
from shm.xconn import XConnection


class Kinship:
    """Writes WM_TRANSIENT_FOR and _NET_WM_WINDOW_TYPE."""

    def __init__(self, connection: XConnection, windows: WindowTable, properties: Properties) -> None:
        self._connection = connection
        self._windows = windows
        self._properties = properties

    def belongs(self, window: HostWindow, owner: WindowId | None) -> None:
        """It has this owner from now on, if there is such a window."""
        found = None if owner is None else self._windows.get(owner)
        window.owner = None if found is None else found.id
        properties = self._properties
        managed = "NORMAL" if found is None else "DIALOG"
        kind = "POPUP_MENU" if window.override_redirect else managed
        send(
            self._connection,
            [
                *properties.transient_for(window.frame, None if found is None else found.frame),
                *properties.window_type(window.frame, kind),
            ],
        )

    def gone(self, owner: WindowId) -> None:
        """That window was removed: nothing belongs to it any more."""
        for window in self._windows:
            if window.owner == owner:
                self.belongs(window, None)
