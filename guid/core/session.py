"""One VM's session with its agent: messages and desktop events in, commands out, and no way to touch anything else.

`receive` takes what the decoder yields, `host_event` what the display host reports; both return commands to be carried
out in order. Damage is not among them: `take_damage`, once at the end of a batch, says what to paint then. `tick` wants
the time once per batch, whatever happened in it; `deadline` says when it wants it next.

A broken rule raises PeerMisbehaved; what came before it stays valid, damage included. Text of the AppVM's choice is in
titles and classes only, never in a log line or an error.

Window id 0, the whole screen of agents that do not know windows, is a window like any other: it has a buffer and a
place, but does not lend its buffer to windows without one.
"""

from collections.abc import Callable
from typing import Any

from guid.core import validate
from guid.core.clipboard import Clipboard, ClipboardKeys
from guid.core.commands import (
    Command,
    CreateWindow,
    DestroyWindow,
    DockWindow,
    MapWindow,
    Paint,
    SendToAgent,
    SetTitle,
    SetTransientFor,
    UnmapWindow,
)
from guid.core.config import MIB, Limit, Quotas, SessionConfig
from guid.core.host_events import (
    ButtonEvent,
    CloseEvent,
    ConfiguredEvent,
    CrossingEvent,
    FocusEvent,
    HostEvent,
    KeyboardEvent,
    KeyEvent,
    MappedEvent,
    MaximizedEvent,
    MotionEvent,
    ScreenEvent,
    ScreenInfo,
    StateEvent,
)
from guid.core.input import Input
from guid.core.looks import Looks
from guid.core.notices import Notices
from guid.core.pixels import Pixels
from guid.core.placement import Placement
from guid.core.places import Places
from guid.core.states import States
from guid.core.trusted import Title, WindowId
from guid.core.windows import Window, WindowInfo, WindowTable
from guiproto import limits
from guiproto import messages as wire
from guiproto.errors import PeerMisbehaved

__all__ = ["Quotas", "Session", "SessionConfig"]


class Session:
    """Lives as long as one connection of an agent, which speaks version 1.`minor`."""

    def __init__(
        self,
        config: SessionConfig,
        screen: ScreenInfo,
        keys: ClipboardKeys | None = None,
        minor: int = limits.VERSION_MINOR,
    ) -> None:
        self._config = config
        self._windows = WindowTable(config.quotas)
        self._notices = Notices()
        self._places = Places(config, screen, self._windows, self._notices)
        self._pixels = Pixels(config, self._windows, self._notices)
        self._looks = Looks(config, self._windows, self._notices)
        self._states = States(config, self._windows)
        self._input = Input()
        self._clipboard = Clipboard(config, keys or ClipboardKeys(), minor)
        self._handlers: dict[type[Any], Callable[[Any], list[Command]]] = {
            wire.ShmImage: self._pixels.shm_image,
            wire.DamageBatch: self._pixels.damage_batch,
            wire.WindowDump: self._pixels.window_dump,
            wire.MfnDump: self._pixels.mfn_dump,
            wire.Create: self._create,
            wire.Destroy: self._destroy,
            wire.Map: self._map,
            wire.Unmap: self._unmap,
            wire.Dock: self._dock,
            wire.Configure: self._configure,
            wire.WindowFlags: self._states.wished,
            wire.WmName: self._looks.title,
            wire.WmClass: self._looks.window_class,
            wire.WindowHints: self._looks.hints,
            wire.Cursor: self._looks.cursor,
            wire.ClipboardData: self._clipboard.answer,
        }

    def receive(self, message: wire.Message | wire.DamageBatch) -> list[Command]:
        """What to do about a message of the agent. Raises PeerMisbehaved where it breaks a rule."""
        handler = self._handlers.get(type(message))
        if handler is None:
            raise PeerMisbehaved("unknown message type", f"{type(message).__name__} does not come from an agent")
        return handler(message)

    def host_event(self, event: HostEvent) -> list[Command]:
        """What to do about an event of the desktop. Events of windows that are gone are dropped."""
        if isinstance(event, ScreenEvent):
            return self._places.screen_changed(event.screen)
        if isinstance(event, KeyboardEvent):
            return []  # what follows from it is told with `set_keys`
        window = self._windows.find(event.window)
        if window is None:
            return []
        if isinstance(event, KeyEvent) and (ours := self._clipboard.key(event)) is not None:
            return ours
        match event:
            case KeyEvent() | ButtonEvent() | MotionEvent() | CrossingEvent() | FocusEvent():
                return [SendToAgent(message) for message in self._input.handle(event)]
            case ConfiguredEvent():
                return self._places.host_says(window, event.geometry)
            case MappedEvent():
                return self._host_mapped(window) if event.mapped else self._host_withdrew(window)
            case CloseEvent():
                return [SendToAgent(wire.Close(window.id))]
            case StateEvent():
                return self._states.changed(window, event)
            case MaximizedEvent():
                return self._states.maximized(window, event)

    def reconfigure(self, config: SessionConfig) -> list[Command]:
        """The user has changed the settings: they count from now on, and titles are said again for a host's sake."""
        if config.quotas != self._config.quotas:
            self._windows.quotas = config.quotas
            self._notices.forget_limits()
        self._config = config
        self._pixels.reconfigure(config)
        self._looks.reconfigure(config)
        self._clipboard.reconfigure(config)
        titles: list[Command] = [SetTitle(window.id, window.title or Title("")) for window in self._windows]
        return [*titles, *self._states.reconfigure(config), *self._places.reconfigure(config)]

    def take_damage(self) -> list[Paint]:
        """What to paint for all damage since the last call, clipped to the buffers as they are now."""
        return self._pixels.take_damage()

    def buffer_failed(self, window: WindowId) -> None:
        """An AttachBuffer was not carried out, and the session goes on: the window has no buffer."""
        found = self._windows.find(window)
        if found is not None:
            self._pixels.detach(found)

    def set_keys(self, keys: ClipboardKeys) -> None:
        """The clipboard's keys are on these keycodes from now on."""
        self._clipboard.keys = keys

    def paste(self, text: bytes) -> list[Command]:
        """The answer to a `WantPaste`: this text, from whatever VM, is to be given to this one."""
        return self._clipboard.paste(text)

    def tick(self, now: float) -> list[Command]:
        """Time passed: `now` in seconds, of any monotonic clock."""
        commands = self._places.tick(now)
        if self._clipboard.deadline() is not None:
            commands += self._clipboard.tick(now)
        if self._input.deadline() is not None:
            commands += [SendToAgent(message) for message in self._input.tick(now)]
        return commands

    def deadline(self) -> float | None:
        """The time at which `tick` has something to do; None while nothing is pending, 0.0 for at once."""
        parts = (self._input.deadline(), self._places.deadline(), self._clipboard.deadline())
        return min((due for due in parts if due is not None), default=None)

    def shown(self) -> frozenset[int]:
        """The windows of which pixels can be seen, by the agent's ids."""
        return frozenset(
            int(window.id)
            for window in self._windows
            if (window.mapped or window.docked) and window.buffer is not None and window.damage_rects
        )

    def mapped(self) -> list[WindowId]:
        """The windows that are on the desktop itself."""
        return [window.id for window in self._windows if window.mapped]

    def snapshot(self) -> list[WindowInfo]:
        """Every window, for `guid windows`."""
        return self._windows.info()

    def usage(self) -> dict[str, int]:
        """How much of its quotas the VM uses, as far as the session knows; memory in MiB, rounded up."""
        windows = self._windows
        memory = -(-windows.pages * windows.quotas.page_weight * limits.PAGE_SIZE // MIB)
        return {Limit.WINDOWS: len(windows), Limit.WINDOW_MEMORY: memory, Limit.TRAY_ICONS: windows.icons}

    # --- the agent ---

    def _create(self, message: wire.Create) -> list[Command]:
        room = self._windows.has_room(message.window)
        geometry = validate.create(message)
        if not room:
            return self._notices.reached(Limit.WINDOWS)
        window = Window(WindowId(message.window), Placement(geometry, geometry), override_redirect=False)
        self._windows.add(window)
        said = self._places.revalidate(window, wanted=bool(message.override_redirect))
        return [*said, CreateWindow(window.id, geometry, window.override_redirect)]

    def _destroy(self, message: wire.Destroy) -> list[Command]:
        window = self._windows.get(message.window)
        self._windows.remove(message.window)
        echo = SendToAgent(wire.Destroy(message.window))
        if window is None:
            return [echo]
        self._pixels.hidden(window)
        self._input.gone(window.id)
        return [DestroyWindow(window.id), echo]

    def _map(self, message: wire.Map) -> list[Command]:
        window = self._windows.get(message.window)
        if window is None or window.docked:
            return []
        if window.mapped:
            return self._belongs(window, message.transient_for)
        commands = self._places.revalidate(window, wanted=bool(message.override_redirect), showing=True)
        if window.override_redirect or not window.minimised:  # a minimised one is where the user had it
            commands += self._places.keep(window)
        window.transient_for = self._windows.owner(window, message.transient_for)
        window.mapped, window.minimised = True, False
        return [*commands, MapWindow(window.id, window.override_redirect, window.transient_for)]

    def _belongs(self, window: Window, number: int) -> list[Command]:
        """What else a MAP of a mapped window says has been decided; but its owner may be another by now."""
        owner = self._windows.owner(window, number)
        if owner == window.transient_for:
            return []
        window.transient_for = owner
        return [SetTransientFor(window.id, owner)]

    def _unmap(self, message: wire.Unmap) -> list[Command]:
        window = self._windows.get(message.window)
        if window is None or window.docked:
            return []
        self._hide(window)
        # Also if it was not mapped: one that the window manager minimised is still in its list.
        return [UnmapWindow(window.id), *self._pixels.detach(window)]

    def _dock(self, message: wire.Dock) -> list[Command]:
        window = self._windows.get(message.window)
        if window is None or window.mapped or window.docked:
            return []
        sizes = [(window.placement.shown.width, window.placement.shown.height), window.buffer or (0, 0)]
        if max(map(max, sizes)) > self._config.quotas.icon:
            return self._notices.once("an icon for the notification area is too large and not shown")
        if not self._windows.dock(window):
            return self._notices.reached(Limit.TRAY_ICONS)
        window.override_redirect = False
        return [DockWindow(window.id)]

    def _configure(self, message: wire.Configure) -> list[Command]:
        window = self._windows.get(message.window)
        geometry = validate.configure(message)
        return [] if window is None else self._places.agent_says(window, geometry)

    # --- the window manager ---

    def _host_mapped(self, window: Window) -> list[Command]:
        if window.mapped:
            return []
        window.mapped, window.minimised = True, False
        return [SendToAgent(wire.Map(window.id, 0, int(window.override_redirect)))]

    def _host_withdrew(self, window: Window) -> list[Command]:
        if window.mapped:
            self._hide(window)
            window.minimised = True
        return []

    def _hide(self, window: Window) -> None:
        window.mapped = window.minimised = False
        self._pixels.hidden(window)
        self._input.gone(window.id)
