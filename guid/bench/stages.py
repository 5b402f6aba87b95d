"""Where a program can paint so that its window appears on the desktop: with nothing in between, and through us."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from guid.bench.accounting import children
from guid.bench.bed import DESK, DOMID, Bed, windows_of
from guid.worker.child import Child


@dataclass(frozen=True, slots=True)
class Stage:
    """A way to the desktop. `display` is where programs paint; `roots` are the processes (by role) that carry it on."""

    display: str
    roots: dict[str, int] = field(default_factory=dict)
    about: str = ""
    """Version and command lines, for people who want to repeat it."""
    at: tuple[int, int] = (40, 40)
    """Where the program's window goes on that display."""
    worker: Child | None = None
    inside: Sequence[str] = ()
    """What goes before a command line to run it in the AppVM, if that is a machine of its own, with a clock of its own.

    It has the right DISPLAY then, and passes on standard input and output.
    """

    def pids(self) -> list[int]:
        """All processes in between, with what they have started."""
        return [pid for root in self.roots.values() for pid in (root, *children(root))]

    def copies(self) -> int | None:
        """Copies of a frame between the AppVM's pages and the display server; None where nobody can say."""
        if self.worker is None:
            return None
        return max((row["copies_per_frame"] or 0 for row in windows_of(self.worker)), default=0)


StageMaker = Callable[[Bed], AbstractContextManager[Stage]]


@contextlib.contextmanager
def raw(bed: Bed) -> Iterator[Stage]:
    """The desktop itself: what is possible at most."""
    yield Stage(bed.desk.display, about="the program on the desktop's own X server, MIT-SHM")


@contextlib.contextmanager
def ours(bed: Bed, domid: int = DOMID, screen: tuple[int, int] = DESK) -> Iterator[Stage]:
    """An AppVM's X server with the agent, and a worker."""
    with bed.guest(domid, screen) as (server, agent), bed.worker(domid) as child:
        roots = {"agent": agent, "worker": child.pid, "guest_x_server": server.pid}
        yield Stage(server.display, roots, about="guiagent and a guid worker, local backend", worker=child)
