"""The line to the process that talks to libvirt: requests are answered in order, events are kept until asked for."""

import contextlib
import json
import os
import pwd
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from guiproto.errors import MachineCannot

DEFAULT_URI: Final = "qemu:///session"
_TIMEOUT: Final = 60.0
"""The longest that libvirt may take for one thing: starting a QEMU on a busy machine."""
_READ_BYTES: Final = 1 << 20


def checked_uri(environ: Mapping[str, str]) -> str:
    """$LIBVIRT_DEFAULT_URI, or libvirt of this user. Raises MachineCannot for one on another machine."""
    uri = environ.get("LIBVIRT_DEFAULT_URI") or DEFAULT_URI
    parts = urlsplit(uri)
    if parts.netloc or "+" in parts.scheme:
        raise MachineCannot(
            f"{uri} is another machine's libvirt: the memory of its VMs cannot be mapped here",
            "run guid on that machine, with DISPLAY set to a display server there (for example Xvnc)",
        )
    if parts.scheme != "qemu" or parts.path not in ("/session", "/system"):
        raise MachineCannot(f"{uri} is no libvirt for QEMU", "use qemu:///session or qemu:///system")
    return uri


def unprivileged(uri: str) -> Sequence[str]:
    """What makes libvirt of this user work for root too.

    libvirt takes whoever has the user id 0 for the administrator, whose VMs belong to the whole machine. In a user
    namespace where the same user has another number, root's libvirt and QEMUs are like anybody's: they own root's files
    and have none of his privileges. The number must be one that the system has a name for, and always the same one.
    """
    if os.geteuid() != 0 or not uri.endswith("/session"):
        return ()
    user = min((entry for entry in pwd.getpwall() if entry.pw_uid != 0), key=lambda entry: entry.pw_uid)
    return "unshare", "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}", "--"


class Hypervisor:
    """Requests block until they are answered; raises MachineCannot when libvirt refuses or is gone."""

    def __init__(self, uri: str) -> None:
        """Connects. Raises MachineCannot."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._process = subprocess.Popen(
                [*unprivileged(uri), sys.executable, "-m", "backends.kvm.hypervisor", uri],
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
            raise MachineCannot(f"{what}: {reply['error']}", "see `guid doctor`, and QEMU's log of the VM")
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
