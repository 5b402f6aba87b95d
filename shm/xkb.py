"""What both halves ask of XKB: to count a client among those who know it, and which layout the keyboard has.

Only a client that has said that it knows XKB hears in events which of its layouts the keyboard is in; to others its
second layout looks like a modifier.
"""

from struct import Struct
from typing import Any, Final

from Xlib.protocol import rq

from shm.xconn import XConnection

_SELECT: Final = Struct("=BBH6H")
_CORE_KEYBOARD: Final = 0x100
_KEYS_CHANGED: Final = 0b11
"""Another keyboard, and another map of this one."""
_ALL_PARTS: Final = 0xFF


class _UseExtension(rq.ReplyRequest):
    _request = rq.Struct(
        rq.Card8("opcode"), rq.Opcode(0), rq.RequestLength(), rq.Card16("major_version"), rq.Card16("minor_version")
    )
    _reply = rq.Struct(
        rq.ReplyCode(),
        rq.Card8("supported"),
        rq.Card16("sequence_number"),
        rq.ReplyLength(),
        rq.Card16("major_version"),
        rq.Card16("minor_version"),
        rq.Pad(20),
    )


RULES_NAMES: Final = "_XKB_RULES_NAMES"
"""The root window's property in which whoever sets a layout leaves word of it, in the words of XKB's rules."""


def use(display: Any, major: int) -> None:
    """Say so to the X server of that python-xlib Display, whose XKB has that major opcode. Waits for its answer."""
    _UseExtension(display=display.display, opcode=major, major_version=1, minor_version=0)


def watch_keys(connection: XConnection, major: int) -> None:
    """Have news of other keys arrive as the extension's events: who uses it gets no MappingNotify for them."""
    which = _KEYS_CHANGED
    connection.send_raw(_SELECT.pack(major, 1, 4, _CORE_KEYBOARD, which, 0, which, _ALL_PARTS, _ALL_PARTS), 1)


def layout_in(names: bytes) -> bytes | None:
    """The layout in a value of RULES_NAMES, as LAYOUT+VARIANT+OPTIONS with nothing left out; None if there is none.

    The value is rules, model, layout, variant and options, a NUL behind each.
    """
    parts = names.split(b"\0")
    return b"+".join(parts[2:5]) if len(parts) >= 5 and parts[2] else None
