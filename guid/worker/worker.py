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
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

from backends.base import Backend, Vchan, VchanState
from guid.config.settings import VmSettings
from guid.control import LineSocket
from guid.core import commands as do
from guid.core.clipboard import ClipboardKeys
from guid.core.config import Limit
from guid.core.host_events import KeyboardEvent
from guid.core.key_sequence import KeySequence
from guid.core.session import Session, SessionConfig
from guid.core.trusted import WindowId
from guid.hosts.base import DesktopInfo, DisplayHost, HostConfig
from guid.spec import VmSpec
from guid.worker.courier import Courier
from guid.worker.icons import IconLine
from guid.worker.link import Link
from guid.worker.pauses import Pauses
from guid.worker.throttle import Throttle
from guiproto.connection import AgentHello
from guiproto.errors import PeerMisbehaved
from guiproto.limits import GUI_PORT
from guiproto.messages import DamageBatch, Message, xconf_for
from guiproto.ports import ICON_PORT

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

PORTS: Final = (GUI_PORT, ICON_PORT)
"""Where a worker finds its VM."""
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
        self._busy = False
        """Whether the display was, in the last turn."""
        self._throttle = Throttle(config.quotas.messages, clock())
        self._link: Link | None = None
        self._reached: set[Limit] = set()
        """What the supervisor has been told of."""
        self._awaited: frozenset[int] | None = None
        """Windows whose appearance the supervisor waits for."""
        self._letting_go = False
        self._flushing = False
        self._courier = Courier(supervisor)
        self._icons = IconLine(spec, backend, self._poll, self._wakers, host.set_icon, clock)
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
            do.LimitReached: lambda c: self._limit_reached(c.limit),
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
                waker = self._wakers.get(fd)  # an earlier one may have ended it
                if waker is not None:
                    waker()
            icons = self._show_icons()
            self._settle()
            if self._awaited is not None:
                self._say_complete(self._awaited)
            if self._letting_go and not self._has_more_to_say():
                self._letting_go = False
                self._supervisor.send({"event": "released"})
            pause = self._throttle.wait(self._clock()) if self._throttle.over else 0.0
            self._listen(paused=pause > 0.0)
            self._flush_later(self._supervisor.wants_write)
            tick = self._tick() if self._connect_at is None else self._connect_if_due(self._connect_at)
            patience = _sooner(tick, icons)
            if pause:
                patience = _sooner(patience, pause)

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
        self._icons.close()
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

    def _listen(self, *, paused: bool) -> None:
        """Take no more of the agent's messages while the display cannot keep up, or it has said too much.

        Then the agent merges its damage.
        """
        busy = self._host.busy
        if busy is not self._busy:
            self._busy = busy
            self._budget = _READ_BYTES_AFTER_BUSY
        listening = not (busy or paused)
        if self._vchan is not None and listening is not self._listening:
            self._poll.modify(self._vchan.fileno(), select.EPOLLIN if listening else 0)
            self._listening = listening

    def _serve_vchan(self) -> None:
        vchan = self._vchan
        assert vchan is not None
        if self._link is None:
            if vchan.update() is VchanState.WAITING:
                return
            self._link = Link(self._spec, self._backend)
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

    def _receive(self, link: Link, data: bytes) -> None:
        connection = link.connection
        connection.feed(data)
        events = connection.events()
        if link.session is None:
            hello = next(events, None)
            if hello is None:
                return
            assert isinstance(hello, AgentHello)
            link.session = self._greet(link, hello)
        before, consequences = connection.decoded, 0
        messages = cast("Iterator[Message | DamageBatch]", events)  # the hello is over
        for commands in filter(None, map(link.session.receive, messages)):
            consequences += 1
            self._carry_out(commands)
        if self._throttle.count(connection.decoded - before, consequences, len(data), self._clock()):
            self._limit_reached(Limit.MESSAGE_RATE)

    def _greet(self, link: Link, hello: AgentHello) -> Session:
        screen = self._host.screen()
        link.out += link.connection.accept(xconf_for(screen.width, screen.height, screen.depth))
        if self._spec.settings.window_icons == "vm":
            self._icons.open()
        self._supervisor.send({"event": "connected", "version": f"1.{hello.minor}"})
        return Session(self._config, screen, self._clipboard_keys(), hello.minor)

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

    def _show_icons(self) -> float | None:
        """The VM's icons that are due, before `_settle` lets everything out; as `_tick`."""
        return None if self._link is None else self._icons.settle(self._link.local_ids)

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

    def _limit_reached(self, limit: Limit) -> None:
        if limit not in self._reached:
            self._reached.add(limit)
            self._supervisor.send({"event": "limit", "limit": limit})

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
                    self._supervisor.send({"event": "windows", "id": request.get("id"), "rows": self._windows()})
                case "usage":
                    self._supervisor.send({"event": "usage", "id": request.get("id"), "rows": [self._usage()]})
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
        before, self._spec = self._spec.settings, dataclasses.replace(self._spec, settings=settings)
        quotas = self._config.quotas
        host, self._config = self._configs(self._spec)
        if self._config.quotas != quotas:
            self._throttle.change(self._config.quotas.messages)
            self._reached.clear()
        self._host.reconfigure(host)
        if self._link is not None and self._link.session is not None:
            self._link.session.set_keys(self._clipboard_keys())
            self._carry_out(self._link.session.reconfigure(self._config))
            if settings.window_icons != before.window_icons:
                self._change_icons(self._link, of_vm=settings.window_icons == "vm")

    def _change_icons(self, link: Link, *, of_vm: bool) -> None:
        if of_vm:
            self._icons.open()
            return
        self._icons.close()
        for window in link.local_ids:
            self._host.set_icon(window, None)

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

    def _usage(self) -> dict[str, int]:
        session = self._link.session if self._link is not None else None
        used: dict[str, int] = dict.fromkeys(Limit, 0)
        if session is not None:
            used |= session.usage()
        return {**used, Limit.MESSAGE_RATE: self._throttle.rate(self._clock())}

    def _host_color(self) -> int:
        return self._config.label.color

    def close(self) -> None:
        """Remove the windows and hang up."""
        with contextlib.suppress(Exception):
            self._disconnect()
        self._host.close()
        self._poll.close()


def _sooner(one: float | None, other: float | None) -> float | None:
    """The sooner of two waits, of which None is for ever."""
    return min((wait for wait in (one, other) if wait is not None), default=None)
