"""A process of its own that talks to libvirt: one request or event a line, JSON, on the socket that is its stdin.

libvirt's client may start threads and keeps connections; the supervisor forks workers, which must inherit neither. And
whatever libvirt's daemon does to its clients, this process is all that can be lost.

    {"op": OP, ...}        define (xml), start, shutdown, destroy, undefine (name), list
    {"ok": true, ...}      the answer to each, in order; {"ok": false, "error": TEXT, "remedy": TEXT}
    {"event": KIND, "name": NAME, "xml": XML or null, "why": TEXT}
                           KIND: started, stopped, rebooted; for every domain of that libvirt, ours or not
"""

import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import libvirt

_READ_BYTES = 1 << 20

_WHY = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: "it was shut down",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: "it was destroyed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: "it crashed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED: "it was saved",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: "its hypervisor failed",
}


class _Server:
    def __init__(self, line: socket.socket, uri: str) -> None:
        self._line = line
        self._buffer = b""
        self._connection = libvirt.open(uri)
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "define": self._define,
            "start": lambda request: self._on(request, lambda domain: domain.create()),
            "shutdown": lambda request: self._on(request, lambda domain: domain.shutdown()),
            "destroy": lambda request: self._on(request, lambda domain: domain.destroy()),
            "undefine": lambda request: self._on(request, lambda domain: domain.undefine()),
            "list": self._list,
        }
        events = (
            (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._lifecycle),
            (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._rebooted),
        )
        for kind, callback in events:
            self._connection.domainEventRegisterAny(None, kind, callback, None)
        self._connection.registerCloseCallback(self._lost, None)
        libvirt.virEventAddHandle(line.fileno(), libvirt.VIR_EVENT_HANDLE_READABLE, self._readable, None)
        self._say({"ok": True})

    def _readable(self, *_: object) -> None:
        data = b""
        with contextlib.suppress(ConnectionError):
            data = self._line.recv(_READ_BYTES)
        if not data:
            os._exit(0)  # whoever we serve is gone
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            try:
                self._say({"ok": True, **self._operations[request["op"]](request)})
            except libvirt.libvirtError as error:
                self._say(
                    {"ok": False, "error": error.get_error_message() or str(error), "code": error.get_error_code()}
                )

    def _define(self, request: dict[str, Any]) -> dict[str, Any]:
        self._connection.defineXML(request["xml"])
        return {}

    def _on(self, request: dict[str, Any], action: Callable[[Any], object]) -> dict[str, Any]:
        domain = self._connection.lookupByName(request["name"])
        action(domain)
        return {"xml": domain.XMLDesc()} if request["op"] == "start" else {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - one signature for all
        domains = []
        for domain in self._connection.listAllDomains():
            with contextlib.suppress(libvirt.libvirtError):  # it went away meanwhile
                domains.append({"xml": domain.XMLDesc(), "running": bool(domain.isActive())})
        return {"domains": domains}

    def _lifecycle(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: object) -> None:
        if event == libvirt.VIR_DOMAIN_EVENT_STARTED:
            self._tell("started", domain, "")
        elif event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
            self._tell("stopped", domain, _WHY.get(detail, "it stopped"))

    def _rebooted(self, _connection: Any, domain: Any, _opaque: object) -> None:
        self._tell("rebooted", domain, "")

    def _tell(self, kind: str, domain: Any, why: str) -> None:
        xml = None
        with contextlib.suppress(libvirt.libvirtError):  # a transient one is gone by now
            xml = domain.XMLDesc()
        self._say({"event": kind, "name": domain.name(), "xml": xml, "why": why})

    def _lost(self, *_: object) -> None:
        os._exit(3)

    def _say(self, message: dict[str, Any]) -> None:
        try:
            self._line.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            os._exit(0)  # whoever we serve is gone


def main() -> None:
    """Serve until the other end of stdin is closed. `sys.argv[1]`: libvirt's URI."""
    line = socket.socket(fileno=0)
    libvirt.registerErrorHandler(lambda *_: None, None)  # errors are answers here, not lines on stderr
    libvirt.virEventRegisterDefaultImpl()
    try:
        server = _Server(line, sys.argv[1])
    except libvirt.libvirtError as error:
        line.sendall(json.dumps({"ok": False, "error": error.get_error_message() or str(error)}).encode() + b"\n")
        return
    while server is not None:
        libvirt.virEventRunDefaultImpl()


if __name__ == "__main__":
    main()
