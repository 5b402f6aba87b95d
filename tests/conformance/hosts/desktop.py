"""What the suite needs of a desktop to judge a display host: a user's hands and eyes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from Xlib import X
from Xlib.ext import xtest

from guid.core.host_events import ButtonEvent, ConfiguredEvent, HostEvent, KeyEvent
from guid.core.trusted import Geometry, WindowId
from guid.hosts.base import DisplayHost, HostConfig
from guid.hosts.headless.host import HeadlessHost
from guid.hosts.headless.window import HeadlessWindow
from guid.hosts.keysyms import keysym
from guid.hosts.scaled import ScaledHeadlessHost, ScaledX11Host, larger, smaller
from guid.hosts.x11.host import X11Host
from shm.xconn import XConnection
from tests.conformance.hosts.pictures import Picture, whole
from tests.xserver import XServer

DESKTOP = 0x000000
"""The colour where no window is."""


@dataclass(frozen=True)
class Shown:
    """A window as the desktop lists it."""

    title: str
    mapped: bool


class Desktop(ABC):
    """A host on a desktop of 800 x 600 pixels without a window manager.

    With a `scale` it is a desktop of so many times as many pixels, and each of those 800 x 600 is a square of them:
    borders are as many times as wide, so that all looks the same.
    """

    host: DisplayHost
    config: HostConfig

    def __init__(self, config: HostConfig, scale: int) -> None:
        self.config = config
        self.scale = scale
        self.host_config = self._scaled(config)
        self.local: dict[WindowId, int] = {}

    def reconfigure(self, config: HostConfig) -> None:
        """The user has changed the settings to these."""
        self.host.reconfigure(self._scaled(config))

    def _scaled(self, config: HostConfig) -> HostConfig:
        return replace(config, border_width=self.scale * config.border_width, scale=self.scale)

    def show(
        self, window: WindowId, geometry: Geometry, picture: Picture | None = None, *, override_redirect: bool = False
    ) -> None:
        """Create, map, attach and paint."""
        self.local[window] = self.host.create(window, geometry, override_redirect=override_redirect)
        self.host.map(window, override_redirect=override_redirect, transient_for=None)
        if picture is not None:
            self.host.attach(window, picture.pages, picture.width, picture.height)
            self.host.paint(window, whole(picture))

    def screenshot(self) -> NDArray[np.uint32]:
        """The settled desktop: u32 [600, 800], 0x00RRGGBB."""
        pixels, scale = self.pixels(), self.scale
        small = pixels[::scale, ::scale]
        assert np.array_equal(small.repeat(scale, 0).repeat(scale, 1), pixels), "every pixel is a square"
        return small

    def content(self, geometry: Geometry) -> NDArray[np.uint32]:
        """That part of a screenshot."""
        return self.screenshot()[geometry.y : geometry.y + geometry.height, geometry.x : geometry.x + geometry.width]

    @abstractmethod
    def settle(self) -> list[HostEvent]:
        """Wait until the host and the desktop have nothing more to tell each other."""

    @abstractmethod
    def pixels(self) -> NDArray[np.uint32]:
        """The settled desktop as it is: u32 [height, width], 0x00RRGGBB."""

    @abstractmethod
    def click(self, x: int, y: int, button: int) -> None:
        """Press and release a button there."""

    @abstractmethod
    def type_key(self, x: int, y: int, keycode: int) -> None:
        """Press and release a key with the pointer there."""

    @abstractmethod
    def give_keys(self, keys: Mapping[str, int]) -> None:
        """Let these keycodes type these keysyms, and nothing else."""

    @abstractmethod
    def move(self, window: WindowId, geometry: Geometry) -> None:
        """As a window manager does: put the content there."""

    @abstractmethod
    def windows(self) -> list[Shown]:
        """The host's windows, the lowest first."""


class X11Desktop(Desktop):
    """A second client of the same X server looks and types."""

    def __init__(self, server: XServer, config: HostConfig, scale: int = 1) -> None:
        super().__init__(config, scale)
        kind = ScaledX11Host if scale > 1 else X11Host
        self.host: X11Host = kind(self.host_config, server.display)
        self._connection = XConnection(server.display)
        self.display: Any = self._connection.display
        self.root: Any = self.display.screen().root

    def settle(self) -> list[HostEvent]:
        events: list[HostEvent] = []
        for _ in range(4):  # what happens, what the host asks about it or paints, the answer, and one to spare
            self._connection.sync()
            self.host.sync()
            events += self.host.events()
        return events

    def pixels(self) -> NDArray[np.uint32]:
        self.settle()
        size = self.root.get_geometry()
        image = self.root.get_image(0, 0, size.width, size.height, X.ZPixmap, 0xFFFFFFFF)
        pixels: NDArray[np.uint32] = np.frombuffer(image.data, "<u4").reshape(size.height, size.width)
        return pixels & np.uint32(0xFFFFFF)

    def click(self, x: int, y: int, button: int) -> None:
        self.point(x, y)
        xtest.fake_input(self.display, X.ButtonPress, button)
        xtest.fake_input(self.display, X.ButtonRelease, button)
        self._connection.sync()

    def type_key(self, x: int, y: int, keycode: int) -> None:
        self.point(x, y)
        xtest.fake_input(self.display, X.KeyPress, keycode)
        xtest.fake_input(self.display, X.KeyRelease, keycode)
        self._connection.sync()

    def give_keys(self, keys: Mapping[str, int]) -> None:
        for name, keycode in keys.items():
            self.display.change_keyboard_mapping(keycode, [(keysym(name), 0)])
        self._connection.sync()

    def point(self, x: int, y: int) -> None:
        """Move the pointer there."""
        xtest.fake_input(self.display, X.MotionNotify, x=self.scale * x, y=self.scale * y)
        self._connection.sync()

    def move(self, window: WindowId, geometry: Geometry) -> None:
        self.settle()
        border, geometry = self.host_config.border_width, larger(geometry, self.scale)
        self.display.create_resource_object("window", self.local[window]).configure(
            x=geometry.x - border, y=geometry.y - border,
            width=geometry.width + 2 * border, height=geometry.height + 2 * border,
        )  # fmt: skip
        self._connection.sync()

    def windows(self) -> list[Shown]:
        self.settle()
        ours = set(self.local.values())
        name, kind = (self.display.get_atom(atom) for atom in ("_NET_WM_NAME", "UTF8_STRING"))
        return [
            Shown(
                child.get_full_property(name, kind).value.decode(),
                child.get_attributes().map_state == X.IsViewable,
            )
            for child in self.root.query_tree().children
            if child.id in ours
        ]

    def received(self) -> list[Any]:
        """Events of the second client."""
        self._connection.sync()
        return list(self._connection.events())

    def close(self) -> None:
        self.host.close()
        self._connection.close()


class HeadlessDesktop(Desktop):
    """The user is whoever injects events."""

    def __init__(self, config: HostConfig, scale: int = 1) -> None:
        super().__init__(config, scale)
        kind = ScaledHeadlessHost if scale > 1 else HeadlessHost
        self.host: HeadlessHost = kind(self.host_config, (scale * 800, scale * 600), DESKTOP)

    def settle(self) -> list[HostEvent]:
        return list(self.host.events())

    def pixels(self) -> NDArray[np.uint32]:
        return self.host.frame()

    def click(self, x: int, y: int, button: int) -> None:
        window = self._under(x, y)
        for pressed in (True, False):
            self.host.inject(ButtonEvent(window.id, pressed, button, *self._within(window, x, y), 0))

    def type_key(self, x: int, y: int, keycode: int) -> None:
        window = self._under(x, y)
        for pressed in (True, False):
            self.host.inject(KeyEvent(window.id, pressed, keycode, *self._within(window, x, y), 0))

    def give_keys(self, keys: Mapping[str, int]) -> None:
        self.host.set_keyboard({name: frozenset({keycode}) for name, keycode in keys.items()})

    def move(self, window: WindowId, geometry: Geometry) -> None:
        self.host.inject(ConfiguredEvent(window, larger(geometry, self.scale)))

    def windows(self) -> list[Shown]:
        return [Shown(window.title.text if window.title else "", window.mapped) for window in self.host.windows()]

    def close(self) -> None:
        self.host.close()

    def _within(self, window: HeadlessWindow, x: int, y: int) -> tuple[int, int]:
        """In the coordinates that the host itself has."""
        return x * self.scale - window.geometry.x, y * self.scale - window.geometry.y

    def _under(self, x: int, y: int) -> HeadlessWindow:
        def hit(window: HeadlessWindow) -> bool:
            place = smaller(window.geometry, self.scale)
            return place.x <= x < place.x + place.width and place.y <= y < place.y + place.height

        return [window for window in self.host.windows() if window.mapped and hit(window)][-1]


@contextmanager
def x11_desktop(server: XServer, config: HostConfig, scale: int = 1) -> Iterator[X11Desktop]:
    """Closed at the end."""
    desktop = X11Desktop(server, config, scale)
    try:
        yield desktop
    finally:
        desktop.close()
