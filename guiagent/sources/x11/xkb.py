"""What the agent asks of the X server's XKB extension: its requests and events as bytes, with numbers given names."""

from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from Xlib.protocol import rq

from shm.xconn import XConnection
from shm.xkb import use

NEW_KEYBOARD: Final = 0
MAP_CHANGED: Final = 1
STATE_CHANGED: Final = 2
CONTROLS_CHANGED: Final = 3

_USE_CORE_KEYBOARD: Final = 0x100
_GROUPS: Final = 12
"""So many groups on is the same one, whether there are 1, 2, 3 or 4."""
_ALL_MAP_PARTS: Final = 0xFF
_LOCKS: Final = 1 << 3
_ENABLED_CONTROLS: Final = 1 << 31
_REPEAT_KEYS: Final = 1

_SELECT_EVENTS: Final = Struct("=BBH8HII")
_LATCH_LOCK_STATE: Final = Struct("=BBHHBBBBBBxBH")
_LOCKED_MODIFIERS: Final = 12
_CONTROLS: Final = Struct("=16xI")


class _GetState(rq.ReplyRequest):
    _request = rq.Struct(rq.Card8("opcode"), rq.Opcode(4), rq.RequestLength(), rq.Card16("device"), rq.Pad(2))
    _reply = rq.Struct(
        rq.ReplyCode(),
        rq.Card8("device"),
        rq.Card16("sequence_number"),
        rq.ReplyLength(),
        rq.Card8("modifiers"),
        rq.Card8("base_modifiers"),
        rq.Card8("latched_modifiers"),
        rq.Card8("locked_modifiers"),
        rq.Card8("group"),
        rq.Card8("locked_group"),
        rq.Int16("base_group"),
        rq.Int16("latched_group"),
        rq.Pad(14),
    )


@dataclass(frozen=True, slots=True)
class State:
    """`locks`: modifiers that are locked. `group`: the layout that keys are read in, from 0; `held_group`: how much of
    that is due to keys that are held or were just pressed, and not to a lock."""

    locks: int
    group: int
    held_group: int


class Xkb:
    """The keyboard that programs know, as XKB sees it."""

    def __init__(self, connection: XConnection, major: int) -> None:
        self._connection = connection
        self._wire: Any = connection.display.display
        self._major = major
        use(connection.display, major)
        which = 1 << NEW_KEYBOARD | 1 << MAP_CHANGED | 1 << STATE_CHANGED | 1 << CONTROLS_CHANGED
        connection.send_raw(
            # Everything of the first two, of the state only the locks, and which controls are on.
            _SELECT_EVENTS.pack(
                major, 1, 7, _USE_CORE_KEYBOARD, which, 0, 1 << NEW_KEYBOARD | 1 << MAP_CHANGED,
                _ALL_MAP_PARTS, _ALL_MAP_PARTS, _LOCKS, _LOCKS, _ENABLED_CONTROLS, _ENABLED_CONTROLS,
            ),
            1,
        )  # fmt: skip

    def state(self) -> State:
        """As it is now. Waits for the X server."""
        found = _GetState(display=self._wire, opcode=self._major, device=_USE_CORE_KEYBOARD)
        return State(int(found.locked_modifiers), int(found.group), int(found.base_group) + int(found.latched_group))

    def lock_group(self, group: int) -> None:
        """Have keys read in that layout; past the last, and before the first, it goes round."""
        request = _LATCH_LOCK_STATE.pack(self._major, 5, 4, _USE_CORE_KEYBOARD, 0, 0, 1, group % _GROUPS, 0, 0, 0, 0)
        self._connection.send_raw(request, 1)


def locks(event: bytes) -> int:
    """The locked modifiers in a STATE_CHANGED event."""
    return event[_LOCKED_MODIFIERS]


def repeats_keys(event: bytes) -> bool:
    """Whether keys repeat, by a CONTROLS_CHANGED event."""
    (enabled,) = _CONTROLS.unpack_from(event)
    return bool(enabled & _REPEAT_KEYS)
