"""What an AppVM's processes print: kept in a file of bounded size, by processes outside the AppVM.

A file that the AppVM could write itself would grow as it likes, and a process of ours would have to outlive whoever
started the AppVM. A shell and `dd` are small, and end when the last process that could print has ended.
"""

import os
import signal
from pathlib import Path
from typing import Final

from backends.local import processes
from backends.local.processes import Process

_READ_BYTES: Final = 512
_READS: Final = 1000
_SECONDS: Final = 1.0

# The first file that is full is the older one; then there is a pause, so that somebody who prints as fast as he can
# waits most of the time. At the end what was printed last is the file.
_SCRIPT: Final = f"""\
while dd bs={_READ_BYTES} count={_READS} status=none >>"$1"; [ -s "$1" ]; do mv "$1" "$1.old"; sleep 0.02; done
mv "$1.old" "$1" 2>/dev/null
"""

MOST_BYTES: Final = 2 * _READ_BYTES * _READS
"""Of both files."""


def keep(log: Path) -> tuple[int, Process]:
    """Begin to keep in `log` what is written to the descriptor that is returned; also the process that does it.

    It is a child of this process, and outlives it. `finish` has to follow, here or elsewhere.
    """
    reading, writing = os.pipe()
    log.touch(mode=0o600)
    try:
        pid = os.posix_spawnp(
            "sh",
            ["sh", "-c", _SCRIPT, "sh", str(log.absolute())],
            {"PATH": os.environ.get("PATH", os.defpath)},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, reading, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    return writing, Process.of(pid)


def finish(process: Process) -> None:
    """Wait until everything is in the file, for nobody prints any more; reap the process if it is our child."""
    pidfd = process.open()
    if pidfd is not None:
        if not processes.wait(pidfd, _SECONDS):
            processes.send(pidfd, signal.SIGKILL)  # a process that has got away still could print
            processes.wait(pidfd, _SECONDS)
        os.close(pidfd)
    processes.reap(process.pid)
