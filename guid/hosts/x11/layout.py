"""The desktop's keyboard layout is as last heard of, and modifiers in events are counted as XKB counts them.

Changes of single keys (xmodmap) leave no word on the root window, so those a VM does not get.
"""

import logging
from typing import Any, Final

from Xlib import Xatom
from Xlib.protocol import request

from guid.hosts.x11.atoms import Atoms
from guid.hosts.x11.replies import Replies
from qubesdb.keys import KEYBOARD_LAYOUT, Layout
from shm.xconn import XConnection
from shm.xkb import RULES_NAMES, layout_in, use, watch_keys

_MAX_LONGS: Final = 256

log = logging.getLogger(__name__)


class KeyboardLayout:
    """Follows the property. `layout` is None where there is no word of one, or none that a VM could be told."""

    def __init__(self, connection: XConnection, replies: Replies, atoms: Atoms, root: int) -> None:
        self.layout: Layout | None = None
        self.event_codes: frozenset[int] = frozenset()
        """Of events that tell of other keys."""
        self._replies = replies
        self._property = atoms[RULES_NAMES]
        self._root = root
        display: Any = connection.display
        xkb = display.query_extension("XKEYBOARD")
        if xkb is not None and xkb.present:
            use(display, int(xkb.major_opcode))
            watch_keys(connection, int(xkb.major_opcode))
            self.event_codes = frozenset((int(xkb.first_event),))
        self._ask()

    def property_changed(self, name: int) -> None:
        """A property of the root window changed."""
        if name == self._property:
            self._ask()

    def _ask(self) -> None:
        def answer(reply: Any) -> None:
            kind, value = reply.value or (0, b"")
            self.layout = layout_of(value) if kind == 8 else None

        self._replies.ask(
            request.GetProperty, answer,
            delete=0, window=self._root, property=self._property, type=Xatom.STRING, long_offset=0,
            long_length=_MAX_LONGS,
        )  # fmt: skip


def layout_of(names: bytes) -> Layout | None:
    """The layout in a value of the property, if it is one that a VM can be told."""
    try:
        found = layout_in(names)
        return None if found is None else KEYBOARD_LAYOUT.parse(found)
    except ValueError as error:
        log.debug("the desktop's keyboard layout is not for VMs: %s", error)
        return None
