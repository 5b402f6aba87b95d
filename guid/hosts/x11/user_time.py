"""A window that comes up by itself does not take the keyboard from where the user types: it says when its VM was used.

Window managers compare that time with the one of the window that has the focus (EWMH, _NET_WM_USER_TIME), and let what
is older only demand attention. A press of a key or button is use, and so is what the user asks for elsewhere: that the
VM is shown, or that a program is started in it. The VM itself has no say.
"""

from struct import Struct
from typing import Final

from Xlib import Xatom

from guid.hosts.x11 import requests as x
from guid.hosts.x11.atoms import Atoms
from guid.hosts.x11.window import HostWindow
from shm.xconn import XConnection

_CARDINAL: Final = Struct("=I")
_PROPERTY_EVENTS: Final = 0x400000
_HALF: Final = 1 << 31


class UserTime:
    """X server time, in milliseconds that wrap around, of the user's last deed in one VM."""

    def __init__(self, connection: XConnection, atoms: Atoms, root: int) -> None:
        self._connection = connection
        self._property = atoms["_NET_WM_USER_TIME"]
        self._time: int | None = None
        self.clock = connection.new_id()
        """A window whose PropertyNotify tells the time at which `now` was called: pass that to `used`."""
        x.send(connection, [x.create_window(self.clock, root, -1, -1, 1, 1, {x.EVENT_MASK: _PROPERTY_EVENTS})])
        self.now()

    def now(self) -> None:
        """The user does something for this VM just now, elsewhere."""
        x.send(self._connection, [x.change_property(self.clock, self._property, Xatom.CARDINAL, 32, b"")])

    def used(self, time: int, window: HostWindow | None = None) -> None:
        """The user did something at that time, in this window if in one."""
        if self._time is None or 0 < (time - self._time) % (2 * _HALF) < _HALF:
            self._time = time
            if window is not None:
                self.tell(window)

    def tell(self, window: HostWindow) -> None:
        """Have the window manager know, before it sees the window and whenever it is used."""
        if self._time:
            value = _CARDINAL.pack(self._time)
            x.send(self._connection, [x.change_property(window.frame.outer, self._property, Xatom.CARDINAL, 32, value)])
