"""One line to another domain, shared by objects here: each has a connection of its own to this process's socket.

So a process that is forked, or dies, has or loses its own connections and nothing else. `python3 -m` it with the path
of the socket to be, and the command line that runs `far_end` in the other domain.
"""

import os
import select
import socket
import subprocess
import sys

_READ_BYTES = 1 << 20


class Switchboard:
    """The connections, numbered."""

    def __init__(self, path: str, command: list[str]) -> None:
        self._far = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._far.stdin is not None
        assert self._far.stdout is not None
        self._to, self._from = self._far.stdin.fileno(), self._far.stdout.fileno()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{path}.new")
        self._listener.listen(64)
        os.rename(f"{path}.new", path)  # whoever sees it can connect
        self._poll = select.poll()
        for fd in (self._listener.fileno(), self._from):
            self._poll.register(fd, select.POLLIN)
        self._callers: dict[int, tuple[int, socket.socket]] = {}
        self._pieces: dict[int, bytes] = {}
        self._next = 0

    def run(self) -> None:
        """Until the line ends."""
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._from:
                    if not self._hear():
                        return
                elif fd == self._listener.fileno():
                    caller, _ = self._listener.accept()
                    self._callers[caller.fileno()] = self._next, caller
                    self._next += 1
                    self._poll.register(caller, select.POLLIN)
                else:
                    self._pass_on(fd)

    def _pass_on(self, fd: int) -> None:
        number, caller = self._callers[fd]
        try:
            data = caller.recv(_READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self._poll.unregister(fd)
            caller.close()
            del self._callers[fd]
            self._say(b'%d ["gone"]\n' % number)
            return
        *lines, rest = (self._pieces.pop(fd, b"") + data).split(b"\n")
        self._pieces[fd] = rest
        for line in lines:
            self._say(b"%d %s\n" % (number, line))

    def _say(self, line: bytes) -> None:
        left = memoryview(line)
        while left:
            left = left[os.write(self._to, left) :]

    def _hear(self) -> bool:
        data = os.read(self._from, _READ_BYTES)
        *lines, rest = (self._pieces.pop(self._from, b"") + data).split(b"\n")
        self._pieces[self._from] = rest
        callers = dict(self._callers.values())
        for line in lines:
            number, _, message = line.partition(b" ")
            caller = callers.get(int(number))
            if caller is not None:
                caller.sendall(message + b"\n")
        return bool(data)


if __name__ == "__main__":
    Switchboard(sys.argv[1], sys.argv[2:]).run()
