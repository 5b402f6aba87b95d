"""What a display host must do. Only values that the core has validated arrive here.

A host shows windows: each has a *content* rectangle, which mirrors the AppVM's window, and a border of the label's
colour around it that no call can draw on. All coordinates are pixels; geometry is that of the content in root
coordinates. A host never blocks on the AppVM and never lets out the display server's errors about what a guest drove.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from backends.base import MappedPages
from guid.core.host_events import (
    ButtonEvent,
    CloseEvent,
    ConfiguredEvent,
    CrossingEvent,
    FocusEvent,
    HostEvent,
    KeyboardEvent,
    KeyEvent,
    MappedEvent,
    MaximizedEvent,
    MotionEvent,
    ScreenEvent,
    ScreenInfo,
    StateEvent,
)
from guid.core.trusted import CursorName, Geometry, Icon, Label, SizeHints, StateFlags, Title, WindowClass, WindowId
from qubesdb.keys import Layout, Monitor
from shm.damage import EitherRects

__all__ = [
    "ButtonEvent",
    "CloseEvent",
    "ConfiguredEvent",
    "CrossingEvent",
    "DesktopInfo",
    "DisplayHost",
    "FocusEvent",
    "HostConfig",
    "HostEvent",
    "KeyEvent",
    "KeyboardEvent",
    "MappedEvent",
    "MaximizedEvent",
    "MotionEvent",
    "Rects",
    "ScreenEvent",
    "ScreenInfo",
    "StateEvent",
]

Rects = EitherRects
"""Rectangles of a window's content: i32 [n, 4] or a list, x, y, width, height each, none empty, inside its buffer."""


@dataclass(frozen=True, slots=True)
class DesktopInfo:
    """What of the desktop its VMs are made to resemble. None and () where nothing is known."""

    layout: Layout | None = None
    """The keyboard's."""
    monitors: tuple[Monitor, ...] = ()
    """Never without one of the screen's size where the screen is known."""


class DisplayHost(ABC):
    """Shows the windows of one AppVM. Calls are queued until `flush`; unknown window ids are the caller's bug."""

    copies: int
    """CPU copies that the host itself makes of each painted pixel of a mapping with a region, before the display."""

    @abstractmethod
    def fileno(self) -> int:
        """Polls readable when `events()` has something. -1 for a host that never has."""

    @abstractmethod
    def screen(self) -> ScreenInfo:
        """The desktop as last seen."""

    def desktop(self) -> DesktopInfo:
        """More about it as last seen: other than `screen`, changes of it are no events."""
        return DesktopInfo()

    @abstractmethod
    def events(self) -> Sequence[HostEvent]:
        """What happened since the last call, in order; never blocks. Exposures are handled inside the host.

        Raises MachineCannot when the display is gone.
        """

    @abstractmethod
    def keycodes(self, key: str) -> frozenset[int]:
        """The keycodes with which the user can type the keysym of that name, without or with Shift, in any layout.

        Empty if there are none, or no such keysym. May wait for the display. `KeyboardEvent` says when to ask again.
        """

    @property
    def busy(self) -> bool:
        """Whether the display has enough to paint already: painting more would only make it later.

        Whoever waits for the display to catch up need not poll: `fileno()` wakes up, and `events()` makes this False.
        """
        return False

    @abstractmethod
    def flush(self) -> None:
        """Hand everything queued to the display, in one go where possible. May block while the display is slow."""

    @abstractmethod
    def create(self, window: WindowId, geometry: Geometry, *, override_redirect: bool) -> int:
        """Make an unmapped window and return the display's own id for it."""

    @abstractmethod
    def destroy(self, window: WindowId) -> None:
        """Remove it; its buffer is detached, and no window is transient for it any more."""

    @abstractmethod
    def map(self, window: WindowId, *, override_redirect: bool, transient_for: WindowId | None) -> None:
        """Show it, on top if it is override-redirect: but never above a screen locker."""

    @abstractmethod
    def unmap(self, window: WindowId) -> None:
        """Hide it."""

    @abstractmethod
    def configure(self, window: WindowId, geometry: Geometry) -> None:
        """Move and resize its content. What the window manager makes of it comes back as ConfiguredEvent."""

    @abstractmethod
    def attach(self, window: WindowId, pages: MappedPages, width: int, height: int) -> None:
        """Show `pages` in the window from now on: rows of width * 4 bytes, 0x00RRGGBB little-endian.

        The first row is at `pages.offset` of the region, or at the start of the view. Raises MachineCannot if the
        display refuses the region; the window then shows what it did before.

        The host does not release `pages`. It may paint from them until the next attach, detach or destroy.
        Never paints by itself: `paint` follows.
        """

    @abstractmethod
    def detach(self, window: WindowId) -> None:
        """Forget the buffer."""

    @abstractmethod
    def paint(self, window: WindowId, rects: Rects) -> None:
        """Bring these parts of the attached buffer to the content; what lies outside the content is clipped."""

    @abstractmethod
    def set_title(self, window: WindowId, title: Title) -> None:
        """The title, with the VM's name in front of it if the host was so configured."""

    @abstractmethod
    def set_class(self, window: WindowId, name: WindowClass) -> None:
        """WM_CLASS, with the VM's name in front."""

    @abstractmethod
    def set_icon(self, window: WindowId, icon: Icon | None) -> None:
        """What task bars show for it: the VM's icon in the label's colours, or the label's own if None, as at first."""

    @abstractmethod
    def set_hints(self, window: WindowId, hints: SizeHints) -> None:
        """Size hints of the content; the host adds its border."""

    @abstractmethod
    def set_state(self, window: WindowId, set_: StateFlags, unset: StateFlags) -> None:
        """Fullscreen, minimised, demands attention."""

    @abstractmethod
    def maximize(self, window: WindowId, maximized: bool) -> None:
        """Have it take all the room that panels leave, with its frame, or have it back where it was.

        ConfiguredEvent says where it is then, and MaximizedEvent that the window manager has done it.
        """

    @abstractmethod
    def set_transient_for(self, window: WindowId, owner: WindowId | None) -> None:
        """The window that it belongs to is another, or none, while it is shown."""

    @abstractmethod
    def set_cursor(self, window: WindowId, cursor: CursorName | None) -> None:
        """A cursor of the display's own theme; None is the default one."""

    @abstractmethod
    def dock(self, window: WindowId) -> None:
        """Put the window into the notification area, now or once there is one. It is never mapped as a window."""

    def used(self) -> None:  # noqa: B027 - optional: there may be nobody whose focus could be stolen
        """The user has just asked for something that will show new windows: those may take the keyboard."""

    def sync(self) -> None:  # noqa: B027 - optional: there may be nobody to wait for
        """Send everything and wait until the display has done it. Not for every day: it waits."""

    @abstractmethod
    def reconfigure(self, config: "HostConfig") -> None:
        """Windows look as `config` says from now on, also those that are there; their content stays where it is.

        A title gets or loses its prefix when it is set the next time. The VM and its label are the same as before.
        """

    @abstractmethod
    def close(self) -> None:
        """Remove every window and let go of the display."""


@dataclass(frozen=True, slots=True)
class HostConfig:
    """How one VM's windows are to look."""

    vm_name: str
    label: Label
    border_width: int = 3
    border_managed: bool = True
    """Whether windows under a window manager's care get our border too (`--border override-redirect` says no)."""
    title_prefix: bool = True
    screen_lockers: tuple[str, ...] = ("xscreensaver",)
    """First names in WM_CLASS of screen lockers' windows, above which nothing of the VM may appear."""
    tray_border: int = 1
    """Width of the border around icons in the notification area; may be 0 where they are tinted."""
    tray_tint: bool = True
    """Whether such icons are shown in the label's colours instead of their own."""
    background: int = 0xFFFFFF
    scale: int = 1
    """Each pixel of a buffer is shown so many pixels wide and high; everything else is in the display's pixels."""
