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
    KeyEvent,
    MappedEvent,
    MotionEvent,
    ScreenEvent,
    ScreenInfo,
    StateEvent,
)
from guid.core.trusted import CursorName, Geometry, Label, SizeHints, StateFlags, Title, WindowClass, WindowId
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
    "MappedEvent",
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
        """Remove it; its buffer is detached."""

    @abstractmethod
    def map(self, window: WindowId, *, override_redirect: bool, transient_for: WindowId | None) -> None:
        """Show it, on top if it is override-redirect."""

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
    def set_hints(self, window: WindowId, hints: SizeHints) -> None:
        """Size hints of the content; the host adds its border."""

    @abstractmethod
    def set_state(self, window: WindowId, set_: StateFlags, unset: StateFlags) -> None:
        """Fullscreen, minimised, demands attention."""

    @abstractmethod
    def set_cursor(self, window: WindowId, cursor: CursorName | None) -> None:
        """A cursor of the display's own theme; None is the default one."""

    @abstractmethod
    def dock(self, window: WindowId) -> None:
        """Put the window into the notification area, if there is one."""

    def sync(self) -> None:  # noqa: B027 - optional: there may be nobody to wait for
        """Send everything and wait until the display has done it. Not for every day: it waits."""

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
    allow_fullscreen: bool = False
    """Whether `set_state` may make a window fullscreen; if not, a window manager is asked to maximise it instead."""
    background: int = 0xFFFFFF
    scale: int = 1
    """Each pixel of a buffer is shown so many pixels wide and high; everything else is in the display's pixels."""
