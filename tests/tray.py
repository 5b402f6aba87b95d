"""A notification area as panels have one: owns the selection, embeds what asks for it. `python -m tests.tray :N`.

With "keeping" as a further argument it gives its icons back to the desktop when it ends.
"""

import select
import sys
from typing import Any

from Xlib import X
from Xlib.protocol import event

from shm.xconn import XConnection

SIZE = 24


def main(display_name: str, *, keeping: bool) -> None:
    """Serve until killed; prints a line when it is there."""
    connection = XConnection(display_name)
    display: Any = connection.display
    root: Any = display.screen().root
    atom = display.intern_atom
    panel = root.create_window(
        0, 0, 20 * SIZE, SIZE, 0, X.CopyFromParent, event_mask=X.SubstructureNotifyMask, override_redirect=True
    )
    panel.map()
    panel.set_selection_owner(atom("_NET_SYSTEM_TRAY_S0"), X.CurrentTime)
    announcement = [X.CurrentTime, atom("_NET_SYSTEM_TRAY_S0"), panel.id, 0, 0]
    root.send_event(
        event.ClientMessage(window=root, client_type=atom("MANAGER"), data=(32, announcement)), X.StructureNotifyMask
    )
    connection.sync()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    icons: list[Any] = []
    while True:
        select.select([connection.fileno()], [], [])
        for said in connection.events():
            if said.type == X.ClientMessage and said.client_type == atom("_NET_SYSTEM_TRAY_OPCODE"):
                icon = display.create_resource_object("window", said.data[1][2])
                if keeping:
                    icon.change_save_set(X.SetModeInsert)
                icon.reparent(panel, SIZE * len(icons), 0)
                icon.configure(width=SIZE, height=SIZE)
                icon.map()
                words = [X.CurrentTime, 0, 0, panel.id, 0]
                icon.send_event(event.ClientMessage(window=icon, client_type=atom("_XEMBED"), data=(32, words)))
                icons.append(icon)
            elif said.type == X.DestroyNotify:
                icons = [icon for icon in icons if icon.id != said.window.id]
        connection.flush()


if __name__ == "__main__":
    main(sys.argv[1], keeping="keeping" in sys.argv[2:])
