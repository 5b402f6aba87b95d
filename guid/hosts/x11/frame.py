"""The border shows on all four sides of the content, whatever sizes a guest, a window manager or a race come up with.

A frame is an outer window in the label's colour with the content in an inner window, `border` pixels in. The inner one
is larger than any content, so that it need not follow when somebody resizes the outer one: what appears is background,
at once. Two bars lie above it, held to the right and the bottom side by the X server itself (window gravity). Guest
pixels are only ever put into the inner window, which the bars clip.
"""

from dataclasses import dataclass
from typing import Final

from guid.core.trusted import Geometry
from guid.hosts.x11 import requests as x

_LARGE: Final = 16640
"""More than any side of an outer window (16384 plus its border), and little enough for X's 16-bit coordinates."""
_MAX_BORDER: Final = 64
_MAX_SIDE: Final = 32767

_KEY_EVENTS: Final = 0x1 | 0x2
_BUTTON_EVENTS: Final = 0x4 | 0x8
_CROSSING_EVENTS: Final = 0x10 | 0x20
_MOTION_EVENTS: Final = 0x40
_KEYMAP_EVENTS: Final = 0x4000
_EXPOSURES: Final = 0x8000
_STRUCTURE_EVENTS: Final = 0x20000
_FOCUS_EVENTS: Final = 0x200000
_PROPERTY_EVENTS: Final = 0x400000
_OUTER_EVENTS: Final = _KEY_EVENTS | _KEYMAP_EVENTS | _STRUCTURE_EVENTS | _FOCUS_EVENTS | _PROPERTY_EVENTS
_INNER_EVENTS: Final = _BUTTON_EVENTS | _CROSSING_EVENTS | _MOTION_EVENTS | _EXPOSURES


@dataclass(slots=True)
class Frame:
    """The X windows of one window."""

    outer: int
    inner: int
    right: int
    bottom: int
    border: int

    def __post_init__(self) -> None:
        self.border = max(0, min(self.border, _MAX_BORDER))

    @property
    def ids(self) -> tuple[int, int, int, int]:
        return self.outer, self.inner, self.right, self.bottom

    def build(
        self, root: int, geometry: Geometry, color: int, background: int, *, override_redirect: bool
    ) -> list[bytes]:
        """Make the windows, unmapped on the outside. `watch` is to follow."""
        place = self.clamp(geometry)
        border = self.border
        width, height = place.width + 2 * border, place.height + 2 * border
        attributes = {x.BACK_PIXEL: color, x.BIT_GRAVITY: x.NORTH_WEST}
        return [
            x.create_window(
                self.outer, root, place.x - border, place.y - border, width, height,
                attributes | {x.OVERRIDE_REDIRECT: int(override_redirect)},
            ),
            x.create_window(
                self.inner, self.outer, border, border, _LARGE, _LARGE,
                {x.BACK_PIXEL: background, x.BIT_GRAVITY: x.NORTH_WEST, x.EVENT_MASK: _INNER_EVENTS},
            ),
            x.create_window(
                self.right, self.outer, width - border, 0, max(1, border), _LARGE,
                {x.BACK_PIXEL: color, x.WIN_GRAVITY: x.NORTH_EAST},
            ),
            x.create_window(
                self.bottom, self.outer, 0, height - border, _LARGE, max(1, border),
                {x.BACK_PIXEL: color, x.WIN_GRAVITY: x.SOUTH_WEST},
            ),
            x.map_subwindows(self.outer) if border else x.map_window(self.inner),
        ]  # fmt: skip

    def watch(self) -> bytes:
        """Ask for the outer window's events: after its first properties were set, each of which would make one."""
        return x.change_attributes(self.outer, {x.EVENT_MASK: _OUTER_EVENTS})

    def place(self, geometry: Geometry) -> list[bytes]:
        """Move and resize so that the content is at `geometry` (clamped). A window manager may change the outcome."""
        place = self.clamp(geometry)
        border = self.border
        values = {
            x.X: place.x - border,
            x.Y: place.y - border,
            x.WIDTH: place.width + 2 * border,
            x.HEIGHT: place.height + 2 * border,
        }
        return [x.configure_window(self.outer, values)]

    def set_border(self, border: int, geometry: Geometry) -> list[bytes]:
        """Another border width, the content staying at `geometry`. For unmapped windows."""
        self.border = border = max(0, min(border, _MAX_BORDER))
        place = self.clamp(geometry)
        bars = (self.right, self.bottom)
        return [
            *self.place(geometry),
            x.configure_window(self.inner, {x.X: border, x.Y: border}),
            x.configure_window(self.right, {x.X: place.width + border, x.Y: 0, x.WIDTH: max(1, border)}),
            x.configure_window(self.bottom, {x.X: 0, x.Y: place.height + border, x.HEIGHT: max(1, border)}),
            *(x.map_window(bar) if border else x.unmap_window(bar) for bar in bars),
        ]

    def reborder(self, border: int, outer_width: int, outer_height: int) -> list[bytes]:
        """Another border width for a window whose outer size that is, and stays until `place` follows.

        The bars must lie right for the size that the X server has: whatever size comes next moves them along.
        """
        self.border = border = max(0, min(border, _MAX_BORDER))
        bar = max(1, border)
        return [
            x.configure_window(self.inner, {x.X: border, x.Y: border}),
            x.configure_window(self.right, {x.X: outer_width - border, x.Y: 0, x.WIDTH: bar}),
            x.configure_window(self.bottom, {x.X: 0, x.Y: outer_height - border, x.HEIGHT: bar}),
            *(x.map_window(side) if border else x.unmap_window(side) for side in (self.right, self.bottom)),
        ]

    def content_size(self, outer_width: int, outer_height: int) -> tuple[int, int]:
        """What an outer window of that size leaves for the content."""
        return max(1, outer_width - 2 * self.border), max(1, outer_height - 2 * self.border)

    def clamp(self, geometry: Geometry) -> Geometry:
        """The nearest geometry that X can express: no side is 0, and no far edge passes 32767."""
        border = self.border
        width = max(1, min(geometry.width, _MAX_SIDE - 2 * border))
        height = max(1, min(geometry.height, _MAX_SIDE - 2 * border))
        return Geometry(
            max(border - _MAX_SIDE, min(geometry.x, _MAX_SIDE - border - max(width + border, _LARGE))),
            max(border - _MAX_SIDE, min(geometry.y, _MAX_SIDE - border - max(height + border, _LARGE))),
            width,
            height,
        )
