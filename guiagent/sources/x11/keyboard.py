"""A program in the guest sees each key with the modifiers and locks that it had on the desktop.

The desktop's keys arrive only while one of our windows has the focus there, so modifiers may have gone down or up and
locks may have been toggled elsewhere, or the user has turned to another of the desktop's layouts. Before each press the
held modifiers, the locks and the layout are brought in step with the `state` that came with it. What is down is known
without asking: nothing but this class presses keys. Locks and layouts are a matter of the guest's keyboard map as well,
so XKB reports them, and a difference is verified before anything is done about it.
"""

from typing import Any, Final

import Xlib.error
from Xlib import X

from guiagent.sources.x11 import xkb as xkb_wire
from guiagent.sources.x11.extensions import Extension
from guiagent.sources.x11.keymap import Keymap
from guiagent.sources.x11.requests import FakeInput
from guiagent.sources.x11.xkb import Xkb
from shm.xconn import XConnection

_PRESS: Final = 2
_RELEASE: Final = 3
_MIN_KEYCODE: Final = 8
_MAX_KEYCODE: Final = 255
_EVENT_BYTES: Final = 32
_GROUP_SHIFT: Final = 13
_GROUPS: Final = 3


class Keyboard:
    """The guest's keyboard, pressed by XTEST."""

    def __init__(self, connection: XConnection, xkb: Extension, fake: FakeInput) -> None:
        self._connection = connection
        self._display: Any = connection.display
        self._xkb = Xkb(connection, xkb.major)
        self._fake = fake
        self._do_not_repeat()
        self._keymap: Keymap | None = None
        self._locked = self._xkb.state().locks
        self._grouped = False
        """Whether the desktop has shown that its keyboard has several layouts."""
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
            self._locked = self._xkb.state().locks
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
        self._match_group(state >> _GROUP_SHIFT & _GROUPS)

    def release_except(self, bitmap: bytes) -> None:
        """Release every key that `bitmap` (32 bytes, as of XQueryKeymap) does not have down."""
        for keycode in sorted(self._down):
            if not bitmap[keycode >> 3] >> (keycode & 7) & 1:
                self._release(keycode)

    def notified(self, events: bytes) -> None:
        """XKB events arrived."""
        for at in range(0, len(events), _EVENT_BYTES):
            event = events[at : at + _EVENT_BYTES]
            kind = event[1]
            if kind == xkb_wire.STATE_CHANGED:
                self._locked = xkb_wire.locks(event)
            elif kind in (xkb_wire.NEW_KEYBOARD, xkb_wire.MAP_CHANGED):
                self._keymap = None
            elif kind == xkb_wire.CONTROLS_CHANGED and xkb_wire.repeats_keys(event):
                self._do_not_repeat()

    def _match_group(self, group: int) -> None:
        """Read keys in the desktop's layout of that number.

        A desktop that was never in another than the first says nothing by that, so that a guest which has several
        layouts of its own, and keys to change them, has its way.
        """
        self._grouped = self._grouped or group != 0
        if self._grouped:
            # Asked for each time: any key of ours may have changed it, also one that was pressed a line above.
            now = self._xkb.state()
            if group != now.group:
                self._xkb.lock_group(group - now.held_group)

    def _do_not_repeat(self) -> None:
        """The desktop repeats keys; a guest that repeats them as well would type double."""
        self._display.change_keyboard_control(auto_repeat_mode=X.AutoRepeatModeOff)

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

    def _read_keymap(self) -> Keymap:
        info: Any = self._display.display.info
        first, last = int(info.min_keycode), int(info.max_keycode)
        try:
            keysyms = self._display.get_keyboard_mapping(first, last - first + 1)
            return Keymap.read(self._display.get_modifier_mapping(), first, keysyms)
        except Xlib.error.XError:  # the keyboard is being replaced: an event will tell
            return Keymap({}, {})
