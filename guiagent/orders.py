"""Commands that the AppVM's owner starts from outside, over a line such as a virtio-serial port: JSON, one a line.

{"run": ["xterm", "-e", "top"]}    start it on the AppVM's display
{"started": PID}                   the answer, or {"error": TEXT}
"""

import contextlib
import json
import os
import select
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

_READ_BYTES: Final = 4096
_LONGEST: Final = 256 * 1024


class Orders:
    """The AppVM's end of the line.

    A virtio-serial port polls as hung up while nobody is connected outside, so it is watched edge-triggered.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._epoll.register(self._fd, select.EPOLLIN | select.EPOLLET)
        self._buffer = b""

    def fileno(self) -> int:
        """Polls readable when there may be an order."""
        return self._epoll.fileno()

    def serve(self, start: Callable[[list[str]], int]) -> None:
        """Carry out what has arrived. `start` returns a pid, or raises OSError."""
        self._epoll.poll(0)
        with contextlib.suppress(OSError):
            while data := os.read(self._fd, _READ_BYTES):
                self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > _LONGEST:
            self._buffer = b""
        for line in lines:
            answer: dict[str, object]
            try:
                command = json.loads(line)["run"]
                if not command or not all(isinstance(word, str) for word in command):
                    raise ValueError
                answer = {"started": start(command)}
            except OSError as error:
                answer = {"error": f"{command[0]}: {error.strerror}"}
            except (ValueError, KeyError, TypeError):
                answer = {"error": "this is no order"}
            with contextlib.suppress(OSError):
                os.write(self._fd, json.dumps(answer).encode() + b"\n")


class Pipe:
    """The AppVM's end of a line that carries one command's input and output at a time; a `Relay` serves it."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        self._epoll = select.epoll()
        self._relay = 0
        self._watch()

    def fileno(self) -> int:
        """Polls readable when somebody may want something."""
        return self._epoll.fileno()

    def serve(self, environ: Mapping[str, str]) -> None:
        """Hand the line to a relay, if somebody is there and none serves it. `environ`: that of applications."""
        self._epoll.poll(0)
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        events = sum(events for _, events in poll.poll(0))
        if self._relay or events & select.POLLHUP:
            return
        self._epoll.unregister(self._fd)
        argv = [sys.executable, "-sP", "-m", "guiagent.relay"]
        path = {"PYTHONPATH": os.pathsep.join(sys.path)}
        actions = [(os.POSIX_SPAWN_DUP2, self._fd, 0)]
        self._relay = os.posix_spawn(sys.executable, argv, {**environ, **path}, file_actions=actions, setsigmask=[])

    def ended(self, pid: int, environ: Mapping[str, str]) -> None:
        """A process has ended; if it was the relay, the line is ours again, and the next may be waiting."""
        if pid == self._relay:
            self._relay = 0
            self._watch()
            self.serve(environ)

    def _watch(self) -> None:
        # A line that somebody has connected to and said nothing on is writable, and nothing else tells it from before.
        self._epoll.register(self._fd, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
