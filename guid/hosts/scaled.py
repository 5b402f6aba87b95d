"""Windows `scale` times as large as their VM thinks: for displays whose pixels are too small for the VM's programs.

Mixed into a display host, this translates places and sizes, one way for what is asked of the host and the other way for
what it reports. The host itself draws: each pixel of a buffer becomes a square. The border is of the display's pixels.

A window manager gives windows sizes that are no multiple of the scale. The VM's window is then a pixel larger than what
can be seen of it, so that no strip stays empty, and the display's window is left as it is.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from guid.core.host_events import (
    ButtonEvent,
    ConfiguredEvent,
    CrossingEvent,
    HostEvent,
    KeyEvent,
    MotionEvent,
    ScreenEvent,
    ScreenInfo,
)
from guid.core.trusted import Geometry, HintFlags, SizeHints, WindowId
from guid.hosts.base import DesktopInfo, DisplayHost, HostConfig
from guid.hosts.headless.host import HeadlessHost
from guid.hosts.x11.host import X11Host
from qubesdb.keys import Monitor

_ORDINARY_DPI = 150
_MM_PER_INCH = 25.4


class Scaled(DisplayHost):
    """To be mixed in before a host whose `HostConfig.scale` is above 1."""

    def __init__(self, config: HostConfig, *more: Any) -> None:
        self._scale = config.scale
        self._places: dict[WindowId, Geometry] = {}
        """Where the contents are on the display, as last asked for or reported."""
        super().__init__(config, *more)  # type: ignore[call-arg] # the next class's, a host

    @property
    def _host(self) -> Any:
        """The methods of the host that this is mixed into."""
        return super()

    def screen(self) -> ScreenInfo:
        return smaller_screen(self._host.screen(), self._scale)

    def desktop(self) -> DesktopInfo:
        desktop: DesktopInfo = self._host.desktop()
        return replace(desktop, monitors=tuple(smaller_monitor(found, self._scale) for found in desktop.monitors))

    def events(self) -> Sequence[HostEvent]:
        return [self._translated(event) for event in self._host.events()]

    def create(self, window: WindowId, geometry: Geometry, *, override_redirect: bool) -> int:
        place = self._places[window] = larger(geometry, self._scale)
        local: int = self._host.create(window, place, override_redirect=override_redirect)
        self.set_hints(window, SizeHints(HintFlags(0)))
        return local

    def destroy(self, window: WindowId) -> None:
        del self._places[window]
        self._host.destroy(window)

    def configure(self, window: WindowId, geometry: Geometry) -> None:
        before, scale = self._places[window], self._scale
        seen, wished = smaller(before, scale), larger(geometry, scale)
        # What does not change for the VM does not change on the display.
        place = self._places[window] = Geometry(
            before.x if geometry.x == seen.x else wished.x,
            before.y if geometry.y == seen.y else wished.y,
            before.width if geometry.width == seen.width else wished.width,
            before.height if geometry.height == seen.height else wished.height,
        )
        self._host.configure(window, place)

    def set_hints(self, window: WindowId, hints: SizeHints) -> None:
        self._host.set_hints(window, larger_hints(hints, self._scale))

    def _translated(self, event: HostEvent) -> HostEvent:
        scale = self._scale
        match event:
            case KeyEvent() | ButtonEvent() | MotionEvent() | CrossingEvent():
                return replace(event, x=event.x // scale, y=event.y // scale)
            case ConfiguredEvent(window, geometry):
                self._places[window] = geometry
                return ConfiguredEvent(window, smaller(geometry, scale))
            case ScreenEvent(screen):
                return ScreenEvent(smaller_screen(screen, scale))
        return event


class ScaledX11Host(Scaled, X11Host):
    """See both."""


class ScaledHeadlessHost(Scaled, HeadlessHost):
    """See both."""


def larger(place: Geometry, scale: int) -> Geometry:
    """The VM's place and size as the display's."""
    return Geometry(place.x * scale, place.y * scale, place.width * scale, place.height * scale)


def smaller(place: Geometry, scale: int) -> Geometry:
    """The display's place and size as the VM's: of pixels that are seen in part, all."""
    return Geometry(place.x // scale, place.y // scale, -(-place.width // scale), -(-place.height // scale))


def smaller_screen(screen: ScreenInfo, scale: int) -> ScreenInfo:
    """The screen as the VM's; its work area is no larger than the display's."""
    area = screen.work_area
    left, top = -(-area.x // scale), -(-area.y // scale)
    right, bottom = (area.x + area.width) // scale, (area.y + area.height) // scale
    inside = Geometry(left, top, max(1, right - left), max(1, bottom - top))
    return ScreenInfo(-(-screen.width // scale), -(-screen.height // scale), screen.depth, inside)


def smaller_monitor(monitor: Monitor, scale: int) -> Monitor:
    """The monitor as the VM's. Its millimetres go unless its pixels are still small."""
    place = smaller(Geometry(monitor.x, monitor.y, monitor.width, monitor.height), scale)
    fine = monitor.mm_width and place.width * _MM_PER_INCH / monitor.mm_width >= _ORDINARY_DPI
    mm = (monitor.mm_width, monitor.mm_height) if fine else (0, 0)
    return Monitor(place.width, place.height, place.x, place.y, *mm)


def larger_hints(hints: SizeHints, scale: int) -> SizeHints:
    """The hints as the display's: sizes are multiples of the scale, as far as the window manager cares."""
    step = (hints.width_inc, hints.height_inc) if HintFlags.P_RESIZE_INC in hints.flags else (1, 1)
    return SizeHints(
        hints.flags | HintFlags.P_RESIZE_INC,
        hints.min_width * scale, hints.min_height * scale, hints.max_width * scale, hints.max_height * scale,
        step[0] * scale, step[1] * scale, hints.base_width * scale, hints.base_height * scale,
    )  # fmt: skip
