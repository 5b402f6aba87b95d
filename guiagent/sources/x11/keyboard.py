"""A program in the guest sees each key with the modifiers and locks that it had on the desktop.

The desktop's keys arrive only while one of our windows has the focus there, so modifiers may have gone down or up and
locks may have been toggled elsewhere. Before each press the held modifiers and the locks are brought in step with the
`state` that came with it. What is down is known without asking: nothing but this class presses keys. Locks are a matter
of the guest's keyboard map as well, so XKB reports them, and a difference is verified before a lock key is tapped.
"""

from struct import Struct
from typing import Any, Final

import Xlib.error
from Xlib import X
from Xlib.protocol import rq

from guiagent.sources.x11.extensions import Extension
from guiagent.sources.x11.keymap import Keymap
from guiagent.sources.x11.requests import FakeInput
from shm.xconn import XConnection

_PRESS: Final = 2
_RELEASE: Final = 3
_MIN_KEYCODE: Final = 8
_MAX_KEYCODE: Final = 255

_USE_CORE_KEYBOARD: Final = 0x100
_NEW_KEYBOARD: Final = 0
_MAP_CHANGED: Final = 1
_STATE_CHANGED: Final = 2
_ALL_MAP_PARTS: Final = 0xFF
_LOCK_DETAIL: Final = 1 << 3
_EVENT_BYTES: Final = 32
_LOCKED_MODIFIERS: Final = 12

_SELECT_EVENTS: Final = Struct("=BBH8H")


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
        rq.Pad(20),
    )


class Keyboard:
    """The guest's keyboard, pressed by XTEST."""

    def __init__(self, connection: XConnection, xkb: Extension, fake: FakeInput) -> None:
        self._connection = connection
        self._display: Any = connection.display
        self._xkb = xkb.major
        self._fake = fake
        _UseExtension(display=self._display.display, opcode=xkb.major, major_version=1, minor_version=0)
        which = 1 << _NEW_KEYBOARD | 1 << _MAP_CHANGED | 1 << _STATE_CHANGED
        connection.send_raw(
            # Everything of the first and of the map, and of the state only that locks changed.
            _SELECT_EVENTS.pack(
                xkb.major, 1, 5, _USE_CORE_KEYBOARD, which, 0, 1 << _NEW_KEYBOARD | 1 << _MAP_CHANGED,
                _ALL_MAP_PARTS, _ALL_MAP_PARTS, _LOCK_DETAIL, _LOCK_DETAIL,
            ),
            1,
        )  # fmt: skip
        # The desktop repeats keys; a guest that repeats them as well would type double.
        self._display.change_keyboard_control(auto_repeat_mode=X.AutoRepeatModeOff)
        self._keymap: Keymap | None = None
        self._locked = self._query_locks()
        bitmap = self._display.query_keymap()
        self._down = {code for code in range(_MIN_KEYCODE, _MAX_KEYCODE + 1) if bitmap[code >> 3] >> (code & 7) & 1}

    def key(self, kind: int, keycode: int, state: int) -> None:
        """Press or release a key; `state` is X's modifier mask before that. Impossible keycodes are ignored."""
        if not _MIN_KEYCODE <= keycode <= _MAX_KEYCODE:
            return
        if kind == _RELEASE:
            self._release(keycode)
            return
        self.match(state)
        self._release(keycode)  # a key that is down already is repeating; the server would drop the press
        self._press(keycode)

    def match(self, state: int) -> None:
        """Bring modifiers and locks in step with X's modifier mask."""
        keymap = self._keymap
        if keymap is None:
            keymap = self._keymap = self._read_keymap()
        wrong = [bit for bit in keymap.locks if (state ^ self._locked) & bit]
        if wrong:
            self._locked = self._query_locks()
            for bit in wrong:
                if (state ^ self._locked) & bit:
                    self._tap(keymap.locks[bit])
                    self._locked ^= bit
        for bit, keycodes in keymap.held.items():
            down = [keycode for keycode in keycodes if keycode in self._down]
            if state & bit and not down:
                self._press(keycodes[0])
            elif not state & bit:
                for keycode in down:
                    self._release(keycode)

    def release_except(self, bitmap: bytes) -> None:
        """Release every key that `bitmap` (32 bytes, as of XQueryKeymap) does not have down."""
        for keycode in sorted(self._down):
            if not bitmap[keycode >> 3] >> (keycode & 7) & 1:
                self._release(keycode)

    def notified(self, events: bytes) -> None:
        """XKB events arrived."""
        for at in range(0, len(events), _EVENT_BYTES):
            kind = events[at + 1]
            if kind == _STATE_CHANGED:
                self._locked = events[at + _LOCKED_MODIFIERS]
            elif kind in (_NEW_KEYBOARD, _MAP_CHANGED):
                self._keymap = None

    def _press(self, keycode: int) -> None:
        self._connection.send_raw(self._fake.event(_PRESS, keycode), 1)
        self._down.add(keycode)

    def _release(self, keycode: int) -> None:
        if keycode in self._down:
            self._connection.send_raw(self._fake.event(_RELEASE, keycode), 1)
            self._down.discard(keycode)

    def _tap(self, keycode: int) -> None:
        self._release(keycode)
        self._press(keycode)
        self._release(keycode)

    def _query_locks(self) -> int:
        state = _GetState(display=self._display.display, opcode=self._xkb, device=_USE_CORE_KEYBOARD)
        return int(state.locked_modifiers)

    def _read_keymap(self) -> Keymap:
        info: Any = self._display.display.info
        first, last = int(info.min_keycode), int(info.max_keycode)
        try:
            keysyms = self._display.get_keyboard_mapping(first, last - first + 1)
            return Keymap.read(self._display.get_modifier_mapping(), first, keysyms)
        except Xlib.error.XError:  # the keyboard is being replaced: an event will tell
            return Keymap({}, {})
