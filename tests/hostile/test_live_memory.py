"""Memory that programs draw into is shared as it is; whatever its VM does to it, the desktop and its worker go on."""

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guiproto.limits import PAGE_SIZE
from tests.e2e.rig import Rig, wait_for

WIDTH, HEIGHT = 640, 400
_KEEP_SIZE, _PUNCH_HOLE, _COLLAPSE = 1, 2, 8


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path, source="xwayland") as made:
        made.start_agent()
        made.start_daemon()
        yield made


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if libc.fallocate(fd, mode, offset, length):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def shrink(fd: int) -> None:
    os.ftruncate(fd, PAGE_SIZE)


def empty(fd: int) -> None:
    os.ftruncate(fd, 0)


def grow(fd: int) -> None:
    os.ftruncate(fd, 1 << 34)


def collapse(fd: int) -> None:
    fallocate(fd, _COLLAPSE, 0, PAGE_SIZE)


def punch(fd: int) -> None:
    fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, 0, WIDTH * HEIGHT * 4)


ATTACKS = [
    (shrink, errno.EPERM), (empty, errno.EPERM), (grow, errno.EPERM), (collapse, errno.EOPNOTSUPP), (punch, None)
]  # fmt: skip
"""And what the kernel says to each."""


@pytest.mark.parametrize(("attack", "refusal"), ATTACKS)
def test_attack(rig: Rig, attack: Callable[[int], None], refusal: int | None) -> None:
    window = rig.guest.root.create_window(20, 20, WIDTH, HEIGHT, 0, 24, background_pixel=0x123456)
    window.set_wm_name("victim")
    window.map()
    rig.guest.sync()
    row = rig.wait_window("victim")
    wait_for("the first frame", lambda: rig.same_pixels(row["remote_id"]))
    worker = rig.vm()["worker_pid"]
    refusals = [_try(attack, path) for path in _memory_of(rig)]
    assert refusals
    assert set(refusals) == {refusal}
    gc = window.create_gc()
    for color in range(0xABCD00, 0xABCD20):
        gc.change(foreground=color)
        window.fill_rectangle(gc, 0, 0, WIDTH, HEIGHT)
        rig.guest.sync()
    wait_for("what is drawn afterwards", lambda: rig.same_pixels(row["remote_id"]))
    assert rig.vm()["worker_pid"] == worker
    assert rig.desk_server.alive


def _memory_of(rig: Rig) -> list[Path]:
    """What windows are drawn into, through descriptors that programs of the VM can open as well."""
    agent = rig.agent
    assert agent is not None
    return [
        path
        for path in Path(f"/proc/{agent.pid}/fd").iterdir()
        if "xwayland-shared" in os.readlink(path) and path.stat().st_size >= WIDTH * HEIGHT * 4
    ]


def _try(attack: Callable[[int], None], path: Path) -> int | None:
    """The error that it got."""
    fd = os.open(path, os.O_RDWR)
    try:
        attack(fd)
    except OSError as error:
        return error.errno
    finally:
        os.close(fd)
    return None
