"""Signals that wake up a loop instead of interrupting it."""

import contextlib
import signal
import socket


class SignalPipe:
    """Readable when one of `numbers` arrived. For the main thread; `close` puts back what was there before."""

    def __init__(self, numbers: tuple[signal.Signals, ...]) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        self._before = {number: signal.signal(number, lambda *_: None) for number in numbers}
        signal.set_wakeup_fd(self._write.fileno())

    def fileno(self) -> int:
        """To poll for reading."""
        return self._read.fileno()

    def drain(self) -> set[int]:
        """Take note of what arrived: the numbers of the signals."""
        with contextlib.suppress(BlockingIOError):
            return set(self._read.recv(64))
        return set()

    def close(self) -> None:
        """Stop listening."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._read.close()
        self._write.close()
