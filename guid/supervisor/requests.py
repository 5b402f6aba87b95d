"""What clients of the control socket may ask, and who waits for what."""

import contextlib
import select
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from backends.base import DomainSpec
from guid.config.configuration import Configuration
from guid.config.gui_domains import GuiDomain
from guid.control import LineSocket, Listener, Message
from guid.spec import VmSpec
from guid.supervisor.clipboards import Clipboards
from guid.supervisor.limits import usage_row
from guid.supervisor.queries import Queries
from guid.supervisor.swaps import Done
from guid.supervisor.vm import Vm
from guiproto.errors import MachineCannot


@dataclass(eq=False, slots=True)
class _Stop:
    """A `stop` request that waits for VMs to end."""

    client: LineSocket
    names: list[str]
    waiting: set[str]
    everything: bool
    """Whether the supervisor ends with them."""


class Control(Protocol):
    """What requests do to a supervisor."""

    @property
    def vms(self) -> Mapping[str, Vm]:
        """Every VM by name."""

    @property
    def clipboards(self) -> Clipboards:
        """What is copied."""

    def start(self, spec: VmSpec, domain: DomainSpec, *, kept: bool = True) -> None:
        """Start an AppVM."""

    def resume(self, spec: VmSpec) -> None:
        """Start an AppVM that lasts, and show it."""

    def swap(self, name: str, spec: VmSpec, done: Done) -> None:
        """Begin to move a VM's windows."""

    def reload(self) -> list[dict[str, Any]]:
        """Read the configuration again."""

    def settings(self, name: str) -> list[dict[str, Any]]:
        """A VM's settings."""

    def configuration(self) -> Configuration:
        """What is configured."""

    def end(self, vm: Vm, reason: str) -> None:
        """Begin to end a VM."""

    def shut_down(self) -> None:
        """End the supervisor."""


class Requests:
    """The clients of `listener`, polled through `poll`."""

    def __init__(self, listener: Listener, poll: select.epoll, control: Control, queries: Queries) -> None:
        self._listener = listener
        self._poll = poll
        self._control = control
        self._queries = queries
        self._clients: dict[int, LineSocket] = {}
        self._stops: list[_Stop] = []
        self._handlers: dict[str, Callable[[LineSocket, Message], None]] = {
            "ps": self._ps,
            "windows": self._windows,
            "usage": self._usage,
            "stop": self._stop,
            "run": self._run,
            "resume": self._resume,
            "follow": self._follow,
            "swap": self._swap,
            "reload": self._reload,
            "settings": self._settings,
            "used": self._used,
            "clipboard": self._clipboard,
        }
        poll.register(listener.fileno(), select.EPOLLIN)

    def __bool__(self) -> bool:
        """Whether anybody is connected."""
        return bool(self._clients)

    def ready(self, fd: int) -> bool:
        """Serve a descriptor that polls ready; False if it is none of ours."""
        if fd == self._listener.fileno():
            self._accept()
        elif fd in self._clients:
            self._serve(fd, self._clients[fd])
        else:
            return False
        return True

    def ended(self, name: str) -> None:
        """A VM is gone."""
        for stop in list(self._stops):
            stop.waiting.discard(name)
            self._answer(stop)

    def close(self) -> None:
        """Hang up and stop listening."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._listener.close()

    def _accept(self) -> None:
        client = self._listener.accept()
        if client is not None:
            self._clients[client.fileno()] = client
            self._poll.register(client.fileno(), select.EPOLLIN)

    def _serve(self, fd: int, client: LineSocket) -> None:
        client.flush()
        for request in client.receive():
            try:
                handler = self._handlers.get(str(request.get("op")))
                if handler is None:
                    raise MachineCannot(f"unknown request {request.get('op')!r}")
                handler(client, request)
            except MachineCannot as error:
                client.send({"ok": False, "error": str(error)})
            except (KeyError, TypeError, ValueError) as error:
                client.send({"ok": False, "error": f"bad request: {error}"})
        if client.closed:
            self._hung_up(fd, client)
        else:
            self._poll.modify(fd, select.EPOLLIN | (select.EPOLLOUT if client.wants_write else 0))

    def _hung_up(self, fd: int, client: LineSocket) -> None:
        del self._clients[fd]
        with contextlib.suppress(OSError, ValueError):
            self._poll.unregister(fd)
        client.close()
        for vm in list(self._control.vms.values()):
            if client in vm.followers:
                vm.followers.remove(client)
                if not vm.followers and not vm.kept:
                    self._control.end(vm, "nobody follows it any more")

    def _ps(self, client: LineSocket, request: Message) -> None:  # noqa: ARG002 - one signature for all
        client.send({"ok": True, "vms": [vm.row() for vm in self._control.vms.values()]})

    def _windows(self, client: LineSocket, request: Message) -> None:  # noqa: ARG002 - one signature for all
        vms = self._control.vms.values()
        self._queries.ask(
            "windows", vms, lambda rows, silent: client.send({"ok": True, "windows": rows, "silent": silent})
        )

    def _usage(self, client: LineSocket, request: Message) -> None:  # noqa: ARG002 - one signature for all
        """How much of its limits each VM uses; nothing is known of those that are not shown now."""
        vms = dict(self._control.vms)

        def answer(rows: list[dict[str, Any]], silent: list[str]) -> None:
            used = {row["vm"]: row for row in rows}
            limits = [usage_row(vm, used.get(name)) for name, vm in vms.items()]
            client.send({"ok": True, "usage": limits, "silent": silent})

        self._queries.ask("usage", vms.values(), answer)

    def _stop(self, client: LineSocket, request: Message) -> None:
        vms = self._control.vms
        everything = bool(request.get("all"))
        names = list(vms) if everything else [str(name) for name in request["names"]]
        wanted = [self._vm(name) for name in names]
        stop = _Stop(client, names, set(names), everything)
        self._stops.append(stop)
        for vm in wanted:
            self._control.end(vm, "stopped on request")
        self._answer(stop)

    def _answer(self, stop: _Stop) -> None:
        if not stop.waiting and stop in self._stops:
            self._stops.remove(stop)
            stop.client.send({"ok": True, "stopped": stop.names})
            if stop.everything:
                self._control.shut_down()

    def _run(self, client: LineSocket, request: Message) -> None:
        spec = VmSpec.from_json(request["vm"])
        self._control.start(spec, DomainSpec(**request["domain"]), kept=bool(request.get("kept")))
        self._follow(client, {"name": spec.name})

    def _resume(self, client: LineSocket, request: Message) -> None:
        spec = VmSpec.from_json(request["vm"])
        self._control.resume(spec)
        row = self._vm(spec.name).row()
        client.send({"ok": True, **row, "stale": not self._control.configuration().is_current()})

    def _follow(self, client: LineSocket, request: Message) -> None:
        vm = self._vm(str(request["name"]))
        vm.followers.append(client)
        client.send({"ok": True, **vm.row(), "stale": not self._control.configuration().is_current()})

    def _used(self, client: LineSocket, request: Message) -> None:
        """The user starts something in the VM: what that shows may have the focus."""
        vm = self._vm(str(request["name"]))
        if vm.child is not None:
            vm.child.line.send({"op": "used"})
        client.send({"ok": True})

    def _swap(self, client: LineSocket, request: Message) -> None:
        """Answered when the last of the VMs has moved, or not."""
        names = [str(name) for name in request["names"]]
        target = GuiDomain(**request["to"])
        running = {vm.spec.name: vm.spec.domid for vm in self._control.vms.values()}
        if not names:
            raise MachineCannot("no VM to move", "name at least one")
        vms = {name: self._vm(name) for name in names}
        results: dict[str, tuple[bool, str]] = {}

        def note(name: str, moved: bool, text: str) -> None:
            results[name] = moved, text
            if len(results) == len(vms):
                rows = [{"name": name, "moved": moved, "text": text} for name, (moved, text) in results.items()]
                client.send({"ok": True, "swaps": rows})

        for name, vm in vms.items():
            try:
                self._control.swap(name, target.shows(vm.spec, running), partial(note, name))
            except MachineCannot as error:
                note(name, False, str(error))

    def _reload(self, client: LineSocket, request: Message) -> None:  # noqa: ARG002 - one signature for all
        rows = self._control.reload()
        client.send({"ok": True, "path": str(self._control.configuration().path), "vms": rows})

    def _settings(self, client: LineSocket, request: Message) -> None:
        rows = self._control.settings(str(request["name"]))
        client.send({"ok": True, "path": str(self._control.configuration().path), "settings": rows})

    def _clipboard(self, client: LineSocket, request: Message) -> None:
        """What is copied; with `clear`, what was, and now is not any more."""
        rows = self._control.clipboards.rows()
        if request.get("clear"):
            self._control.clipboards.clear()
        client.send({"ok": True, "clipboards": rows})

    def _vm(self, name: str) -> Vm:
        vm = self._control.vms.get(name)
        if vm is None:
            raise MachineCannot(f"no VM {name!r} here", "see `guid ps`")
        return vm
