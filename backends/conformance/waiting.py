"""Waiting and watching for the checks: everything has a deadline, and nothing sleeps to let something happen."""

import contextlib
import os
import random
import select
import signal
import time
import warnings
from collections.abc import Callable, Iterator

from backends.base import Vchan, VchanState

DEADLINE = 20.0
"""Seconds after which something that must happen is taken for never happening."""
QUIET = 0.05
"""Seconds of silence that count as "does not wake up"."""
PROMPT = 2.0
"""Seconds that a call which never blocks may take on a busy machine."""


def seeded(seed: int) -> random.Random:
    """A source of test data, the same every time."""
    return random.Random(seed)  # noqa: S311 - not cryptography


def wakes(vchan: Vchan, timeout: float | None = None) -> bool:
    """Whether the descriptor polls readable within `timeout` seconds, by default the deadline."""
    poll = select.poll()
    poll.register(vchan.fileno(), select.POLLIN)
    return bool(poll.poll((DEADLINE if timeout is None else timeout) * 1000))


def settle(vchan: Vchan, what: str) -> None:
    """Look whenever it wakes up, until it is quiet; a descriptor that never is makes its owner spin."""
    for _ in range(100):
        if not wakes(vchan, QUIET):
            return
        vchan.update()
        vchan.read(1 << 16)
    raise AssertionError(f"{what}: fileno() polls readable for ever, with nothing to do")


def wait_for_state(state: VchanState, *vchans: Vchan) -> None:
    """Look at each when it wakes up, and only then, until all are in `state`."""
    poll = select.poll()
    waiting = {vchan.fileno(): vchan for vchan in vchans}
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    end = time.monotonic() + DEADLINE
    while waiting:
        left = end - time.monotonic()
        ready = poll.poll(left * 1000) if left > 0 else []
        seen = ", ".join(vchan.state.value for vchan in waiting.values())
        assert ready, f"no vchan woke up to become {state.value}; they are: {seen}"
        for fd, _ in ready:
            if waiting[fd].update() is state:
                poll.unregister(fd)
                del waiting[fd]


def patiently(what: str) -> Iterator[None]:
    """Turns of a loop that must come to its end before the deadline; `what` did not happen otherwise."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        yield
    raise AssertionError(what)


def hear(fd: int, size: int, what: str) -> bytes:
    """Up to `size` bytes of a pipe, which must come."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(DEADLINE * 1000), f"nothing heard of {what}"
    return os.read(fd, size)


@contextlib.contextmanager
def prompt(what: str) -> Iterator[None]:
    """The body must not block."""
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    assert took < PROMPT, f"{what} took {took:.1f} s: it must not block"


@contextlib.contextmanager
def no_descriptor_leaks(what: str) -> Iterator[None]:
    """As many descriptors are open after the body as before."""
    before = _open_descriptors()
    yield
    after = _open_descriptors()
    assert len(after) == len(before), f"{what} leaks descriptors: {sorted(set(after.items()) - set(before.items()))}"


def _open_descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


class Child:
    """A forked process that runs `work`, and fails the check if that raises."""

    def __init__(self, work: Callable[[], None]) -> None:
        with warnings.catch_warnings():
            # Python warns of forking with threads. numpy has some; none of them is used by the child.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                work()
                status = 0
            except BaseException as error:
                os.write(2, f"in the other process: {type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(status)

    def join(self) -> None:
        """Wait for its end, which must be a good one."""
        assert self._wait() == 0, "the other process failed; it said why on standard error"

    def kill(self) -> None:
        """End it at once, as a crash would."""
        os.kill(self.pid, signal.SIGKILL)
        self._wait()

    def _wait(self) -> int:
        fd = os.pidfd_open(self.pid)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if not poll.poll(DEADLINE * 1000):
                os.kill(self.pid, signal.SIGKILL)
            return os.waitpid(self.pid, 0)[1]
        finally:
            os.close(fd)
