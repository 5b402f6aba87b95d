"""Shows one VM's windows in an array of pixels: borders, stacking and contents are what an X server would show.

There is no user and no window manager: nothing happens that was not injected.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from backends.base import MappedPages
from guid.core.host_events import (
    ConfiguredEvent,
    HostEvent,
    KeyboardEvent,
    MappedEvent,
    MaximizedEvent,
    ScreenEvent,
    ScreenInfo,
)
from guid.core.trusted import CursorName, Geometry, Icon, SizeHints, StateFlags, Title, WindowClass, WindowId
from guid.hosts.base import DesktopInfo, DisplayHost, HostConfig, Rects
from guid.hosts.headless.window import Buffer, HeadlessWindow, Pixels
from guiproto.limits import BYTES_PER_PIXEL
from qubesdb.keys import Monitor

_DEPTH: Final = 24


class HeadlessHost(DisplayHost):
    """See `DisplayHost`. `size` is the desktop's in pixels, `desktop` the colour where no window is."""

    copies = 1

    def __init__(self, config: HostConfig, size: tuple[int, int] = (2048, 1280), desktop: int = 0x000000) -> None:
        self._config = config
        self._screen = ScreenInfo(*size, _DEPTH, Geometry(0, 0, *size))
        self._desktop = desktop
        self._windows: dict[WindowId, HeadlessWindow] = {}
        self._stack: list[WindowId] = []
        self._happened: list[HostEvent] = []
        self._last_local_id = 0
        self._keys: Mapping[str, frozenset[int]] = {}

    # --- for tests and tools ---

    def inject(self, event: HostEvent) -> None:
        """Let it happen, as if a user or a window manager had done it; `events` reports it next."""
        if isinstance(event, ConfiguredEvent):
            self._windows[event.window].place(event.geometry)
        elif isinstance(event, MappedEvent):
            self._windows[event.window].mapped = event.mapped
        elif isinstance(event, ScreenEvent):
            self._screen = event.screen
        self._happened.append(event)

    def set_keyboard(self, keys: Mapping[str, frozenset[int]]) -> None:
        """Let there be a keyboard with these keys: keycodes by name."""
        self._keys = dict(keys)
        self._happened.append(KeyboardEvent())

    def frame(self) -> Pixels:
        """The desktop: u32 [height, width], 0x00RRGGBB."""
        screen = self._screen
        frame = np.full((screen.height, screen.width), self._desktop, np.uint32)
        for window in self.windows():
            if window.mapped:
                place, border = window.geometry, window.border
                x, y = place.x - border, place.y - border
                outer = Geometry(x, y, place.width + 2 * border, place.height + 2 * border)
                into, _ = _overlap(frame, outer)
                frame[into] = self._config.label.color
                into, part = _overlap(frame, place)
                frame[into] = window.pixels(part)
        return frame

    def save(self, path: Path | str) -> None:
        """Write the desktop as a PNG."""
        rgbx = self.frame().astype("<u4").view(np.uint8).reshape(self._screen.height, self._screen.width, 4)
        Image.fromarray(np.ascontiguousarray(rgbx[:, :, 2::-1])).save(path, format="PNG")

    def windows(self) -> Iterator[HeadlessWindow]:
        """All windows, the lowest first."""
        return (self._windows[window] for window in self._stack)

    # --- the contract ---

    def fileno(self) -> int:
        return -1

    def screen(self) -> ScreenInfo:
        return self._screen

    def desktop(self) -> DesktopInfo:
        return DesktopInfo(None, (Monitor(self._screen.width, self._screen.height, 0, 0),))

    def events(self) -> Sequence[HostEvent]:
        happened, self._happened = self._happened, []
        return happened

    def keycodes(self, key: str) -> frozenset[int]:
        return self._keys.get(key, frozenset())

    def flush(self) -> None:
        """Everything is where it belongs already."""

    def create(self, window: WindowId, geometry: Geometry, *, override_redirect: bool) -> int:
        assert window not in self._windows, "a window is created once"
        border = self._border(override_redirect)
        background, scale = self._config.background, self._config.scale
        self._windows[window] = HeadlessWindow(window, geometry, override_redirect, border, background, scale)
        self._stack.append(window)
        self._last_local_id += 1
        return self._last_local_id

    def destroy(self, window: WindowId) -> None:
        del self._windows[window]
        for other in self._windows.values():
            if other.transient_for == window:
                other.transient_for = None
        self._stack.remove(window)

    def map(self, window: WindowId, *, override_redirect: bool, transient_for: WindowId | None) -> None:
        shown = self._windows[window]
        shown.override_redirect = override_redirect
        shown.border = self._border(override_redirect)
        self.set_transient_for(window, transient_for)
        if override_redirect:
            self._stack.remove(window)
            self._stack.append(window)
        if not shown.mapped:
            shown.mapped = True
            shown.clear()

    def unmap(self, window: WindowId) -> None:
        self._windows[window].mapped = False

    def configure(self, window: WindowId, geometry: Geometry) -> None:
        self._windows[window].place(geometry)

    def attach(self, window: WindowId, pages: MappedPages, width: int, height: int) -> None:
        assert width * height * BYTES_PER_PIXEL <= pages.length, "a buffer outside its pages"
        self._windows[window].buffer = Buffer(pages, width, height)

    def detach(self, window: WindowId) -> None:
        self._windows[window].buffer = None

    def paint(self, window: WindowId, rects: Rects) -> None:
        shown = self._windows[window]
        if shown.mapped:
            shown.paint(rects)

    def set_title(self, window: WindowId, title: Title) -> None:
        prefix = f"[{self._config.vm_name}] " if self._config.title_prefix else ""
        self._windows[window].title = Title(prefix + title.text)

    def set_class(self, window: WindowId, name: WindowClass) -> None:
        vm = self._config.vm_name
        self._windows[window].class_ = WindowClass(f"{vm}:{name.name}", f"{vm}:{name.class_}")

    def set_icon(self, window: WindowId, icon: Icon | None) -> None:
        self._windows[window].icon = icon

    def set_hints(self, window: WindowId, hints: SizeHints) -> None:
        self._windows[window].hints = hints

    def set_state(self, window: WindowId, set_: StateFlags, unset: StateFlags) -> None:
        changed = self._windows[window]
        changed.states = (changed.states | set_) & ~unset

    def maximize(self, window: WindowId, maximized: bool) -> None:
        changed = self._windows[window]
        if maximized is (changed.restore is not None):
            return
        area, border = self._screen.work_area, changed.border
        there = Geometry(area.x + border, area.y + border, area.width - 2 * border, area.height - 2 * border)
        place = changed.restore or there
        changed.restore = changed.geometry if maximized else None
        self.inject(ConfiguredEvent(window, place))
        self.inject(MaximizedEvent(window, maximized))

    def set_transient_for(self, window: WindowId, owner: WindowId | None) -> None:
        self._windows[window].transient_for = owner if owner in self._windows else None

    def set_cursor(self, window: WindowId, cursor: CursorName | None) -> None:
        self._windows[window].cursor = cursor

    def dock(self, window: WindowId) -> None:
        self._windows[window].docked = True

    def reconfigure(self, config: HostConfig) -> None:
        self._config = config
        for window in self._windows.values():
            window.border = self._border(window.override_redirect)

    def close(self) -> None:
        self._windows.clear()
        self._stack.clear()

    def _border(self, override_redirect: bool) -> int:
        config = self._config
        if override_redirect:
            return max(1, config.border_width)
        return config.border_width if config.border_managed else 0


def _overlap(frame: Pixels, place: Geometry) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where `place` and the frame overlap, in the frame's coordinates and in the place's own."""
    height, width = frame.shape
    left, top = max(0, place.x), max(0, place.y)
    right, bottom = max(left, min(width, place.x + place.width)), max(top, min(height, place.y + place.height))
    own = slice(top - place.y, bottom - place.y), slice(left - place.x, right - place.x)
    return (slice(top, bottom), slice(left, right)), own
