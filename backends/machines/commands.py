"""Commands started in a guest from the host, over two virtio-serial ports: one to start them, one to be their terminal.

QEMU serves one connection to a port at a time and keeps the next ones waiting. Starting takes a moment, so waiting is
fine; a command whose input and output are passed on keeps its port, and a lock beside the socket says so at once.
"""

import contextlib
import fcntl
import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from backends.frames import DATA, NUMBER, ORDER, PROBLEM, READY, STATUS, Frames, frame, write_all
from backends.machines.places import data_dir
from guiproto.errors import MachineCannot, PeerMisbehaved

_SECONDS: Final = 180.0
"""How long a command waits for the VM to come up: emulated ones take their time."""
_READ_BYTES: Final = 64 * 1024


def start(name: str, path: str, command: Sequence[str], seconds: float = _SECONDS) -> None:
    """Start a command; returns when that is done. Raises MachineCannot with what the guest says."""
    end = time.monotonic() + seconds
    with _connected(name, path, seconds) as line:
        answer = b""
        try:
            line.sendall(json.dumps({"run": list(command)}).encode() + b"\n")
            while not answer.endswith(b"\n") and time.monotonic() < end and len(answer) < _READ_BYTES:
                piece = line.recv(4096)
                if not piece:
                    break
                answer += piece
        except OSError as error:
            raise MachineCannot(f"{name} does not answer: {error}", f"does it run (`guid vm start {name}`)?") from None
    said = None
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(answer)
    if not isinstance(said, dict) or "error" in said:
        what = str(said["error"]) if isinstance(said, dict) else "it answered nothing that makes sense"
        raise MachineCannot(f"{name}: {printable(what)}")


def attach(name: str, path: str, command: Sequence[str], seconds: float = _SECONDS) -> int:
    """Run a command with this process's standard input and output; its exit status. Raises MachineCannot."""
    with (data_dir() / f"{name}.pipe.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MachineCannot(f"another command's input and output are passed on to {name}", "wait for it") from None
        with _connected(name, path, seconds) as line:
            line.settimeout(None)
            try:
                return _carry(name, line, command, seconds)
            except OSError as error:
                raise MachineCannot(f"{name} hung up: {error}") from None
            except PeerMisbehaved as error:
                raise MachineCannot(f"{name}: {error}") from None


def _carry(name: str, line: socket.socket, command: Sequence[str], seconds: float) -> int:
    frames = Frames()
    poll = select.poll()
    poll.register(line, select.POLLIN)
    patience: float | None = seconds * 1000
    while True:
        ready = poll.poll(patience)
        if not ready:
            raise MachineCannot(f"{name} takes no command", "has it started? See its console.log")
        for fd, _ in ready:
            if fd == 0:
                data = os.read(0, _READ_BYTES)
                write_all(line.fileno(), frame(DATA, data))
                if not data:
                    poll.unregister(0)
                continue
            data = line.recv(_READ_BYTES)
            if not data:
                raise MachineCannot(f"{name} hung up in the middle of the command")
            for kind, content in frames.feed(data):
                if kind == READY:
                    write_all(line.fileno(), frame(ORDER, json.dumps({"run": list(command)}).encode()))
                    poll.register(0, select.POLLIN)
                    patience = None
                elif kind == DATA:
                    write_all(sys.stdout.fileno(), content)
                elif kind == STATUS and len(content) == NUMBER.size:
                    return int(NUMBER.unpack(content)[0]) & 0xFF
                elif kind == PROBLEM:
                    raise MachineCannot(f"{name}: {printable(content.decode(errors='replace'))}")


def printable(text: str) -> str:
    """What a guest says, in one line that does nothing to a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text[:200])


@contextlib.contextmanager
def _connected(name: str, path: str, seconds: float) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(seconds)
        try:
            if not Path(path).is_socket():
                raise FileNotFoundError
            line.connect(path)
        except OSError:
            raise MachineCannot(f"{name} does not run", f"`guid vm start {name}`") from None
        yield line
