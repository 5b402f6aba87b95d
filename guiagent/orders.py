"""Commands that the AppVM's owner starts from outside, over a line such as a virtio-serial port: JSON, one a line.

{"run": ["xterm", "-e", "top"]}    start it on the AppVM's display
{"started": PID}                   the answer, or {"error": TEXT}
"""

import contextlib
import json
import os
import select
from collections.abc import Callable
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
