"""The local backend does what every backend must, also with the smallest buffers, and survives hostile domains."""

import contextlib
import fcntl
import itertools
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from backends.base import Backend, PageMapper, Refs
from backends.conformance import (
    PageAttack,
    VchanEnds,
    VchanMaker,
    check_hostile_pages,
    check_pages,
    check_scattered_pages,
    check_vchan,
    page_maker,
    vchan_maker,
)
from backends.local import factory
from backends.local.mapping import LocalMapper
from backends.local.sharing import ADD, ANNOUNCEMENT, MAGIC, MAX_REGION_BYTES, MAX_REGIONS, REMOVE, socket_path
from backends.local.vchan import LocalClient, LocalServer
from guiproto.limits import PAGE_SIZE
from shm.region import Region

SIZE = 16 * PAGE_SIZE
DOMID = 9
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


@pytest.fixture
def backend(socket_dir: Path) -> Backend:
    return factory({"VCHAN_SOCKET_DIR": str(socket_dir)})


def smallest(socket_dir: Path) -> VchanMaker:
    """Ends whose buffers are the kernel's minimum, about 4 KiB."""
    ports = itertools.count(1)

    def make() -> VchanEnds:
        address = (socket_dir, 1, 2, next(ports))
        return VchanEnds(lambda: LocalServer(*address, buffer_bytes=1), lambda: LocalClient(*address, buffer_bytes=1))

    return make


def test_vchan(backend: Backend, socket_dir: Path) -> None:
    check_vchan(vchan_maker(backend), smallest(socket_dir))
    assert list(socket_dir.iterdir()) == []


def test_pages(backend: Backend, socket_dir: Path) -> None:
    maker = page_maker(backend)
    check_pages(maker)
    check_scattered_pages(maker)
    # The one that was killed is all that may leave something.
    assert {path.suffix for path in socket_dir.iterdir()} == {".sock", ".lock"}


Message = tuple[bytes, Sequence[int]]


def add(number: int, size: int = SIZE, *fds: int) -> Message:
    return ANNOUNCEMENT.pack(MAGIC, ADD, number, 0, size), fds


def lingering(seconds: int = 60) -> int:
    """A TCP socket whose last owner waits that long in close(): it has data for somebody who does not read."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    DEAF.append(receiver)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, seconds))
    sender.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sender.send(bytes(1 << 16))
    return sender.detach()


DEAF: list[socket.socket] = []


def remove(number: int) -> Message:
    return ANNOUNCEMENT.pack(MAGIC, REMOVE, number, 0, 0), ()


def memfd(size: int = SIZE, seals: int = SEALS) -> int:
    fd = os.memfd_create("hostile", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def saying(socket_dir: Path, messages: Callable[[], Sequence[Message]], refs: Sequence[int] = (0,)) -> PageAttack:
    """A domain that says `messages` on its sharing socket; the descriptors in them are closed afterwards."""

    @contextmanager
    def attack() -> Iterator[tuple[PageMapper, Refs]]:
        path = socket_path(socket_dir, DOMID, 0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener, ExitStack() as stack:
            listener.bind(str(path))
            stack.callback(path.unlink)
            listener.listen(1)
            mapper = LocalMapper(socket_dir, 0, DOMID)
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                said = messages()
                for data, fds in said:
                    socket.send_fds(connection, [data], list(fds))
                for fd in {fd for _, fds in said for fd in fds}:
                    os.close(fd)  # the mapper is the last to close what it received
                yield mapper, np.array(refs, np.uint32)
                while DEAF:
                    DEAF.pop().close()

    return attack


def found_as(socket_dir: Path, make: Callable[[Path], None]) -> PageAttack:
    """A domain that has something else where its sharing socket should be, made by `make`."""

    @contextmanager
    def attack() -> Iterator[tuple[PageMapper, Refs]]:
        path = socket_path(socket_dir, DOMID, 0)
        make(path)
        try:
            yield LocalMapper(socket_dir, 0, DOMID), np.zeros(1, np.uint32)
        finally:
            path.unlink(missing_ok=True)

    return attack


def test_no_announcement_hurts(socket_dir: Path) -> None:
    def reading_end_of_pipe() -> int:
        reader, writer = os.pipe()
        os.close(writer)
        return reader

    said: dict[str, Callable[[], Sequence[Message]]] = {
        "nothing": list,
        "an empty message": lambda: [(b"", [])],
        "an empty message with a descriptor": lambda: [(b"", [memfd()])],
        "garbage": lambda: [(os.urandom(ANNOUNCEMENT.size), [])],
        "garbage with a good descriptor": lambda: [(os.urandom(ANNOUNCEMENT.size), [memfd()])],
        "half a message": lambda: [(add(0)[0][:12], [memfd()])],
        "a message and a half": lambda: [(add(0)[0] + bytes(12), [memfd()])],
        "a large message": lambda: [(bytes(100_000), [])],
        "another magic": lambda: [(ANNOUNCEMENT.pack(b"XXXX", ADD, 0, 0, SIZE), [memfd()])],
        "another operation": lambda: [(ANNOUNCEMENT.pack(MAGIC, 3, 0, 0, SIZE), [memfd()])],
        "something where 0 must be": lambda: [(ANNOUNCEMENT.pack(MAGIC, ADD, 0, 1, SIZE), [memfd()])],
        "no descriptor": lambda: [add(0)],
        "two descriptors": lambda: [add(0, SIZE, memfd(), memfd())],
        "253 descriptors": lambda: [add(0, SIZE, *(memfd() for _ in range(253)))],
        "a descriptor to remove": lambda: [add(0, SIZE, memfd()), (remove(0)[0], [memfd()])],
        "a region removed that never was": lambda: [remove(0)],
        "a region removed twice": lambda: [add(0, SIZE, memfd()), remove(0), remove(0)],
        "a region removed": lambda: [add(0, SIZE, memfd()), remove(0)],
        "a region twice": lambda: [add(0, SIZE, memfd()), add(0, SIZE, memfd())],
        "region 4096": lambda: [add(4096, SIZE, memfd())],
        "too many regions": lambda: [add(number, SIZE, memfd()) for number in range(MAX_REGIONS + 1)],
        "too many bytes": lambda: [add(number, MAX_REGION_BYTES, memfd(MAX_REGION_BYTES)) for number in range(5)],
        "a region beyond 4 GiB": lambda: [
            add(0, MAX_REGION_BYTES + PAGE_SIZE, memfd(MAX_REGION_BYTES + PAGE_SIZE))
        ],
        "memory that may shrink": lambda: [add(0, SIZE, memfd(SIZE, fcntl.F_SEAL_GROW))],
        "memory that may grow": lambda: [add(0, SIZE, memfd(SIZE, fcntl.F_SEAL_SHRINK))],
        "memory without seals": lambda: [add(0, SIZE, memfd(SIZE, 0))],
        "less memory than announced": lambda: [add(0, 2 * SIZE, memfd())],
        "part of a page": lambda: [add(0, 100, memfd(100))],
        "no memory at all": lambda: [add(0, 0, memfd(0))],
        "a pipe": lambda: [add(0, SIZE, reading_end_of_pipe())],
        "a device": lambda: [add(0, SIZE, os.open("/dev/zero", os.O_RDWR))],
        "a directory": lambda: [add(0, SIZE, os.open("/", os.O_RDONLY))],
        "a socket that lingers": lambda: [add(0, SIZE, lingering())],
        "a socket that lingers, in garbage": lambda: [(b"?", [lingering()])],
        "sockets that linger": lambda: [add(0, SIZE, *(lingering() for _ in range(5)))],
        "garbage, and then a socket that lingers": lambda: [(b"?", []), add(0, SIZE, lingering())],
        "a socket": lambda: [add(0, SIZE, socket.socket(socket.AF_UNIX).detach())],
    }  # fmt: skip
    check_hostile_pages({name: saying(socket_dir, messages) for name, messages in said.items()})


def test_no_reference_hurts(socket_dir: Path) -> None:
    pages = SIZE // PAGE_SIZE
    refs: dict[str, Sequence[int]] = {
        "no reference": [],
        "the page after the last": [pages],
        "the last page and one more": [pages - 1, pages],
        "another region": [1 << 20],
        "a run over the end of a number": [(1 << 20) - 1, 1 << 20],
        "a run over the end of all numbers": [0xFFFFFFFF, 0],
        "a good page and a bad one": [0, 0xFFFFFFFF],
        "pages scattered too much": [0, 2] * 5000,
        "more than any window has": range(200_000),
    }
    check_hostile_pages(
        {name: saying(socket_dir, lambda: [add(0, SIZE, memfd())], numbers) for name, numbers in refs.items()}
    )


def test_nothing_in_the_place_of_the_socket_hurts(socket_dir: Path) -> None:
    elsewhere, stream, deaf = (socket_dir / name for name in ("elsewhere", "stream", "deaf"))
    with ExitStack() as stack:
        kinds = {elsewhere: socket.SOCK_SEQPACKET, stream: socket.SOCK_STREAM, deaf: socket.SOCK_SEQPACKET}
        sockets = {path: stack.enter_context(socket.socket(socket.AF_UNIX, kind)) for path, kind in kinds.items()}
        for path, each in sockets.items():
            each.bind(str(path))
        sockets[elsewhere].listen()
        sockets[stream].listen()
        sockets[elsewhere].setblocking(False)
        check_hostile_pages(
            {
                "nothing": found_as(socket_dir, lambda _: None),
                "a file": found_as(socket_dir, lambda path: path.touch()),
                "a directory's name": found_as(socket_dir, lambda path: path.symlink_to(socket_dir)),
                "a FIFO": found_as(socket_dir, os.mkfifo),
                "a link that leads nowhere": found_as(socket_dir, lambda path: path.symlink_to("nowhere")),
                "a link to somebody else's socket": found_as(socket_dir, lambda path: path.symlink_to(elsewhere)),
                "a stream socket": found_as(socket_dir, lambda path: os.link(stream, path)),
                "a socket that nobody listens on": found_as(socket_dir, lambda path: os.link(deaf, path)),
            }
        )
        with pytest.raises(BlockingIOError):
            sockets[elsewhere].accept()


def test_a_full_queue_of_news_is_bounded(socket_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.local.mapping._NEWS_AT_ONCE", 50)
    fd = memfd()
    with closing(Region(fd, SIZE)):

        def messages() -> Sequence[Message]:
            copy = os.dup(fd)
            return [message for number in range(30) for message in (add(number, SIZE, copy), remove(number))]

        check_hostile_pages({"more news than are read at once": saying(socket_dir, messages)})
