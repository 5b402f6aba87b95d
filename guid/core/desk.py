"""Where an AppVM's windows may be: never over the panels by their own wish, never without a border that can be seen.

A window manager looks after managed windows, and the user may put those anywhere. Override-redirect windows (menus,
tooltips) are on their own, so their whole frame is kept inside the work area, and one that would cover nearly all of it
is made a managed window: it could show a desktop of its own.
"""

from dataclasses import dataclass
from typing import Final

from guid.core.host_events import ScreenInfo
from guid.core.trusted import Geometry

_COVERS_TOO_MUCH: Final = 0.9


@dataclass(frozen=True, slots=True)
class Desk:
    """The screen, and how wide a border the VM's windows have. Geometry is that of a window's content."""

    screen: ScreenInfo
    border_width: int
    border_managed: bool

    def border(self, *, override_redirect: bool) -> int:
        """The border's width in pixels, outside the content on each side."""
        return self.border_width if override_redirect or self.border_managed else 0

    def may_override(self, geometry: Geometry) -> bool:
        """Whether a window of that size, border included, leaves at least a tenth of the work area free."""
        border, area = self.border_width, self.screen.work_area
        frame = (geometry.width + 2 * border) * (geometry.height + 2 * border)
        return frame <= _COVERS_TOO_MUCH * area.width * area.height

    def keep_override(self, geometry: Geometry, *, mapped: bool) -> Geometry:
        """The closest place for an override-redirect window's content at which its frame is inside the work area.

        Too large a window is shrunk; one that grew while `mapped`, when it can no longer lose its privilege, to what
        `may_override` allows. A window that is wholly off the screen stays where it is: programs park some there.
        """
        border, area = self.border_width, self.screen.work_area
        width = max(1, min(geometry.width, area.width - 2 * border))
        height = max(1, min(geometry.height, area.height - 2 * border))
        if mapped and not self.may_override(Geometry(0, 0, width, height)):
            most = int(_COVERS_TOO_MUCH * area.width * area.height) // (width + 2 * border) - 2 * border
            height = max(1, min(height, most))
        if self._off_screen(Geometry(geometry.x, geometry.y, width, height)):
            return Geometry(geometry.x, geometry.y, width, height)
        return Geometry(
            _between(area.x + border, geometry.x, area.x + area.width - border - width),
            _between(area.y + border, geometry.y, area.y + area.height - border - height),
            width,
            height,
        )

    def keep_managed(self, geometry: Geometry) -> Geometry:
        """The closest place at which the top left corner of a managed window's frame is inside the work area."""
        border, area = self.border(override_redirect=False), self.screen.work_area
        return Geometry(
            _between(area.x + border, geometry.x, area.x + area.width - 1 + border),
            _between(area.y + border, geometry.y, area.y + area.height - 1 + border),
            geometry.width,
            geometry.height,
        )

    def filled(self) -> Geometry:
        """The content of a managed window whose frame fills the work area."""
        border, area = self.border(override_redirect=False), self.screen.work_area
        return Geometry(
            area.x + border, area.y + border, max(1, area.width - 2 * border), max(1, area.height - 2 * border)
        )

    def _off_screen(self, geometry: Geometry) -> bool:
        border = self.border_width
        return (
            geometry.x + geometry.width + border <= 0
            or geometry.y + geometry.height + border <= 0
            or geometry.x - border >= self.screen.width
            or geometry.y - border >= self.screen.height
        )


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))
