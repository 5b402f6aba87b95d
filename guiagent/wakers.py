"""What to call when a descriptor polls readable."""

import select
from collections.abc import Callable


class Wakers:
    """Descriptors and their callables, for one thread."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wakers: dict[int, Callable[[], None]] = {}

    def watch(self, fd: int, waker: Callable[[], None]) -> None:
        """Call `waker` whenever `fd` polls readable."""
        self._epoll.register(fd, select.EPOLLIN)
        self._wakers[fd] = waker

    def unwatch(self, fd: int) -> None:
        """No more. Call it before `fd` is closed."""
        self._epoll.unregister(fd)
        del self._wakers[fd]

    def wait(self, timeout: float | None) -> None:
        """Sleep until something is readable, at most `timeout` seconds, and call whom it concerns."""
        for fd, _ in self._epoll.poll(timeout):
            waker = self._wakers.get(fd)  # an earlier one may have ended it
            if waker is not None:
                waker()

    def close(self) -> None:
        """Watch nothing."""
        self._epoll.close()
