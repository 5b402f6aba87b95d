"""Every child of the root window that can show pixels is followed from its creation to its end, and reported.

The X server alone is believed: events that programs make up are ignored, except for messages to the window manager. A
window that is gone before its first event is read was never there. Its properties are read in time for `Mapped`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import Xlib.error
from Xlib import X
from Xlib.ext import shape as shape_requests
from Xlib.protocol import request as core_request

from guiagent.core.source_events import (
    Configured,
    Created,
    Destroyed,
    Docked,
    Mapped,
    SourceEvent,
    StateWished,
    Unmapped,
)
from guiagent.sources.x11 import requests
from guiagent.sources.x11.atoms import Atoms
from guiagent.sources.x11.audiences import Audiences
from guiagent.sources.x11.extensions import Extensions
from guiagent.sources.x11.properties import Hints, Properties
from guiagent.sources.x11.tray import Tray
from guiagent.sources.x11.window_manager import WindowManager
from guiproto.messages import WindowFlag
from shm.xconn import XConnection

_NO_FLAGS: Final = WindowFlag(0)


@dataclass(slots=True)
class Top:
    """A top-level window as the X server described it last."""

    id: int
    x: int
    y: int
    width: int
    height: int
    override_redirect: bool
    mapped: bool = False
    urgent: bool = False
    docked: bool = False


class Tree:
    """The top-level windows of one X server."""

    def __init__(
        self,
        connection: XConnection,
        found: Extensions,
        tops: dict[int, Top],
        atoms: Atoms,
        capture: Audiences,
        manager: WindowManager,
        tray: Tray,
        emit: Callable[[SourceEvent], None],
        on_screen: Callable[[int, int], None],
        on_stacked: Callable[[int], None],
    ) -> None:
        """`tops` is kept up to date for others to look into; `on_screen(width, height)` hears of the root's size.

        `on_stacked(window)` hears of a window that may have come to the top.
        """
        self.tops = tops
        self.properties = Properties(connection, atoms.__getitem__, self._hinted, self._states_set)
        self._connection = connection
        self._shape_major = found.shape.major
        self._display: Any = connection.display
        self._root: Any = self._display.screen().root
        self._capture = capture
        self._manager = manager
        self._tray = tray
        self._embedding = atoms["_XEMBED_INFO"]
        self._emit = emit
        self._on_screen = on_screen
        self._on_stacked = on_stacked
        self._handlers: dict[int, Callable[[Any], None]] = {
            X.CreateNotify: self._created,
            X.DestroyNotify: self._destroyed,
            X.MapNotify: self._mapped,
            X.UnmapNotify: self._unmapped,
            X.ReparentNotify: self._reparented,
            X.ConfigureNotify: self._configured,
            X.GravityNotify: self._gravitated,
            X.PropertyNotify: self._property_changed,
            X.ClientMessage: self._messaged,
        }

    def follow(self, mask: int = 0) -> None:
        """Report what is there, and what happens from now on. `mask`: events of the root window wanted besides."""
        self._root.change_attributes(event_mask=X.SubstructureNotifyMask | X.StructureNotifyMask | mask)
        for window in self._root.query_tree().children:
            self._adopt(window.id, fresh=False)
        self.refresh()

    def handle(self, event: Any) -> None:
        """A python-xlib event arrived."""
        handler = self._handlers.get(event.type)
        if handler is not None and (not event.send_event or event.type == X.ClientMessage):
            handler(event)

    def refresh(self) -> None:
        """Read and report properties that changed."""
        if self.properties.stale:
            for event in self.properties.refresh():
                self._emit(event)

    def report(self, window: int) -> None:
        """Say where the window is, if there still is one."""
        top = self.tops.get(window)
        if top is not None:
            self._emit(Configured(top.id, top.x, top.y, top.width, top.height, top.override_redirect))

    def stacking(self) -> Sequence[int]:
        """Ids from bottom to top; waits for the answer."""
        return [window.id for window in self._root.query_tree().children if window.id in self.tops]

    # --- windows come and go ---

    def _adopt(self, window: int, *, fresh: bool) -> None:
        """Follow a child of the root window. A `fresh` one's MapNotify is still to come."""
        if window in self.tops or self._is_ours(window):
            return
        self._connection.send_raw(requests.select_events(window, X.PropertyChangeMask), 1)
        self._connection.send_raw(requests.select_shape_input(self._shape_major, window), 1)
        wire = self._display.display
        attributes: Any = core_request.GetWindowAttributes(display=wire, defer=True, window=window)
        geometry: Any = core_request.GetGeometry(display=wire, defer=True, drawable=window)
        shape: Any = shape_requests.QueryExtents(
            display=wire, defer=True, opcode=self._shape_major, destination_window=window
        )
        try:
            attributes.reply()
            geometry.reply()
            shape.reply()
        except Xlib.error.XError:
            return  # it was gone before we looked
        if attributes.win_class == X.InputOnly:
            return
        if geometry.border_width:
            self._drop_border(window)
        override = bool(attributes.override_redirect)
        top = Top(window, geometry.x, geometry.y, geometry.width, geometry.height, override)
        self.tops[window] = top
        self._capture.watch(window, geometry.depth, shape.bounding_shaped | shape.clip_shaped << 1)
        self._emit(Created(window, top.x, top.y, top.width, top.height, override))
        self.properties.all_changed(window)
        if attributes.map_state != X.IsUnmapped and not fresh:
            self._show(top)

    def _lose(self, window: int, *, destroyed: bool) -> None:
        if self.tops.pop(window, None) is not None:
            self._capture.unwatch(window, destroyed=destroyed)
            self._emit(Destroyed(window))

    def _is_ours(self, window: int) -> bool:
        info: Any = self._display.display.info
        return bool(window & ~info.resource_id_mask == info.resource_id_base)

    def _drop_border(self, window: int) -> None:
        # The desktop draws borders; a window's own would lie outside of the pixels that we can share.
        self._connection.send_raw(requests.configure_window(window, border_width=0), 1)

    def _show(self, top: Top) -> None:
        # A title, a dialog's owner or a wish for the full screen count now: the desktop's window manager looks once.
        self.refresh()
        top.mapped = True
        self._on_stacked(top.id)
        if not top.override_redirect:
            self._manager.mapped(top.id)
        self._emit(Mapped(top.id, top.override_redirect))

    # --- what the server says ---

    def _created(self, event: Any) -> None:
        if event.parent.id == self._root.id:
            self._adopt(event.window.id, fresh=True)

    def _destroyed(self, event: Any) -> None:
        self._lose(event.window.id, destroyed=True)

    def _mapped(self, event: Any) -> None:
        top = self.tops.get(event.window.id)
        if top is not None and not top.mapped:
            top.override_redirect = bool(event.override)
            self._show(top)

    def _unmapped(self, event: Any) -> None:
        top = self.tops.get(event.window.id)
        if top is not None and top.mapped:
            top.mapped = False
            self._capture.stop(top.id)
            self._emit(Unmapped(top.id))

    def _reparented(self, event: Any) -> None:
        if event.parent.id == self._root.id:
            self._adopt(event.window.id, fresh=True)
        else:
            self._lose(event.window.id, destroyed=False)

    def _configured(self, event: Any) -> None:
        if event.window.id == self._root.id:
            self._on_screen(event.width, event.height)
            return
        top = self.tops.get(event.window.id)
        if top is None:
            return
        if event.border_width:
            self._drop_border(top.id)
        top.x, top.y, top.width, top.height = event.x, event.y, event.width, event.height
        top.override_redirect = bool(event.override)
        self._on_stacked(top.id)
        self.report(top.id)

    def _gravitated(self, event: Any) -> None:
        top = self.tops.get(event.window.id)
        if top is not None:
            top.x, top.y = event.x, event.y
            self.report(top.id)

    # --- what programs say ---

    def _property_changed(self, event: Any) -> None:
        top = self.tops.get(event.window.id)
        if top is None:
            return
        self.properties.changed(top.id, event.atom)
        if top.docked and event.atom == self._embedding:
            self._embedded(top)

    def _dock(self, window: int) -> None:
        top = self.tops.get(window)
        if top is not None and not top.docked:
            top.docked = True
            if top.mapped:  # it cannot become an icon while it is shown as a window
                top.mapped = False
                self._capture.stop(top.id)
                self._emit(Unmapped(top.id))
                self._connection.send_raw(requests.unmap_window(top.id), 1)
            self._emit(Docked(top.id))
            self._tray.embed(top.id)
            self._embedded(top)

    def _embedded(self, top: Top) -> None:
        """An icon is mapped and unmapped by its tray, as its program says in a property."""
        seen = self._tray.wants_to_be_seen(top.id, self.properties)
        request = requests.map_window(top.id) if seen else requests.unmap_window(top.id)
        self._connection.send_raw(request, 1)

    def _messaged(self, event: Any) -> None:
        if icon := self._tray.asked(event):
            self._dock(icon)
            return
        wish = self._manager.asked(event, self.properties)
        if wish is not None and wish.window in self.tops and (wish.set or wish.unset):
            self._emit(wish)

    def _hinted(self, window: int, hints: Hints) -> SourceEvent | None:
        top = self.tops.get(window)
        if top is None or top.urgent == hints.urgent:
            return None
        top.urgent = hints.urgent
        attention = WindowFlag.DEMANDS_ATTENTION
        return StateWished(window, *((attention, _NO_FLAGS) if top.urgent else (_NO_FLAGS, attention)))

    def _states_set(self, window: int, atoms: Sequence[int]) -> SourceEvent | None:
        """Programs write _NET_WM_STATE themselves only before they map the window: EWMH."""
        top = self.tops.get(window)
        flags = self._manager.flags(atoms)
        return StateWished(window, flags, _NO_FLAGS) if top and not top.mapped and flags else None
