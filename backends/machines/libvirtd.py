"""The line to the process that talks to libvirt: requests are answered in order, events are kept until asked for."""

import contextlib
import importlib.util
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from guiproto.errors import MachineCannot

_TIMEOUT: Final = 60.0
"""The longest that libvirt may take for one thing: starting a QEMU on a busy machine."""
_READ_BYTES: Final = 1 << 20


class Hypervisor:
    """Requests block until they are answered; raises MachineCannot when libvirt refuses or is gone."""

    def __init__(self, uri: str, prefix: Sequence[str] = ()) -> None:
        """Connects. `prefix` goes before the process's command line. Raises MachineCannot."""
        if importlib.util.find_spec("libvirt") is None:
            raise MachineCannot(
                "the Python module libvirt is not installed",
                "make help lists what installs it for your hypervisor; or pip install libvirt-python",
            )
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "backends.machines.hypervisor", uri],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path)},
                start_new_session=True,  # a terminal's Ctrl-C is not for it
            )  # fmt: skip
        self._line = ours
        self._buffer = b""
        self._events: list[dict[str, Any]] = []
        self._replies: list[dict[str, Any]] = []
        self._poll = select.poll()
        self._poll.register(ours, select.POLLIN)
        try:
            self._answer(f"cannot connect to libvirt at {uri}")
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """Polls readable when `events` has something, or the process has ended."""
        return self._line.fileno()

    def request(self, op: str, **fields: str) -> dict[str, Any]:
        """The answer of libvirt. Raises MachineCannot with what it said."""
        try:
            self._line.sendall(json.dumps({"op": op, **fields}).encode() + b"\n")
        except OSError:
            raise _gone() from None
        return self._answer(f"libvirt: cannot {op} {fields.get('name', '')}".rstrip())

    def events(self) -> list[dict[str, Any]]:
        """What happened since the last call. Never blocks. Raises MachineCannot when libvirt is gone."""
        while self._poll.poll(0):
            self._read()
        events, self._events = self._events, []
        return events

    def pending(self) -> bool:
        """Whether `events` would return something without reading."""
        return bool(self._events)

    def close(self) -> None:
        """End the process. Domains are not touched."""
        self._line.close()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self, what: str) -> dict[str, Any]:
        end = time.monotonic() + _TIMEOUT
        self._replies.clear()
        while not self._replies:
            if not self._poll.poll(max(0.0, end - time.monotonic()) * 1000):
                raise MachineCannot(f"{what}: no answer in {_TIMEOUT:g} s", "is libvirtd stuck? See its log")
            self._read()
        reply = self._replies.pop()
        if not reply["ok"]:
            raise MachineCannot(f"{what}: {reply['error']}", "see `guid doctor`, and the log of the VM")
        return reply

    def _read(self) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = self._line.recv(_READ_BYTES)
        if not data:
            raise _gone()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "event" in message:
                self._events.append(message)
            else:
                self._replies.append(message)


def _gone() -> MachineCannot:
    return MachineCannot("the connection to libvirt is lost", "VMs run on; the next command connects again")
