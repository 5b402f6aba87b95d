"""The table of a VM's windows: every id that a command or an event names is in it, or the agent broke a rule."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypedDict

from guid.core.config import Quotas
from guid.core.placement import Placement
from guid.core.trusted import Title, WindowId
from guiproto.errors import PeerMisbehaved

_CHAIN: Final = 32


@dataclass(slots=True)
class Window:
    """What the daemon knows of one window."""

    id: WindowId
    placement: Placement
    override_redirect: bool
    mapped: bool = False
    """Whether the user can see it: False also while it is minimised."""
    minimised: bool = False
    """Whether the window manager hid it, and not the VM."""
    docked: bool = False
    transient_for: WindowId | None = None
    title: Title | None = None
    buffer: tuple[int, int] | None = None
    """Width and height of the attached buffer, in pixels."""
    pages: int = 0
    damage_rects: int = 0
    """How many were painted so far."""
    hides_border: bool = False
    """Whether it is fullscreen because its VM wished so."""
    maximized: bool = False
    """Whether the window manager has it maximised."""
    instead: bool = False
    """Whether it is maximised instead of fullscreen, which its program believes it is."""
    keeps_maximized: bool = False
    """Whether the user had it maximised before that."""


class WindowInfo(TypedDict):
    """One row of `guid windows --json`, as far as the session knows it. Sizes in pixels, of the content."""

    remote_id: int
    title: str
    x: int
    y: int
    width: int
    height: int
    mapped: bool
    override_redirect: bool
    transient_for: int | None
    docked: bool
    buffer_width: int | None
    buffer_height: int | None
    damage_rects: int


class WindowTable:
    """Windows by the agent's id, and how much of the quotas they use."""

    def __init__(self, quotas: Quotas) -> None:
        self.quotas = quotas
        """May be changed: what is there already stays."""
        self._windows: dict[int, Window] = {}
        self._refused: set[int] = set()
        self.pages = 0
        """Of all buffers."""
        self.icons = 0
        """How many are docked."""

    def __iter__(self) -> Iterator[Window]:
        return iter(self._windows.values())

    def __len__(self) -> int:
        return len(self._windows)

    def find(self, number: int) -> Window | None:
        """The window, or None where there is none: for events of the desktop, which may come late."""
        return self._windows.get(number)

    def get(self, number: int) -> Window | None:
        """The window that a message is about, or None where its creation was refused: then the message is moot.

        Raises PeerMisbehaved where there is no such window.
        """
        window = self._windows.get(number)
        if window is None and number not in self._refused:
            raise PeerMisbehaved("unknown window", f"0x{number:x}")
        return window

    def knows(self, number: int) -> bool:
        """Whether `get` would not raise."""
        return number in self._windows or number in self._refused

    def has_room(self, number: int) -> bool:
        """Whether window `number` may be created; if not, its id is remembered as refused.

        Raises PeerMisbehaved where the window exists already, or too many have been refused.
        """
        if number in self._windows or number in self._refused:
            raise PeerMisbehaved("window exists already", f"0x{number:x}")
        if len(self._windows) < self.quotas.windows:
            return True
        if len(self._refused) >= self.quotas.refused:
            raise PeerMisbehaved("quota: windows", f"{self.quotas.refused} more than {self.quotas.windows} windows")
        self._refused.add(number)
        return False

    def add(self, window: Window) -> None:
        """Enter a window that there was room for."""
        self._windows[window.id] = window

    def remove(self, number: int) -> None:
        """Forget a window or a refused id; nothing is transient for it any more."""
        window = self._windows.pop(number, None)
        if window is None:
            self._refused.discard(number)
            return
        self.pages -= window.pages
        self.icons -= window.docked
        for other in self._windows.values():
            if other.transient_for == number:
                other.transient_for = None

    def has_pages(self, window: Window, pages: int) -> bool:
        """Whether the quota allows `window` a buffer of so many pages instead of the one it has."""
        return (self.pages - window.pages + pages) * self.quotas.page_weight <= self.quotas.pages

    def attach(self, window: Window, size: tuple[int, int] | None, pages: int) -> None:
        """Note the window's buffer, or that it has none."""
        self.pages += pages - window.pages
        window.buffer, window.pages = size, pages

    def dock(self, window: Window) -> bool:
        """Note that it is an icon in the notification area, if the quota allows one more; whether it does."""
        if self.icons >= self.quotas.tray_icons:
            return False
        window.docked = True
        self.icons += 1
        return True

    def owner(self, window: Window, number: int) -> WindowId | None:
        """The window that `window` is transient for if it says it is for `number`: None unless that makes sense.

        Never a circle, because window managers walk such chains to their end; one too long to check counts as one.
        """
        seen = self._windows.get(number)
        for _ in range(_CHAIN):
            if seen is None or seen is window:
                break
            if seen.transient_for is None:
                return WindowId(number)
            seen = self._windows.get(seen.transient_for)
        return None

    def info(self) -> list[WindowInfo]:
        """What is known of each window."""
        return [_info(window) for window in self]


def _info(window: Window) -> WindowInfo:
    shown = window.placement.shown
    width, height = window.buffer or (None, None)
    return WindowInfo(
        remote_id=window.id,
        title=window.title.text if window.title is not None else "",
        x=shown.x,
        y=shown.y,
        width=shown.width,
        height=shown.height,
        mapped=window.mapped,
        override_redirect=window.override_redirect,
        transient_for=window.transient_for,
        docked=window.docked,
        buffer_width=width,
        buffer_height=height,
        damage_rects=window.damage_rects,
    )
