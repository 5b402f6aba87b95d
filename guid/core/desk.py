"""Where an AppVM's windows may be: never over the panels by their own wish, never without a border that can be seen.

A window manager looks after managed windows, and the user may put those anywhere. Override-redirect windows (menus,
tooltips) are on their own, so their whole frame is kept inside the work area, and one with which they would cover
nearly all of it is made a managed window: they could show a desktop of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from guid.core.coverage import covered
from guid.core.host_events import ScreenInfo
from guid.core.trusted import Geometry

_COVERS_TOO_MUCH: Final = 0.9


@dataclass(frozen=True, slots=True)
class Desk:
    """The screen, and how wide a border the VM's windows have. Geometry is that of a window's content.

    `protected`: whether override-redirect windows may not cover nearly everything.
    """

    screen: ScreenInfo
    border_width: int
    border_managed: bool
    protected: bool = True

    def border(self, *, override_redirect: bool) -> int:
        """The border's width in pixels, outside the content on each side."""
        return self.border_width if override_redirect or self.border_managed else 0

    def may_override(self, geometry: Geometry, others: Sequence[Geometry] = ()) -> bool:
        """Whether a window, border included, leaves a tenth of the work area free: by its size alone, wherever it is,
        and together with the `others` where they all are.
        """
        if not self.protected:
            return True
        most = _COVERS_TOO_MUCH * self.screen.work_area.width * self.screen.work_area.height
        frames = [self._frame(one) for one in (geometry, *others)]
        sizes = [frame.width * frame.height for frame in frames]
        if sizes[0] > most:
            return False
        return sum(sizes) <= most or covered(frames, self.screen.work_area) <= most

    def keep_override(self, geometry: Geometry, *, mapped: bool, others: Sequence[Geometry] = ()) -> Geometry:
        """The closest place for an override-redirect window's content at which its frame is inside the work area.

        Too large a window is shrunk; one that grew or moved while `mapped`, when it can no longer lose its privilege,
        to what `may_override` allows, or a height of 1. A window that is wholly off the screen stays where it is:
        programs park some there.
        """
        border, area = self.border_width, self.screen.work_area
        width = max(1, min(geometry.width, area.width - 2 * border))
        height = max(1, min(geometry.height, area.height - 2 * border))
        kept = Geometry(geometry.x, geometry.y, width, height)
        if not self._off_screen(kept):
            x = _between(area.x + border, geometry.x, area.x + area.width - border - width)
            y = _between(area.y + border, geometry.y, area.y + area.height - border - height)
            kept = Geometry(x, y, width, height)
        return self._shrunk(kept, others) if mapped else kept

    def keep_managed(self, geometry: Geometry) -> Geometry:
        """The closest place at which the top left corner of a managed window's frame is inside the work area."""
        border, area = self.border(override_redirect=False), self.screen.work_area
        return Geometry(
            _between(area.x + border, geometry.x, area.x + area.width - 1 + border),
            _between(area.y + border, geometry.y, area.y + area.height - 1 + border),
            geometry.width,
            geometry.height,
        )

    def _shrunk(self, geometry: Geometry, others: Sequence[Geometry]) -> Geometry:
        """No higher than it may be where it is."""
        if self.may_override(geometry, others):
            return geometry
        fits, too_high = 1, geometry.height
        while too_high - fits > 1:
            middle = (fits + too_high) // 2
            if self.may_override(replace(geometry, height=middle), others):
                fits = middle
            else:
                too_high = middle
        return replace(geometry, height=fits)

    def _frame(self, geometry: Geometry) -> Geometry:
        border = self.border_width
        return Geometry(
            geometry.x - border, geometry.y - border, geometry.width + 2 * border, geometry.height + 2 * border
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
