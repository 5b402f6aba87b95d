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
from Xlib.protocol import request

from backends.base import MappedPages
from guid.core.host_events import CloseEvent, HostEvent, ScreenInfo
from guid.core.trusted import CursorName, Geometry, SizeHints, StateFlags, Title, WindowClass, WindowId
from guid.hosts.base import DesktopInfo, DisplayHost, HostConfig, Rects
from guid.hosts.x11 import requests as x
from guid.hosts.x11.atoms import Atoms
from guid.hosts.x11.buffers import Buffers, clipped
from guid.hosts.x11.cursors import Cursors
from guid.hosts.x11.exposures import EXPOSE, Exposures
from guid.hosts.x11.frame import Frame
from guid.hosts.x11.input import Input
from guid.hosts.x11.layout import KeyboardLayout
from guid.hosts.x11.magnifier import Magnifier
from guid.hosts.x11.monitors import Monitors
from guid.hosts.x11.pacing import Pacing
from guid.hosts.x11.placement import CONFIGURE, Placement
from guid.hosts.x11.properties import Properties
from guid.hosts.x11.replies import Replies
from guid.hosts.x11.screen import Screen
from guid.hosts.x11.states import States
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
_REQUEST_DOCK: Final = 0

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
        connection.raw_events |= self._monitors.event_codes
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
        self._properties = Properties(self._atoms, config)
        self._input = Input(self._windows)
        self._exposures = Exposures(self._windows)
        self._placement = Placement(connection, self._replies, self._windows, root)
        self._states = States(
            connection, self._replies, self._windows, self._atoms, self._properties, root,
            allow_fullscreen=config.allow_fullscreen,
        )  # fmt: skip
        self._handlers: dict[int, Callable[[bytes, list[HostEvent]], None]] = {
            **self._input.handlers,
            **self._placement.handlers,
            CONFIGURE: self._configured,
            EXPOSE: self._exposures.add,
            NO_EXPOSURE: self._pacing.executed,
            _PROPERTY: self._property_changed,
            _CLIENT_MESSAGE: self._message,
            **dict.fromkeys(self._monitors.event_codes, self._monitors.changed),
        }

    # --- the loop's side ---

    def fileno(self) -> int:
        return self._connection.fileno()

    def screen(self) -> ScreenInfo:
        return self._screen.info

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

    def sync(self) -> None:
        self._connection.sync()

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
        connection, config = self._connection, self._config
        outer, inner, right, bottom = (connection.new_id() for _ in range(4))
        frame = Frame(outer, inner, right, bottom, self._border(override_redirect))
        new = HostWindow(window, frame, geometry, override_redirect, frame.clamp(geometry))
        self._windows.add(new)
        background = config.background
        x.send(
            connection,
            [
                *frame.build(
                    self._screen.root, geometry, config.label.color, background, override_redirect=override_redirect
                ),
                *self._properties.identity(frame, window),
                *self._properties.size_hints(frame, None),
                frame.watch(),
            ],
        )
        return outer

    def destroy(self, window: WindowId) -> None:
        gone = self._windows.remove(window)
        self._drop_buffer(gone)
        x.send(self._connection, [x.destroy_window(gone.frame.outer)])
        for xid in gone.frame.ids:
            self._connection.free_id(xid)

    def map(self, window: WindowId, *, override_redirect: bool, transient_for: WindowId | None) -> None:
        shown = self._windows[window]
        frame = shown.frame
        other = None if transient_for is None else self._windows.get(transient_for)
        requests = self._properties.transient_for(frame, None if other is None else other.frame)
        if shown.override_redirect != override_redirect:
            requests += self._redirect(shown, override_redirect)
        x.send(self._connection, requests)
        if not shown.mapped:
            self._states.before_map(shown)
        x.send(
            self._connection,
            [*([x.raise_window(frame.outer)] if override_redirect else []), x.map_window(frame.outer)],
        )
        self._is_mapped(shown, True)

    def unmap(self, window: WindowId) -> None:
        hidden = self._windows[window]
        outer = hidden.frame.outer
        withdraw = x.send_event(self._screen.root, _TO_WINDOW_MANAGER, x.unmap_notify(self._screen.root, outer))
        x.send(self._connection, [x.unmap_window(outer), withdraw])
        self._is_mapped(hidden, False)
        self._states.after_unmap(hidden)

    def configure(self, window: WindowId, geometry: Geometry) -> None:
        self._placement.ask(self._windows[window], geometry)

    def dock(self, window: WindowId) -> None:
        docked = self._windows[window]
        requests = self._redirect(docked, False) if docked.override_redirect else []
        x.send(self._connection, requests + self._properties.embedding(docked.frame))
        outer = docked.frame.outer

        def answer(reply: Any) -> None:
            tray = int(reply.owner.id) if reply.owner else 0
            if tray and self._windows.get(window) is docked:
                opcode = self._atoms["_NET_SYSTEM_TRAY_OPCODE"]
                message = x.client_message(tray, opcode, (0, _REQUEST_DOCK, outer, 0, 0))
                x.send(self._connection, [x.send_event(tray, 0, message)])

        self._replies.ask(request.GetSelectionOwner, answer, selection=self._atoms["_NET_SYSTEM_TRAY_S0"])

    def _border(self, override_redirect: bool) -> int:
        config = self._config
        if override_redirect:
            return max(1, config.border_width)
        return config.border_width if config.border_managed else 0

    def _redirect(self, window: HostWindow, override_redirect: bool) -> list[bytes]:
        window.override_redirect = override_redirect
        frame = window.frame
        border = self._border(override_redirect)
        requests = [x.change_attributes(frame.outer, {x.OVERRIDE_REDIRECT: int(override_redirect)})]
        if border != frame.border:
            requests += frame.set_border(border, window.geometry)
            requests += self._properties.size_hints(frame, window.hints)
        return requests

    def _is_mapped(self, window: HostWindow, mapped: bool) -> None:
        window.mapped = window.visible = mapped
        window.mapping_serial = self._connection.serial

    # --- pixels ---

    def attach(self, window: WindowId, pages: MappedPages, width: int, height: int) -> None:
        shown = self._windows[window]
        buffer = self._buffers.open(pages, width, height)
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

    def set_hints(self, window: WindowId, hints: SizeHints) -> None:
        hinted = self._windows[window]
        hinted.hints = hints
        x.send(self._connection, self._properties.size_hints(hinted.frame, hints))

    def set_state(self, window: WindowId, set_: StateFlags, unset: StateFlags) -> None:
        self._states.change(self._windows[window], set_, unset)

    def set_cursor(self, window: WindowId, cursor: CursorName | None) -> None:
        inner = self._windows[window].frame.inner
        x.send(self._connection, [x.change_attributes(inner, {x.CURSOR: self._cursors.get(cursor)})])

    # --- events that concern more than one part ---

    def _configured(self, data: bytes, out: list[HostEvent]) -> None:
        for _, _, _, xid, _, _, _, width, height, _, _ in _ROOT_CONFIGURE_EVENT.iter_unpack(data):
            if xid == self._screen.root:
                self._screen.resized(width, height)
                self._monitors.changed(data, out)
        self._placement.handlers[CONFIGURE](data, out)

    def _property_changed(self, data: bytes, out: list[HostEvent]) -> None:  # noqa: ARG002 - as all handlers
        for _, _, xid, name, _, _ in _PROPERTY_EVENT.iter_unpack(data):
            if xid == self._screen.root:
                self._screen.property_changed(name)
                self._layout.property_changed(name)
            elif name == self._states.property:
                self._states.changed(xid)

    def _message(self, data: bytes, out: list[HostEvent]) -> None:
        atoms = self._atoms
        for code, form, _, xid, kind, *values in _CLIENT_MESSAGE_EVENT.iter_unpack(data):
            window = self._windows.find(xid)
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
