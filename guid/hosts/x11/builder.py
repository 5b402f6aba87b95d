"""The X windows of a window are made, made again, and change between a menu's kind and a managed window's."""

from guid.core.trusted import Geometry, WindowId
from guid.hosts.base import HostConfig
from guid.hosts.x11 import requests as x
from guid.hosts.x11.frame import Frame
from guid.hosts.x11.properties import Properties
from guid.hosts.x11.window import HostWindow, WindowTable
from shm.xconn import XConnection


class Builder:
    """Builds frames as one VM's configuration says, and keeps them in the table."""

    def __init__(
        self, connection: XConnection, windows: WindowTable, properties: Properties, config: HostConfig, root: int
    ) -> None:
        self._connection = connection
        self._windows = windows
        self._properties = properties
        self._config = config
        self._root = root

    def reconfigure(self, config: HostConfig) -> list[HostWindow]:
        """The user has changed the settings; the windows whose border is another by them."""
        self._config = config
        return [window for window in self._windows if self.border_of(window) != window.frame.border]

    def border_of(self, window: HostWindow) -> int:
        """How wide a window's border is to be."""
        return self._config.tray_border if window.docked else self._border(window.override_redirect)

    def build(self, number: WindowId, geometry: Geometry, *, override_redirect: bool) -> HostWindow:
        """A new window, not mapped."""
        frame = self._frame(self._border(override_redirect))
        window = HostWindow(number, frame, geometry, override_redirect, frame.clamp(geometry))
        self._windows.add(window)
        self._make(window)
        return window

    def rebuild(self, window: HostWindow) -> None:
        """Its X windows are gone: the same with others."""
        self._windows.remove(window.id)
        for xid in window.frame.ids:
            self._connection.free_id(xid)
        window.frame = self._frame(window.frame.border)
        window.reparented = False
        window.asked.clear()
        self._windows.add(window)
        self._make(window)

    def redirect(self, window: HostWindow, override_redirect: bool) -> None:
        """An unmapped window is to be of the other kind."""
        window.override_redirect = override_redirect
        self._give_border(window, self._border(override_redirect))

    def make_icon(self, window: HostWindow) -> None:
        """An unmapped window is to be an icon in the notification area."""
        window.override_redirect = False
        self._give_border(window, self._config.tray_border)

    def _border(self, override_redirect: bool) -> int:
        config = self._config
        if override_redirect:
            return max(1, config.border_width)
        return config.border_width if config.border_managed else 0

    def _frame(self, border: int) -> Frame:
        outer, inner, right, bottom = (self._connection.new_id() for _ in range(4))
        return Frame(outer, inner, right, bottom, border)

    def _give_border(self, window: HostWindow, border: int) -> None:
        frame = window.frame
        requests: list[bytes] = []
        if border != frame.border:
            # A window manager would carry out the outer window's part of it later, after the bars have their places.
            requests = [
                self._redirected(window, True),
                *frame.set_border(border, window.geometry),
                *self._properties.size_hints(frame, window.hints),
            ]
        x.send(self._connection, [*requests, self._redirected(window, window.override_redirect)])

    @staticmethod
    def _redirected(window: HostWindow, override_redirect: bool) -> bytes:
        return x.change_attributes(window.frame.outer, {x.OVERRIDE_REDIRECT: int(override_redirect)})

    def _make(self, window: HostWindow) -> None:
        config, frame = self._config, window.frame
        color, background = config.label.color, config.background
        x.send(
            self._connection,
            [
                *frame.build(
                    self._root, window.geometry, color, background, override_redirect=window.override_redirect
                ),
                *self._properties.identity(frame, window.id),
                *self._properties.size_hints(frame, window.hints),
                frame.watch(),
            ],
        )
