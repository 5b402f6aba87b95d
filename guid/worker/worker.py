"""One VM's windows: a loop around the pure session, its vchan, its mapper and its display host.

A worker serves one VM for as long as it runs. It sleeps until the vchan, the display or its supervisor says something,
reads everything that is ready, validates it as a batch, and sends one flush to the display. An agent that goes away and
comes back finds it waiting, unless it does that all the time; a rule that an agent breaks ends the process, and the
supervisor starts a fresh one.
"""

import contextlib
import dataclasses
import logging
import select
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from backends.base import Backend, MappedPages, PageMapper, Vchan, VchanState
from guid.config.settings import VmSettings
from guid.control import LineSocket
from guid.core import commands as do
from guid.core.clipboard import ClipboardKeys
from guid.core.host_events import KeyboardEvent
from guid.core.key_sequence import KeySequence
from guid.core.session import Session, SessionConfig
from guid.core.trusted import WindowId
from guid.hosts.base import DesktopInfo, DisplayHost, HostConfig
from guid.spec import VmSpec
from guid.worker.courier import Courier
from guid.worker.pauses import Pauses
from guiproto.connection import AgentHello, DaemonConnection
from guiproto.errors import PeerMisbehaved
from guiproto.limits import GUI_PORT
from guiproto.messages import Message, xconf_for

# What is read before it is painted: more makes the display wait for us while there is something to show, less makes us
# spend more on system calls than on messages.
_READ_BYTES: Final = 8 * 1024
# The same when the display has just caught up: four messages. More would take long while the display waits, and would
# let an agent that sends as fast as it can burn a processor for frames that are never shown.
_READ_BYTES_AFTER_BUSY: Final = 112
_UNTOLD_PAUSE: Final = 0.25
"""Seconds that an agent is left alone without a line in the log."""
_OUTPUT_LIMIT: Final = 10_000_000
"""Bytes waiting for an agent that does not read; the limit of the existing daemon."""

Configs = Callable[[VmSpec], tuple[HostConfig, SessionConfig]]

log = logging.getLogger("guid")


class Worker:
    """Serves the VM of `spec` until `run` returns. Makes one mapper and one session for every vchan connection."""

    def __init__(
        self,
        spec: VmSpec,
        backend: Backend,
        host: DisplayHost,
        config: SessionConfig,
        supervisor: LineSocket,
        configs: Configs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`configs` says what host and session have to know when the VM's settings change."""
        self._spec = spec
        self._backend = backend
        self._host = host
        self._config = config
        self._supervisor = supervisor
        self._configs = configs
        self._clock = clock
        self._poll = select.epoll()
        self._wakers: dict[int, Callable[[], None]] = {}
        self._vchan: Vchan | None = None
        self._listening = False
        self._pauses = Pauses()
        self._connect_at: float | None = None
        """When an agent that came and went is to be met again."""
        self._budget = _READ_BYTES
        self._link: _Link | None = None
        self._awaited: frozenset[int] | None = None
        """Windows whose appearance the supervisor waits for."""
        self._letting_go = False
        self._flushing = False
        self._courier = Courier(supervisor)
        self._desktop: DesktopInfo | None = None
        """As the supervisor has been told it is."""
        self._do: dict[type[Any], Callable[[Any], None]] = {
            do.SendToAgent: self._send_to_agent,
            do.CreateWindow: self._create,
            do.DestroyWindow: self._destroy,
            do.MapWindow: lambda c: host.map(
                c.window, override_redirect=c.override_redirect, transient_for=c.transient_for
            ),
            do.UnmapWindow: lambda c: host.unmap(c.window),
            do.ConfigureWindow: lambda c: host.configure(c.window, c.geometry),
            do.AttachBuffer: self._attach,
            do.DetachBuffer: self._detach,
            do.SetTitle: lambda c: host.set_title(c.window, c.title),
            do.SetClass: lambda c: host.set_class(c.window, c.name),
            do.SetHints: lambda c: host.set_hints(c.window, c.hints),
            do.SetState: lambda c: host.set_state(c.window, c.set, c.unset),
            do.Maximize: lambda c: host.maximize(c.window, c.maximized),
            do.SetTransientFor: lambda c: host.set_transient_for(c.window, c.owner),
            do.SetCursor: lambda c: host.set_cursor(c.window, c.cursor),
            do.DockWindow: lambda c: host.dock(c.window),
            do.Log: lambda c: log.warning("%s: %s", spec.name, c.text),
            do.Notify: self._notify,
            **self._courier.commands,
        }

    def run(self) -> None:
        """Serve until the supervisor hangs up.

        Raises PeerMisbehaved when the agent broke a rule, MachineCannot when the display or the backend is gone.
        """
        self._watch(self._supervisor.fileno(), self._answer_supervisor)
        if self._host.fileno() >= 0:
            self._watch(self._host.fileno(), self._serve_host)
        self._tell_desktop()
        self._connect()
        patience: float | None = None
        while not self._supervisor.closed:
            for fd, _ in self._poll.poll(patience):
                self._wakers[fd]()
            self._settle()
            if self._awaited is not None:
                self._say_complete(self._awaited)
            if self._letting_go and not self._has_more_to_say():
                self._letting_go = False
                self._supervisor.send({"event": "released"})
            self._listen(not self._host.busy)
            self._flush_later(self._supervisor.wants_write)
            patience = self._tick() if self._connect_at is None else self._connect_if_due(self._connect_at)

    def _watch(self, fd: int, waker: Callable[[], None]) -> None:
        self._poll.register(fd, select.EPOLLIN)
        self._wakers[fd] = waker

    # --- the vchan ---

    def _connect_if_due(self, moment: float) -> float | None:
        """Seconds until then, None once it has come."""
        left = moment - self._clock()
        if left > 0:
            return left
        self._connect()
        return None

    def _connect(self) -> None:
        self._connect_at = None
        self._vchan = self._backend.client(self._spec.gui_domid, self._spec.domid, GUI_PORT)
        self._watch(self._vchan.fileno(), self._serve_vchan)
        self._listening = True

    def _disconnect(self) -> None:
        if self._link is not None:
            self._link.close(self._host)
            self._link = None
            self._host.flush()
        if self._vchan is not None:
            self._poll.unregister(self._vchan.fileno())
            del self._wakers[self._vchan.fileno()]
            self._vchan.close()
            self._vchan = None
            self._listening = False

    def _listen(self, listening: bool) -> None:
        """Take no more of the agent's messages while the display cannot keep up: then the agent merges its damage."""
        if self._vchan is not None and listening is not self._listening:
            self._poll.modify(self._vchan.fileno(), select.EPOLLIN if listening else 0)
            self._listening = listening
            self._budget = _READ_BYTES_AFTER_BUSY

    def _serve_vchan(self) -> None:
        vchan = self._vchan
        assert vchan is not None
        if self._link is None:
            if vchan.update() is VchanState.WAITING:
                return
            self._link = _Link(self._spec, self._backend)
            self._pauses.begin(self._clock())
        data = vchan.read(self._budget)
        if data:
            self._receive(self._link, data)
            self._budget = min(2 * self._budget, _READ_BYTES)
        elif vchan.update() is VchanState.DISCONNECTED and not vchan.data_ready():
            self._supervisor.send({"event": "disconnected"})
            self._disconnect()
            now = self._clock()
            if pause := self._pauses.end(now):
                if pause > _UNTOLD_PAUSE:
                    log.warning("%s: its agent has hung up at once; met again in %g s", self._spec.name, pause)
                self._connect_at = now + pause
            else:
                self._connect()

    def _receive(self, link: "_Link", data: bytes) -> None:
        connection = link.connection
        connection.feed(data)
        for event in connection.events():
            if link.session is not None:
                assert not isinstance(event, AgentHello)
                commands = link.session.receive(event)
                if commands:
                    self._carry_out(commands)
            else:
                assert isinstance(event, AgentHello)
                screen = self._host.screen()
                link.session = Session(self._config, screen, self._clipboard_keys(), event.minor)
                link.out += connection.accept(xconf_for(screen.width, screen.height, screen.depth))
                self._supervisor.send({"event": "connected", "version": f"1.{event.minor}"})

    def _write(self) -> None:
        link, vchan = self._link, self._vchan
        if link is None or vchan is None or not link.out:
            return
        written = vchan.write(link.out)
        del link.out[:written]
        if len(link.out) > _OUTPUT_LIMIT:
            raise PeerMisbehaved("agent does not read", f"{len(link.out)} bytes are waiting for it")

    # --- the display ---

    def _serve_host(self) -> None:
        events = self._host.events()
        self._tell_desktop()
        link = self._link
        if link is None or link.session is None:
            return
        for event in events:
            if isinstance(event, KeyboardEvent):
                link.session.set_keys(self._clipboard_keys())
            self._carry_out(link.session.host_event(event))

    def _clipboard_keys(self) -> ClipboardKeys:
        def keycodes(sequence: KeySequence | None) -> frozenset[int]:
            return frozenset() if sequence is None else self._host.keycodes(sequence.key)

        return ClipboardKeys(keycodes(self._config.copy_keys), keycodes(self._config.paste_keys))

    def _tell_desktop(self) -> None:
        desktop = self._host.desktop()
        if desktop != self._desktop:
            self._desktop = desktop
            layout = "" if desktop.layout is None else str(desktop.layout)
            monitors = "\n".join(map(str, desktop.monitors))
            self._supervisor.send({"event": "desktop", "layout": layout, "monitors": monitors})

    def _settle(self) -> None:
        """Paint what the batch damaged, and let everything out: once a turn."""
        link = self._link
        if link is not None and link.session is not None:
            for window, rects in link.session.take_damage():
                self._host.paint(window, rects)
        self._host.flush()
        self._write()

    def _tick(self) -> float | None:
        """Tell the session the time if it asked for it; seconds until it wants to know again, None for never."""
        link = self._link
        if link is None or link.session is None:
            return None
        deadline = link.session.deadline()
        if deadline is None:
            return None
        now = self._clock()
        if deadline <= now:
            self._carry_out(link.session.tick(now))
            self._settle()
            deadline = link.session.deadline()
            if deadline is None:
                return None
        return max(0.0, deadline - now)

    # --- commands ---

    def _carry_out(self, commands: Iterable[do.Command]) -> None:
        do_it = self._do
        for command in commands:
            do_it[type(command)](command)

    def _send_to_agent(self, command: do.SendToAgent) -> None:
        assert self._link is not None
        self._link.send(command.message)

    def _create(self, command: do.CreateWindow) -> None:
        assert self._link is not None
        local = self._host.create(command.window, command.geometry, override_redirect=command.override_redirect)
        self._link.local_ids[command.window] = local

    def _destroy(self, command: do.DestroyWindow) -> None:
        assert self._link is not None
        self._host.destroy(command.window)
        self._link.local_ids.pop(command.window, None)
        self._link.release(command.window)

    def _attach(self, command: do.AttachBuffer) -> None:
        link = self._link
        assert link is not None
        pages = link.map(command)
        self._host.attach(command.window, pages, command.width, command.height)
        link.release(command.window)
        link.pages[command.window] = pages

    def _detach(self, command: do.DetachBuffer) -> None:
        assert self._link is not None
        self._host.detach(command.window)
        self._link.release(command.window)

    def _notify(self, command: do.Notify) -> None:
        log.warning("%s: %s", self._spec.name, command.text)
        self._supervisor.send({"event": "notify", "text": command.text})

    # --- the supervisor ---

    def _flush_later(self, wanted: bool) -> None:
        """Be woken up when the supervisor takes more of a long answer."""
        if wanted is not self._flushing:
            self._flushing = wanted
            events = select.EPOLLIN | (select.EPOLLOUT if wanted else 0)
            self._poll.modify(self._supervisor.fileno(), events)

    def _answer_supervisor(self) -> None:
        self._supervisor.flush()
        for request in self._supervisor.receive():
            match request.get("op"):
                case "windows":
                    self._supervisor.send({"event": "windows", "id": request.get("id"), "windows": self._windows()})
                case "shown":
                    self._supervisor.send({"event": "shown", "windows": sorted(self._shown())})
                case "await":
                    self._awaited = frozenset(request["windows"])
                case "used":
                    self._host.used()
                case "desktop":
                    self._desktop = None
                    self._tell_desktop()
                case "let go":
                    self._let_go()
                case "settings":
                    self._reconfigure(VmSettings(**request["settings"]))
                case "paste":
                    self._paste(self._courier.open(request))

    def _reconfigure(self, settings: VmSettings) -> None:
        self._spec = dataclasses.replace(self._spec, settings=settings)
        host, self._config = self._configs(self._spec)
        self._host.reconfigure(host)
        if self._link is not None and self._link.session is not None:
            self._link.session.set_keys(self._clipboard_keys())
            self._carry_out(self._link.session.reconfigure(self._config))

    def _let_go(self) -> None:
        """Another GUI domain is about to have the windows: what the user has done with them so far still counts."""
        link = self._link
        if link is not None and link.session is not None:
            for window in link.session.mapped():
                self._host.unmap(window)
            # From now on the display has nowhere to send keys to but elsewhere, and what it sent before is here.
            self._host.sync()
            self._serve_host()
        self._letting_go = True

    def _paste(self, text: bytes) -> None:
        link = self._link
        if link is not None and link.session is not None:
            self._carry_out(link.session.paste(text))

    def _has_more_to_say(self) -> bool:
        return self._link is not None and bool(self._link.out)

    def _shown(self) -> frozenset[int]:
        link = self._link
        return frozenset() if link is None or link.session is None else link.session.shown()

    def _say_complete(self, awaited: frozenset[int]) -> None:
        """Once the awaited windows are on the display: not before it has drawn what it was sent."""
        if not self._host.busy and awaited <= self._shown():
            self._awaited = None
            self._supervisor.send({"event": "complete", "windows": sorted(awaited)})

    def _windows(self) -> list[dict[str, Any]]:
        link = self._link
        if link is None or link.session is None:
            return []
        about = {"vm": self._spec.name, "domid": self._spec.domid, "label_color": f"0x{self._host_color():06x}"}
        rows = []
        for window in link.session.snapshot():
            remote = WindowId(window["remote_id"])
            pages = link.pages.get(remote)
            copies = None if pages is None else pages.copies + self._host.copies
            rows.append(about | {"local_id": link.local_ids.get(remote, 0)} | window | {"copies_per_frame": copies})
        return rows

    def _host_color(self) -> int:
        return self._config.label.color

    def close(self) -> None:
        """Remove the windows and hang up."""
        with contextlib.suppress(Exception):
            self._disconnect()
        self._host.close()
        self._poll.close()


class _Link:
    """What lives as long as one vchan connection."""

    def __init__(self, spec: VmSpec, backend: Backend) -> None:
        self.connection = DaemonConnection()
        self.mapper: PageMapper = backend.mapper(spec.gui_domid, spec.domid)
        self.session: Session | None = None
        self.out = bytearray()
        self.pages: dict[WindowId, MappedPages] = {}
        self.local_ids: dict[WindowId, int] = {}

    def send(self, message: Message) -> None:
        self.out += self.connection.encode(message)

    def map(self, command: do.AttachBuffer) -> MappedPages:
        pages = self.mapper.map_frames(command.refs) if command.frames else self.mapper.map(command.refs)
        if command.offset:
            view = pages.view[command.offset :] if pages.view is not None else None
            pages = dataclasses.replace(
                pages, offset=pages.offset + command.offset, length=pages.length - command.offset, view=view
            )
        return pages

    def release(self, window: WindowId) -> None:
        pages = self.pages.pop(window, None)
        if pages is not None:
            pages.release()

    def close(self, host: DisplayHost) -> None:
        for window in list(self.local_ids):
            host.destroy(window)
            self.release(window)
        self.local_ids.clear()
        self.mapper.close()
