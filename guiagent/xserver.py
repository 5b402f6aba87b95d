"""An AppVM's own display server, Xvfb: how it is started, and who may connect where the AppVM is not alone."""

import os
import signal
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from guiproto.limits import BYTES_PER_PIXEL, MAX_WINDOW_HEIGHT, MAX_WINDOW_WIDTH

_FAMILY_LOCAL: Final = 256
_COOKIE: Final = b"MIT-MAGIC-COOKIE-1"


def start(
    screen: tuple[int, int], environ: Mapping[str, str], authority: Path | None, memory: Path | None = None
) -> tuple[int, int]:
    """Start it on a free display number; return its pid and a descriptor from which that number will be read.

    A program that draws without end keeps the server for a millisecond at a time, not for the usual five or more: the
    agent, which has to ask the server for every frame, is only as fast as its turns come.

    Whoever connects must know the cookie in `authority`; without one, all local users may. `memory`: the directory of
    the file in which it keeps its screen, see `screen_memory`.
    """
    ready, tell = os.pipe()
    width, height = screen
    argv = [
        "Xvfb", "-displayfd", str(tell), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp", "-noreset",
        "-s", "0", "-schedInterval", "1", "+extension", "Composite", "+extension", "DAMAGE", "+extension", "XTEST",
    ]  # fmt: skip
    if memory is not None:
        argv += ["-fbdir", str(memory)]
    if authority is not None:
        argv += ["-auth", str(authority)]
    try:
        pid = os.posix_spawnp(
            argv[0],
            argv,
            environ,
            # Onto itself: clears close-on-exec, in the child alone.
            file_actions=[(os.POSIX_SPAWN_DUP2, tell, tell)],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError:
        os.close(ready)
        raise
    finally:
        os.close(tell)
    return pid, ready


def with_room(screen: tuple[int, int], least: int | None, overhead: int | None) -> tuple[int, int]:
    """The screen, or one that is higher, and wider if it must be, so that its memory is `least` KiB.

    `overhead`: KiB on top of what `screen` takes that count as needed. None: nothing is asked for.
    """
    width, height = screen
    needed = max(width * height * BYTES_PER_PIXEL + (overhead or 0) * 1024, (least or 0) * 1024)
    height = max(height, min(MAX_WINDOW_HEIGHT, -(-needed // (width * BYTES_PER_PIXEL))))
    return max(width, min(MAX_WINDOW_WIDTH, -(-needed // (height * BYTES_PER_PIXEL)))), height


def write_authority(path: Path, display: int, cookie: bytes) -> None:
    """The file that server and clients read: one entry, for this machine and that display number."""
    fields = (socket.gethostname().encode(), str(display).encode(), _COOKIE, cookie)
    entry = struct.pack(">H", _FAMILY_LOCAL) + b"".join(struct.pack(">H", len(field)) + field for field in fields)
    path.touch(mode=0o600)
    path.write_bytes(entry)
