"""Who manages the windows of an X server is asked before they are mapped and configured; here it is done at once.

Managing has one reason only: Xwayland tells a window manager, and nobody else, which surface a window is.
"""

from typing import Any, Final

from Xlib import X

from guiagent.sources.x11 import requests
from shm.xconn import XConnection

SURFACE_ID: Final = "WL_SURFACE_ID"
_MAP_REQUEST: Final = 20
_CONFIGURE_REQUEST: Final = 23
_CIRCULATE_REQUEST: Final = 27
_NAMES: Final = (
    (X.CWX, "x"), (X.CWY, "y"), (X.CWWidth, "width"), (X.CWHeight, "height"), (X.CWBorderWidth, "border_width"),
    (X.CWSibling, "sibling"), (X.CWStackMode, "stack_mode"),
)  # fmt: skip


def carry_out(connection: XConnection, event: Any) -> bool:
    """If the server asks whether a program may do something, do it. Whether it was such an event."""
    if event.type == _MAP_REQUEST:
        connection.send_raw(requests.map_window(event.window.id), 1)
    elif event.type == _CONFIGURE_REQUEST:
        values = {name: _number(getattr(event, name)) for bit, name in _NAMES if event.value_mask & bit}
        if values:
            connection.send_raw(requests.configure_window(event.window.id, **values), 1)
    elif event.type == _CIRCULATE_REQUEST:
        below = event.place == X.PlaceOnBottom
        stack_mode = X.Below if below else X.Above
        connection.send_raw(requests.configure_window(event.window.id, stack_mode=stack_mode), 1)
    else:
        return False
    return True


def surface_of(event: Any, surface_id: int) -> tuple[int, int] | None:
    """Window and surface id, if that is what the server tells. `surface_id`: the atom of that name."""
    if event.type != X.ClientMessage or event.client_type != surface_id or event.send_event:
        return None
    _, words = event.data
    return int(event.window.id), int(words[0])


def _number(value: Any) -> int:
    return int(getattr(value, "id", value))
