"""What a VM does with the memory that it shares, and with references to what it does not."""

import array
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Final

from backends.base import SharedPages
from backends.local.sharing import ADD, ANNOUNCEMENT, MAGIC, MAX_REGIONS, PAGE_BITS, REMOVE, LocalSharer
from guiproto import messages as wire
from guiproto.limits import MAX_REFS, PAGE_SIZE
from tests.hostile.agent import HEIGHT, WIDTH, WINDOW, Agent
from tests.hostile.attacks import Attack, dump

SIZE: Final = WIDTH * HEIGHT * 4
PAGES: Final = -(-SIZE // PAGE_SIZE)
UNUSED: Final = 3000
"""A region's number that the agent has not taken."""


def memfd(size: int, seals: int = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW) -> int:
    """Memory that a mapper takes, with these seals."""
    fd = os.memfd_create("hostile", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def announce(agent: Agent, operation: int, number: int, size: int, *fds: int) -> None:
    """Say that to the daemon's mapper, past the sharer that keeps the rules."""
    assert isinstance(agent._sharer, LocalSharer)
    agent._sharer.publish()
    peer = agent._sharer._peer
    assert peer is not None
    message = ANNOUNCEMENT.pack(MAGIC, operation, number, 0, size)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    peer.sendmsg([message], rights)
    for fd in fds:
        os.close(fd)


def use(agent: Agent, refs: list[int], width: int = WIDTH, height: int = HEIGHT) -> None:
    """Show a window with these references as its buffer, and have it painted."""
    agent.send(dump(width, height, refs))
    agent.tell(wire.ShmImage(WINDOW, 0, 0, WIDTH, HEIGHT))


def refs(region: int, first: int = 0, count: int = PAGES) -> list[int]:
    """References to pages of a region."""
    return [(region << PAGE_BITS) + first + page for page in range(count)]


def _named(*numbers: int) -> Callable[[Agent], None]:
    return lambda agent: use(agent, list(numbers) + refs(0, count=PAGES - len(numbers)))


def _past_the_end(agent: Agent) -> None:
    last = agent.pages.region.size // PAGE_SIZE
    use(agent, refs(int(agent.pages.refs[0]) >> PAGE_BITS, last - 1))


def _added(make: Callable[[], int], size: int = PAGES * PAGE_SIZE) -> Callable[[Agent], None]:
    """A region of its own, made of whatever that is, and then shown."""

    def act(agent: Agent) -> None:
        announce(agent, ADD, UNUSED, size, make())
        use(agent, refs(UNUSED))

    return act


def _opened(path: str, flags: int = os.O_RDONLY) -> Callable[[], int]:
    return lambda: os.open(path, flags | os.O_CLOEXEC)


def _connected() -> int:
    one, other = socket.socketpair()
    other.close()
    return one.detach()


def _twice(agent: Agent) -> None:
    for _ in range(2):
        announce(agent, ADD, UNUSED, PAGES * PAGE_SIZE, memfd(PAGES * PAGE_SIZE))
    use(agent, refs(UNUSED))


def _without_end(agent: Agent) -> None:
    for number in range(MAX_REGIONS + 1):
        announce(agent, ADD, 1000 + number, PAGE_SIZE, memfd(PAGE_SIZE))
        if number % 50 == 0:
            agent.tell(wire.Create(9000 + number, 0, 0, 5, 5, 0, 0))
    use(agent, refs(1000))


def _taken_away(agent: Agent) -> None:
    """A region is taken back while its buffer is shown, and painted again and again."""
    announce(agent, REMOVE, int(agent.pages.refs[0]) >> PAGE_BITS, 0)
    for _ in range(100):
        agent.tell(wire.ShmImage(WINDOW, 0, 0, WIDTH, HEIGHT))
    agent.settle()


def _shown(agent: Agent) -> SharedPages:
    pages = agent.share(SIZE)
    agent.dump(WINDOW, WIDTH, HEIGHT, pages)
    return pages


def _hollow(agent: Agent) -> None:
    """Its memory is given back to the system, page by page, while it is painted; sealed memory can be that."""
    pages = _shown(agent)
    for number in range(200):
        agent.tell(wire.ShmImage(WINDOW, 0, 0, WIDTH, HEIGHT))
        pages.region.discard(pages.offset + number % PAGES * PAGE_SIZE, PAGE_SIZE)
    agent.settle()


def _shrunk(agent: Agent) -> None:
    """Every way to make it shorter while it is painted."""
    pages = _shown(agent)
    for size in (0, PAGE_SIZE, pages.region.size + PAGE_SIZE):
        try:
            os.ftruncate(pages.region.fd, size)
        except PermissionError:
            agent.tell(wire.ShmImage(WINDOW, 0, 0, WIDTH, HEIGHT))
            continue
        raise AssertionError("shared memory could change its size")
    agent.settle()


def _hung_up(agent: Agent) -> None:
    """The line over which regions are announced ends, and the windows go on."""
    assert isinstance(agent._sharer, LocalSharer)
    agent._sharer._forget_peer()
    for _ in range(100):
        agent.tell(wire.ShmImage(WINDOW, 0, 0, WIDTH, HEIGHT))
    agent.settle()


def _again(agent: Agent) -> None:
    """The same references thousands of times, and one page in all places."""
    same = agent.pages.refs.tolist()
    for _ in range(2000):
        agent.send(dump(WIDTH, HEIGHT, same))
    agent.send(dump(WIDTH, HEIGHT, same[:1] * PAGES))
    agent.settle()


def _one_page(agent: Agent) -> None:
    use(agent, agent.pages.refs.tolist()[:1] * MAX_REFS, 16384, 6144)


def _nonsense(agent: Agent) -> None:
    assert isinstance(agent._sharer, LocalSharer)
    agent._sharer.publish()
    assert agent._sharer._peer is not None
    agent._sharer._peer.send(struct.pack("<4sIIIQ", b"XXXX", 1, 2, 3, 4))
    use(agent, refs(0))


MEMORY: Final[Mapping[str, Attack]] = {
    "a region that is not shared": Attack(lambda agent: use(agent, refs(UNUSED)), "page reference"),
    "the last region number": Attack(_named(2**32 - 1), "page reference"),
    "pages past the region's end": Attack(_past_the_end, "page reference"),
    "memory that can shrink": Attack(_added(lambda: memfd(PAGES * PAGE_SIZE, fcntl.F_SEAL_GROW)), "page sharing"),
    "memory of another size than is said": Attack(_added(lambda: memfd(PAGE_SIZE)), "page sharing"),
    "a file of the system": Attack(_added(_opened("/etc/passwd")), "page sharing"),
    "a device": Attack(_added(_opened("/dev/zero")), "page sharing"),
    "a directory": Attack(_added(_opened("/", os.O_PATH)), "page sharing"),
    "its own address space": Attack(_added(_opened("/proc/self/mem")), "page sharing"),
    "a socket": Attack(_added(_connected), "page sharing"),
    "a region twice": Attack(_twice, "page sharing"),
    "regions without end": Attack(_without_end, "page sharing"),
    "words that are no announcement": Attack(_nonsense, "page sharing"),
    "a region that is taken away while it is shown": Attack(_taken_away),
    "pages that are given back while they are painted": Attack(_hollow),
    "memory that is to change its size while it is painted": Attack(_shrunk),
    "the end of the line for pages": Attack(_hung_up),
    "the same pages again and again": Attack(_again),
    "one page in all places of the largest window": Attack(_one_page, "page reference"),
}
