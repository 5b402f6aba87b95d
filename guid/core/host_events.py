"""What happens on the desktop, as a display host reports it to the core: plain data, in the order it happened."""

from dataclasses import dataclass

from guid.core.trusted import Geometry, StateFlags, WindowId


@dataclass(frozen=True, slots=True)
class ScreenInfo:
    """The desktop: its size, and the part of it (`work_area`) that panels leave free."""

    width: int
    height: int
    depth: int
    work_area: Geometry


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """A key while `window` has the keyboard; x, y are content coordinates; `state` is X's mask before the event."""

    window: WindowId
    pressed: bool
    keycode: int
    x: int
    y: int
    state: int


@dataclass(frozen=True, slots=True)
class ButtonEvent:
    """A pointer button, numbered as X does (4 to 7 are the wheel, 8 and 9 back and forward)."""

    window: WindowId
    pressed: bool
    button: int
    x: int
    y: int
    state: int


@dataclass(frozen=True, slots=True)
class MotionEvent:
    """The pointer moved. A host may leave out all but the last of a burst."""

    window: WindowId
    x: int
    y: int
    state: int


@dataclass(frozen=True, slots=True)
class CrossingEvent:
    """The pointer entered or left the content; mode and detail are X's."""

    window: WindowId
    entered: bool
    x: int
    y: int
    state: int
    mode: int
    detail: int
    focus: bool


@dataclass(frozen=True, slots=True)
class FocusEvent:
    """The window got or lost the keyboard. `keys_down` is the 32-byte XQueryKeymap bitmap when it was got."""

    window: WindowId
    focused: bool
    detail: int
    keys_down: bytes


@dataclass(frozen=True, slots=True)
class ConfiguredEvent:
    """The content is now there, and that is not what `configure` last asked for.

    A host may also report what was asked for; it must not report what a later call has overtaken.
    """

    window: WindowId
    geometry: Geometry


@dataclass(frozen=True, slots=True)
class MappedEvent:
    """The window manager showed (or, `mapped` False, hid) the window on its own, not as `map` or `unmap` said."""

    window: WindowId
    mapped: bool


@dataclass(frozen=True, slots=True)
class CloseEvent:
    """The user asked the window to close."""

    window: WindowId


@dataclass(frozen=True, slots=True)
class StateEvent:
    """The window manager changed these states of the window."""

    window: WindowId
    set: StateFlags
    unset: StateFlags


@dataclass(frozen=True, slots=True)
class MaximizedEvent:
    """The window manager has maximised the window, or has it maximised no longer, by the user's wish or ours."""

    window: WindowId
    maximized: bool


@dataclass(frozen=True, slots=True)
class ScreenEvent:
    """The desktop's size or work area changed."""

    screen: ScreenInfo


@dataclass(frozen=True, slots=True)
class KeyboardEvent:
    """The desktop's keyboard has other keys than before: `keycodes` may have another answer."""


HostEvent = (
    KeyEvent | ButtonEvent | MotionEvent | CrossingEvent | FocusEvent | ConfiguredEvent | MappedEvent | CloseEvent
    | StateEvent | MaximizedEvent | ScreenEvent | KeyboardEvent
)  # fmt: skip
