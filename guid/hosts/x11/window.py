"""What the host knows of each window it shows, found by the AppVM's number for it or by an X window of its frame."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from guid.core.trusted import Geometry, Icon, SizeHints, StateFlags, WindowId
from guid.hosts.x11.buffers import Buffer
from guid.hosts.x11.frame import Frame

_ECHOES: Final = 16
_NO_FLAGS: Final = StateFlags(0)


@dataclass(slots=True)
class HostWindow:
    """One window. `geometry` is the content's, as far as the core has been told."""

    id: WindowId
    frame: Frame
    geometry: Geometry
    override_redirect: bool
    seen: Geometry
    """Where the X server last said the content is."""
    sightings: int = 0
    """How often it said something about that."""
    mapped: bool = False
    """Whether the core wants it on the screen."""
    visible: bool = False
    """Whether it is mapped, as far as the core has been told; a window manager may differ from the core's wish."""
    mapping_serial: int = 0
    """The last of our own requests that maps or unmaps it: what happened before that is no news."""
    reparented: bool = False
    """Whether a window manager put it into a frame of its own, so that X's coordinates are relative to that."""
    mapping_turn: int = 0
    """How often it was to be mapped: what was found out for an earlier time does not count."""
    asked: deque[Geometry] = field(default_factory=lambda: deque(maxlen=_ECHOES))
    """Geometries that we asked for and that no event has confirmed yet, oldest first; of a flood, the last ones."""
    asking_serial: int = 0
    """The last of our own requests for a geometry."""
    owner: WindowId | None = None
    """The window that it is transient for."""
    buffer: Buffer | None = None
    hints: SizeHints | None = None
    states: set[int] = field(default_factory=set)
    """_NET_WM_STATE as asked for, or as the window manager last had it."""
    flags: StateFlags = _NO_FLAGS
    """The states that the core knows of."""
    maximized: bool = False
    """Whether the core knows it as maximised."""
    restore: Geometry | None = None
    """Where it was before it was maximised with no window manager to do that."""
    wants_minimized: bool = False
    has_icon: bool = False
    icon: Icon | None = None
    """The VM's own, if it has said one."""
    docked: bool = False
    """Whether it is an icon in the notification area, or waits for one."""
    tray: int = 0
    """The panel's window that was asked to embed it."""
    urgent: bool = False
    asking_states: bool = False
    states_changed: bool = False
    """Whether _NET_WM_STATE changed again since the question for it was asked."""


class WindowTable:
    """All windows of the host."""

    def __init__(self) -> None:
        self.by_id: dict[WindowId, HostWindow] = {}
        self._by_xid: dict[int, HostWindow] = {}

    def add(self, window: HostWindow) -> None:
        self.by_id[window.id] = window
        self._by_xid[window.frame.outer] = window
        self._by_xid[window.frame.inner] = window

    def remove(self, id_: WindowId) -> HostWindow:
        """Forget the window. KeyError if there is none."""
        window = self.by_id.pop(id_)
        del self._by_xid[window.frame.outer]
        del self._by_xid[window.frame.inner]
        return window

    def __getitem__(self, id_: WindowId) -> HostWindow:
        return self.by_id[id_]

    def get(self, id_: WindowId) -> HostWindow | None:
        return self.by_id.get(id_)

    def find(self, xid: int) -> HostWindow | None:
        """The window that has `xid` as its outer or inner one. None for events of windows that are gone."""
        return self._by_xid.get(xid)

    def __iter__(self) -> Iterator[HostWindow]:
        return iter(self.by_id.values())

    def __len__(self) -> int:
        return len(self.by_id)
