"""Runs one command for somebody outside, and carries its input and output over the line that is stdin and stdout here.

Ends with the command. If the line hangs up, the command is told so as by a terminal (SIGHUP).
"""

import contextlib
import json
import os
import select
import signal
import subprocess
from typing import Final

from backends.frames import DATA, NUMBER, ORDER, PROBLEM, READY, STATUS, Frames, frame, write_all
from guiproto.errors import PeerMisbehaved

_LINE: Final = 0
_END_MS: Final = 2000
_READ_BYTES: Final = 64 * 1024
_GONE: Final = select.POLLHUP | select.POLLERR


class Relay:
    """One command's life."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._process: subprocess.Popen[bytes] | None = None
        self._poll = select.poll()
        self._poll.register(_LINE, select.POLLIN)

    def run(self) -> None:
        """Until the command has ended, or nobody listens."""
        try:
            with contextlib.suppress(BlockingIOError):
                while os.read(_LINE, _READ_BYTES):
                    pass
            self._say(READY, b"")
            while True:
                for fd, events in self._poll.poll():
                    if fd == _LINE:
                        self._hear()
                        if events & _GONE:
                            return
                    elif not self._speak(fd):
                        self._say(STATUS, NUMBER.pack(self._wait()))
                        self._wait_for_the_end()
                        return
        except (OSError, PeerMisbehaved):
            return
        finally:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGHUP)

    def _hear(self) -> None:
        try:
            data = os.read(_LINE, _READ_BYTES)
        except BlockingIOError:
            return
        for kind, content in self._frames.feed(data):
            if kind == ORDER and self._process is None:
                self._start(content)
            elif kind == DATA and self._process is not None and self._process.stdin is not None:
                self._pass_on(content)

    def _start(self, order: bytes) -> None:
        try:
            command = [str(word) for word in json.loads(order)["run"]]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
            )
        except OSError as error:
            self._say(PROBLEM, f"{command[0]}: {error.strerror}".encode())
            raise
        except (ValueError, KeyError, TypeError, IndexError):
            raise PeerMisbehaved("command line", "this is no order") from None
        assert self._process.stdout is not None
        self._poll.register(self._process.stdout, select.POLLIN)

    def _pass_on(self, content: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            if content:
                self._process.stdin.write(content)
            else:
                self._process.stdin.close()
        except OSError:
            self._process.stdin.close()  # it does not read any more

    def _speak(self, fd: int) -> bool:
        data = os.read(fd, _READ_BYTES)
        if data:
            self._say(DATA, data)
        return bool(data)

    @staticmethod
    def _wait_for_the_end() -> None:
        """Whoever listened hangs up; if we ended before, the next relay would greet him."""
        gone = select.poll()
        gone.register(_LINE, 0)
        gone.poll(_END_MS)

    def _wait(self) -> int:
        assert self._process is not None
        status = self._process.wait()
        return status if status >= 0 else 128 - status

    @staticmethod
    def _say(kind: int, content: bytes) -> None:
        write_all(_LINE, frame(kind, content))


def main() -> None:
    """Serve the line on descriptor 0."""
    os.set_blocking(_LINE, False)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    os.environ.pop("PYTHONPATH", None)  # it was for us
    Relay().run()


if __name__ == "__main__":
    main()
