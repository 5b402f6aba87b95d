"""Drives a painter, which is a process of its own, and reads what it says."""

import io
import json
import os
import select
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from guid.bench.painter import Rect
from guid.bench.tags import Produced
from guiproto.errors import MachineCannot

_MODULE: Final = "guid.bench.painter"
_PARTS: Final = ("guid/__init__.py", "guid/bench/__init__.py", "guid/bench/painter.py", "guiproto/*.py", "shm/*.py")
"""What it consists of; besides, it needs what an agent needs."""
_UNPACK: Final = f"""
set -eu
archive=$(mktemp)
head -c "$1" > "$archive"
shift
OPENBLAS_NUM_THREADS=1 PYTHONPATH=$archive exec python3 -m {_MODULE} "$@"
"""
_FAR_AWAY: Final = 3.0
"""So many times longer may it take where a processor is emulated."""


class Program:
    """A running painter. `with` it: it ends with the block."""

    def __init__(
        self, display: str, size: tuple[int, int], *, at: tuple[int, int] = (40, 40), windows: int = 1,
        timeout: float = 30.0, environ: dict[str, str] | None = None, inside: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Returns when its windows are mapped. Raises MachineCannot if that does not happen in time.

        `inside`: as in `Stage`; the program is sent there first, and the display is the one that is there.
        """
        arguments = ["--size", f"{size[0]}x{size[1]}", "--at", f"{at[0]}x{at[1]}", "--windows", str(windows)]
        archive = _archive() if inside else b""
        if inside:
            command = [*inside, "sh", "-c", _UNPACK, "sh", str(len(archive)), *arguments]
            timeout *= _FAR_AWAY
        else:
            command = [sys.executable, "-m", _MODULE, "--display", display, *arguments]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), **(environ or {})},
        )
        self.pids = [] if inside else [self._process.pid]
        """Its process, where it is one of this machine."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(archive)
            self.uses_shm = bool(self._hear(timeout)["shm"])
        except BaseException:
            self.close()
            raise

    def step(self, number: int, rect: Rect, timeout: float = 20.0) -> int:
        """Have one frame painted; when it was sent, in ns of the monotonic clock."""
        self.ask_step(number, rect)
        return self.stepped(timeout)

    def ask_step(self, number: int, rect: Rect) -> None:
        """The same without waiting: `stepped` is to be called afterwards."""
        self._say({"do": "step", "number": number, "rect": rect})

    def stepped(self, timeout: float = 20.0) -> int:
        """Wait until the frame is executed; when it was sent."""
        return int(self._hear(timeout)["sent_ns"])

    def start(
        self, first: int, rects: Sequence[Rect], seconds: float, rate: float | None = None, *, scroll: bool = False
    ) -> None:
        """Begin a run: closed loop, or `rate` frames a second."""
        rows = [list(map(int, rect)) for rect in rects]
        self._say({"do": "run", "first": first, "rects": rows, "seconds": seconds, "rate": rate, "scroll": scroll})

    def ended(self) -> bool:
        """Whether the run is over."""
        return self._speaks(0.0)

    def frames(self, timeout: float = 60.0) -> list[Produced]:
        """What the run painted; waits for its end."""
        return [Produced(*frame) for frame in self._hear(timeout)["frames"]]

    def close(self) -> None:
        """End it; its windows go."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _speaks(self, timeout: float) -> bool:
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], timeout)[0])

    def _say(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def _hear(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        if not self._speaks(timeout):
            raise MachineCannot(f"the painting program said nothing for {timeout:g} s", "is its display stuck?")
        line = self._process.stdout.readline()
        if not line:
            raise MachineCannot(f"the painting program ended with status {self._process.wait()}", "see its last words")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _archive() -> bytes:
    """The program, as Python can import it."""
    project = Path(__file__).resolve().parents[2]
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for pattern in _PARTS:
            for path in sorted(project.glob(pattern)):
                archive.write(path, path.relative_to(project))
    return data.getvalue()
