"""Ports of vchans that all rooms know, besides that of the GUI."""

from typing import Final

QUBESDB_PORT: Final = 111
"""Of Qubes DB: the admin side is the server, the VM the client."""
ADMIN_DOMID: Final = 0
"""The domain that is the admin side of every VM."""

ICON_PORT: Final = 6001
"""Of window icons: the agent is the server, the GUI domain the client."""
