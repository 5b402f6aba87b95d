"""The memory of a display server's screen, as large as the screen may ever become, costs what is drawn on it.

Xvfb cannot give its screen more memory than it started with, and paints all of it black when it starts. It can keep it
in a file, though, and parts of a file in memory that are given back read as zeros: black.
"""

import contextlib
import mmap
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from guiproto.limits import BYTES_PER_PIXEL, PAGE_SIZE

_PLACE: Final = Path("/dev/shm")  # noqa: S108 - where files are memory
_FILE: Final = "Xvfb_screen0"
_HEADER_BYTES: Final = 4 * PAGE_SIZE
"""More than what Xvfb keeps in front of the pixels."""
_SHARE: Final = 2
"""How many times as much has to be free there: what is full later ends the server."""


def make(screen: tuple[int, int]) -> Path | None:
    """A directory for the file of a screen of that size; None where there is no room for it."""
    try:
        there = os.statvfs(_PLACE)
        if there.f_bavail * there.f_frsize < _SHARE * screen[0] * screen[1] * BYTES_PER_PIXEL:
            return None
        return Path(tempfile.mkdtemp(prefix="appvm-screen-", dir=_PLACE))
    except OSError:
        return None


def give_back(directory: Path) -> None:
    """Free what the server has painted, for one whose screen is still black; from now on it ends with the server.

    An empty file is left in its place, for Xvfb to remove: it complains where there is none.
    """
    path = directory / _FILE
    with contextlib.suppress(OSError), path.open("r+b") as file:
        path.unlink()
        path.touch()
        size = os.fstat(file.fileno()).st_size // PAGE_SIZE * PAGE_SIZE
        with mmap.mmap(file.fileno(), size) as memory:
            memory.madvise(mmap.MADV_REMOVE, _HEADER_BYTES, size - _HEADER_BYTES)


def remove(directory: Path) -> None:
    """The server has ended, perhaps not by itself."""
    shutil.rmtree(directory, ignore_errors=True)
