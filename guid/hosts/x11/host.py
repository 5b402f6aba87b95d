"""Shows one VM's windows on an X11 desktop. No call waits for the AppVM, and no X error about its windows gets out.

Requests are packed here and sent at `flush`; everything that comes back is read in `events` and handed to the module
that follows that part of a window: input, placement, states, screen.
"""

import logging
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from backends.base import MappedPages
from guid.core.host_events import CloseEvent, HostEvent, ScreenInfo
from guid.core.trusted import CursorName, Geometry, Icon, SizeHints, StateFlags, Title, WindowClass, WindowId
from guid.hosts.base import DesktopInfo, DisplayHost, HostConfig, Rects
from guid.hosts.x11 import requests as x
from guid.hosts.x11.atoms import Atoms
from guid.hosts.x11.buffers import Buffers, clipped
from guid.hosts.x11.builder import Builder
from guid.hosts.x11.cursors import Cursors
from guid.hosts.x11.exposures import EXPOSE, Exposures
from guid.hosts.x11.input import Input
from guid.hosts.x11.keyboard import MAPPING, KeyboardMap
from guid.hosts.x11.kinship import Kinship
from guid.hosts.x11.layout import KeyboardLayout
from guid.hosts.x11.lockers import Lockers
from guid.hosts.x11.magnifier import Magnifier
from guid.hosts.x11.monitors import Monitors
from guid.hosts.x11.pacing import Pacing
from guid.hosts.x11.placement import CONFIGURE, Placement
from guid.hosts.x11.properties import Properties
from guid.hosts.x11.replies import Replies
from guid.hosts.x11.screen import Screen
from guid.hosts.x11.states import States
from guid.hosts.x11.tray import DESTROY, REPARENT, Tray
from guid.hosts.x11.user_time import UserTime
from guid.hosts.x11.window import HostWindow, WindowTable
from qubesdb.keys import Monitor
from shm.fences import NO_EXPOSURE
from shm.xconn import RawEvents, XConnection
from shm.xshm import ShmPath

_PROPERTY: Final = 28
_CLIENT_MESSAGE: Final = 33
_CORE_EVENTS: Final = frozenset(range(2, 35))

_PROPERTY_EVENT: Final = Struct("=BxHIIIB15x")
_ROOT_CONFIGURE_EVENT: Final = Struct("=BxHIIIhhHHHB5x")
_CLIENT_MESSAGE_EVENT: Final = Struct("=BBHII5I")
_TO_WINDOW_MANAGER: Final = 0x180000

log = logging.getLogger(__name__)


class X11Host(DisplayHost):
    """See `DisplayHost`. `config` is how this VM's windows look; `display` is $DISPLAY if None."""

    copies = 0

    def __init__(self, config: HostConfig, display: str | None = None) -> None:
        """Raises MachineCannot if there is no such display, or none that can show AppVM windows."""
        self._config = config
        self._connection = XConnection(display, on_error=_log_error)
        try:
            self._set_up()
        except BaseException:
            self._connection.close()
            raise

    def _set_up(self) -> None:
        connection, config = self._connection, self._config
        connection.raw_events = _CORE_EVENTS
        self._shm = ShmPath(connection, read_only=True)
        self._atoms = Atoms(connection)
        self._replies = Replies(connection)
        self._screen = Screen(connection, self._replies, self._atoms)
        root = self._screen.root
        self._layout = KeyboardLayout(connection, self._replies, self._atoms, root)
        self._monitors = Monitors(connection, self._replies, root)
        connection.raw_events |= self._monitors.event_codes | self._layout.event_codes
        connection.sync()
        self._replies.collect()
        self._gc = connection.new_id()
        x.send(connection, [x.create_gc(self._gc, root)])
        self._windows = WindowTable()
        self._buffers = Buffers(self._shm)
        self._magnifier: Magnifier | None = None
        if config.scale > 1:
            self._magnifier = Magnifier(connection, self._shm, self._gc, self._screen.depth, config.scale)
        self._pacing = Pacing(connection, config.scale)
        self._cursors = Cursors(connection)
        self._user_time = UserTime(connection, self._atoms, root)
        self._properties = Properties(self._atoms, config, self._user_time.clock)
        self._builder = Builder(connection, self._windows, self._properties, config, root)
        self._kinship = Kinship(connection, self._windows, self._properties)
        self._input = Input(self._windows, self._pressed)
        self._lockers = Lockers(connection, self._replies, self._windows, root, config.screen_lockers)
        self._exposures = Exposures(self._windows)
        self._keyboard = KeyboardMap(connection)
        self._placement = Placement(connection, self._replies, self._windows, root)
        self._states = States(
            connection, self._replies, self._windows, self._atoms, self._properties, self._screen, self._placement
        )
        self._tray = Tray(connection, self._replies, self._windows, self._atoms, self._properties, root, self._builder)
        self._handlers: dict[int, Callable[[bytes, list[HostEvent]], None]] = {
            **self._input.handlers,
            **self._placement.handlers,
            CONFIGURE: self._configured,
            DESTROY: self._tray.destroyed,
            REPARENT: self._reparented,
            EXPOSE: self._exposures.add,
            NO_EXPOSURE: self._pacing.executed,
            _PROPERTY: self._property_changed,
            _CLIENT_MESSAGE: self._message,
            MAPPING: self._keyboard.changed,
            **dict.fromkeys(self._layout.event_codes, self._keyboard.notified),
            **dict.fromkeys(self._monitors.event_codes, self._monitors.changed),
        }
        connection.sync()
        self.events()  # the time at which this VM began to be shown, before its first window

    # --- the loop's side ---

    def fileno(self) -> int:
        return self._connection.fileno()

    def screen(self) -> ScreenInfo:
        return self._screen.info

    def keycodes(self, key: str) -> frozenset[int]:
        return self._keyboard.keycodes(key)

    def desktop(self) -> DesktopInfo:
        screen = self._screen.info
        monitors = self._monitors.monitors or (Monitor(screen.width, screen.height, 0, 0),)
        return DesktopInfo(self._layout.layout, monitors)

    @property
    def x_errors(self) -> int:
        """How many X errors were answered to what was asked here; all of them are logged at debug level only."""
        return self._connection.errors

    def events(self) -> Sequence[HostEvent]:
        out: list[HostEvent] = []
        before = self._connection.serial
        anything = False
        for run in self._connection.events():
            anything = True
            if isinstance(run, RawEvents):
                self._input.settle(run.code, out)
                handler = self._handlers.get(run.code)
                if handler is not None:
                    handler(run.data, out)
        if not anything and not self._replies:
            return out
        self._replies.collect()
        for part in (self._placement, self._states, self._screen):
            part.take_answers(out)
        for window, rects in self._exposures.take():
            self._repaint(window, rects)
        if self._connection.serial != before:
            self._connection.flush()
        return out

    @property
    def busy(self) -> bool:
        return self._pacing.busy

    def flush(self) -> None:
        self._pacing.close_batch()
        self._connection.flush()

    def used(self) -> None:
        self._user_time.now()

    def sync(self) -> None:
        self._connection.sync()

    def reconfigure(self, config: HostConfig) -> None:
        self._config = self._properties.config = config
        changed = self._builder.reconfigure(config)
        if not changed:
            return
        connection = self._connection
        x.send(connection, [x.grab_server()])  # nobody resizes a window between the question and what follows from it
        for window, reply in zip(
            changed, connection.ask(*(x.get_geometry(window.frame.outer) for window in changed)), strict=True
        ):
            if reply[0] != x.REPLY:
                continue  # somebody has destroyed it
            frame = window.frame
            x.send(connection, frame.reborder(self._builder.border_of(window), *x.size(reply)))
            x.send(connection, self._properties.size_hints(frame, window.hints))
            self._placement.ask(window, window.geometry)
        x.send(connection, [x.ungrab_server()])
        connection.flush()

    def close(self) -> None:
        # The X server removes what belongs to a connection that is closed.
        for window in self._windows:
            if window.buffer is not None:
                window.buffer.close()
                window.buffer = None
        self._connection.close()

    # --- windows ---

    def create(self, window: WindowId, geometry: Geometry, *, override_redirect: bool) -> int:
        assert self._windows.get(window) is None, "a window is created once"
        return self._builder.build(window, geometry, override_redirect=override_redirect).frame.outer

    def destroy(self, window: WindowId) -> None:
        gone = self._windows.remove(window)
        self._input.gone(window)
        self._drop_buffer(gone)
        x.send(self._connection, [x.destroy_window(gone.frame.outer)])
        self._kinship.gone(window)
        for xid in gone.frame.ids:
            self._connection.free_id(xid)

    def map(self, window: WindowId, *, override_redirect: bool, transient_for: WindowId | None) -> None:
        shown = self._windows[window]
        if shown.override_redirect != override_redirect:
            self._builder.redirect(shown, override_redirect)
        self._kinship.belongs(shown, transient_for)
        if not (override_redirect or shown.has_icon):
            shown.has_icon = True
            x.send(self._connection, self._properties.icon(shown.frame, shown.icon))
        if not shown.mapped:
            self._states.before_map(shown)
            self._user_time.tell(shown)
        self._is_mapped(shown, True)
        if override_redirect:
            self._lockers.map(shown, unlocked=self._input.inside is not None)
        else:
            x.send(self._connection, [x.map_window(shown.frame.outer)])
        shown.mapping_serial = self._connection.serial

    def unmap(self, window: WindowId) -> None:
        hidden = self._windows[window]
        outer = hidden.frame.outer
        withdraw = x.send_event(self._screen.root, _TO_WINDOW_MANAGER, x.unmap_notify(self._screen.root, outer))
        x.send(self._connection, [x.unmap_window(outer), withdraw])
        self._is_mapped(hidden, False)
        self._input.gone(window)
        self._states.after_unmap(hidden)

    def configure(self, window: WindowId, geometry: Geometry) -> None:
        self._placement.ask(self._windows[window], geometry)

    def dock(self, window: WindowId) -> None:
        docked = self._windows[window]
        self._builder.make_icon(docked)
        self._tray.dock(docked)
        if docked.buffer is not None:
            self.attach(window, docked.buffer.pages, docked.buffer.width, docked.buffer.height)

    def _is_mapped(self, window: HostWindow, mapped: bool) -> None:
        window.mapped = window.visible = mapped
        window.mapping_serial = self._connection.serial

    # --- pixels ---

    def attach(self, window: WindowId, pages: MappedPages, width: int, height: int) -> None:
        shown = self._windows[window]
        tint = self._config.label.color if shown.docked and self._config.tray_tint else None
        buffer = self._buffers.open(pages, width, height, tint)
        self._drop_buffer(shown)
        shown.buffer = buffer

    def detach(self, window: WindowId) -> None:
        self._drop_buffer(self._windows[window])

    def paint(self, window: WindowId, rects: Rects) -> None:
        shown = self._windows.by_id[window]
        if shown.visible and len(rects):
            self._put(shown, rects)

    def _repaint(self, window: HostWindow, rects: NDArray[np.int32]) -> None:
        if window.buffer is not None:
            if self._magnifier is not None:
                rects = self._magnifier.covering(rects)
            rects = clipped(rects, Geometry(0, 0, window.buffer.width, window.buffer.height))
            if len(rects):
                self._put(window, rects)

    def _put(self, window: HostWindow, rects: Rects) -> None:
        buffer = window.buffer
        if buffer is None:
            return
        if buffer.copies:
            buffer.refresh(rects)
        if self._magnifier is not None:
            self._magnifier.paint(window, buffer, rects)
        else:
            depth = self._screen.depth
            self._shm.put(window.frame.inner, self._gc, depth, buffer.segment, buffer.offset, buffer.size, rects)
        self._pacing.add(rects)

    def _drop_buffer(self, window: HostWindow) -> None:
        if window.buffer is not None:
            if self._magnifier is not None:
                self._magnifier.forget(window)
            self._buffers.close(window.buffer)
            window.buffer = None

    # --- what it says about itself ---

    def set_title(self, window: WindowId, title: Title) -> None:
        x.send(self._connection, self._properties.title(self._windows[window].frame, title))

    def set_class(self, window: WindowId, name: WindowClass) -> None:
        x.send(self._connection, self._properties.window_class(self._windows[window].frame, name))

    def set_icon(self, window: WindowId, icon: Icon | None) -> None:
        shown = self._windows[window]
        shown.icon = icon
        if shown.has_icon:
            x.send(self._connection, self._properties.icon(shown.frame, icon))

    def set_hints(self, window: WindowId, hints: SizeHints) -> None:
        hinted = self._windows[window]
        hinted.hints = hints
        x.send(self._connection, self._properties.size_hints(hinted.frame, hints))

    def set_state(self, window: WindowId, set_: StateFlags, unset: StateFlags) -> None:
        self._states.change(self._windows[window], set_, unset)

    def maximize(self, window: WindowId, maximized: bool) -> None:
        self._states.maximize(self._windows[window], maximized)

    def set_transient_for(self, window: WindowId, owner: WindowId | None) -> None:
        self._kinship.belongs(self._windows[window], owner)

    def set_cursor(self, window: WindowId, cursor: CursorName | None) -> None:
        inner = self._windows[window].frame.inner
        x.send(self._connection, [x.change_attributes(inner, {x.CURSOR: self._cursors.get(cursor)})])

    # --- events that concern more than one part ---

    def _pressed(self, time: int, window: HostWindow) -> None:
        self._user_time.used(time, window)
        if window.docked:
            self._tray.pressed(time, window)

    def _configured(self, data: bytes, out: list[HostEvent]) -> None:
        for _, _, _, xid, _, _, _, width, height, _, _ in _ROOT_CONFIGURE_EVENT.iter_unpack(data):
            if xid == self._screen.root:
                self._screen.resized(width, height)
                self._monitors.changed(data, out)
        self._placement.handlers[CONFIGURE](data, out)

    def _reparented(self, data: bytes, out: list[HostEvent]) -> None:
        self._placement.handlers[REPARENT](data, out)
        self._tray.reparented(data)

    def _property_changed(self, data: bytes, out: list[HostEvent]) -> None:  # noqa: ARG002 - as all handlers
        for _, _, xid, name, time, _ in _PROPERTY_EVENT.iter_unpack(data):
            if xid == self._screen.root:
                self._screen.property_changed(name)
                self._layout.property_changed(name)
            elif name == self._states.property:
                self._states.changed(xid)
            elif xid == self._user_time.clock:
                self._user_time.used(time)

    def _message(self, data: bytes, out: list[HostEvent]) -> None:
        atoms = self._atoms
        for code, form, _, xid, kind, *values in _CLIENT_MESSAGE_EVENT.iter_unpack(data):
            window = self._windows.find(xid)
            if xid == self._screen.root and form == 32 and kind == atoms["MANAGER"]:
                self._tray.announced(values[1], values[2])
            if window is None or form != 32 or kind != atoms["WM_PROTOCOLS"]:
                continue
            if values[0] == atoms["WM_DELETE_WINDOW"]:
                out.append(CloseEvent(window.id))
            elif values[0] == atoms["_NET_WM_PING"]:
                root = self._screen.root
                pong = _CLIENT_MESSAGE_EVENT.pack(code & 0x7F, form, 0, root, kind, *values)
                x.send(self._connection, [x.send_event(root, _TO_WINDOW_MANAGER, pong)])


def _log_error(error: Any) -> None:
    log.debug("X error: %s", error)
