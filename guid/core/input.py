"""The user's keys and pointer, as the VM that they are meant for may see them.

Keys and clicks are the user's words to that VM and go there whole. The pointer merely passing over a window is not:
what it says about modifiers and the keyboard layout is taken out unless the VM has the keyboard anyway.
"""

from typing import Final

from guid.core.host_events import ButtonEvent, CrossingEvent, FocusEvent, KeyEvent, MotionEvent
from guid.core.keyboard import NO_KEYS, Keyboard
from guid.core.trusted import WindowId
from guiproto.messages import Button, Crossing, Focus, KeymapNotify, KeyPress, Message, Motion

InputEvent = KeyEvent | ButtonEvent | MotionEvent | CrossingEvent | FocusEvent

_BUTTONS: Final = 0x1F00
"""X's state: bits 8 to 12 are the pointer's buttons; 0 to 7 are modifiers and 13 to 14 the keyboard layout."""

# X's event numbers, which the wire uses as well.
_KEY_PRESS, _KEY_RELEASE, _BUTTON_PRESS, _BUTTON_RELEASE, _ENTER, _LEAVE, _FOCUS_IN, _FOCUS_OUT = (
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    10,
)
_NORMAL: Final = 0
_NOTIFY_POINTER: Final = 5


class Input:
    """Turns events of windows in the table into messages. Keeps track of who has the keyboard."""

    def __init__(self) -> None:
        self._keyboard = Keyboard()
        self._focused: WindowId | None = None
        self._entered: WindowId | None = None
        """The window that has the keyboard because the pointer is in it, as where nobody manages the focus."""

    def handle(self, event: InputEvent) -> list[Message]:
        """What the VM is told of `event`."""
        match event:
            case KeyEvent():
                return self._key(event)
            case ButtonEvent(window, pressed, button, x, y, state):
                return [Button(window, _BUTTON_PRESS if pressed else _BUTTON_RELEASE, x, y, state, button)]
            case MotionEvent(window, x, y, state):
                return [Motion(window, x, y, self._state(state), 0)]
            case CrossingEvent():
                return self._crossing(event)
            case FocusEvent():
                return self._focus(event)

    def gone(self, window: WindowId) -> None:
        """The window was hidden or destroyed: whatever it had, it has no more."""
        if window in (self._focused, self._entered):
            self._focused = None if self._focused == window else self._focused
            self._entered = None if self._entered == window else self._entered
            self._may_have_lost()

    def tick(self, now: float) -> list[Message]:
        """Time passed."""
        return [KeymapNotify(0, NO_KEYS)] if self._keyboard.tick(now) else []

    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        return self._keyboard.deadline()

    def _key(self, event: KeyEvent) -> list[Message]:
        kind = _KEY_PRESS if event.pressed else _KEY_RELEASE
        if event.pressed:
            self._keyboard.pressed(event.keycode)
        elif not self._keyboard.released(event.keycode):
            return []
        return [KeyPress(event.window, kind, event.x, event.y, event.state, event.keycode)]

    def _crossing(self, event: CrossingEvent) -> list[Message]:
        if event.entered and event.focus:
            self._entered = event.window
            self._keyboard.kept()
        state = event.state if event.focus else self._state(event.state)
        if not event.entered and self._entered == event.window:
            self._entered = None
            self._may_have_lost()
        kind = _ENTER if event.entered else _LEAVE
        return [Crossing(event.window, kind, event.x, event.y, state, event.mode, event.detail, int(event.focus))]

    def _focus(self, event: FocusEvent) -> list[Message]:
        if event.focused:
            if event.detail == _NOTIFY_POINTER:
                self._entered = event.window
            else:
                self._focused = event.window
            keys = self._keyboard.gained(event.keys_down)
            return [KeymapNotify(0, keys), Focus(event.window, _FOCUS_IN, _NORMAL, event.detail)]
        if self._focused in (event.window, None):
            self._focused = self._entered = None
            self._may_have_lost()
        return [Focus(event.window, _FOCUS_OUT, _NORMAL, event.detail)]

    def _may_have_lost(self) -> None:
        if self._focused is None and self._entered is None:
            self._keyboard.lost()

    def _state(self, state: int) -> int:
        return state if self._focused is not None or self._entered is not None else state & _BUTTONS
