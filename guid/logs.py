"""A log for each VM, on disk: as much of it as is useful, and never more, whatever the VM makes its worker say.

The files are NAME.log, and NAME.log.1 to .3 for what came before, in `log_dir()`. Nobody but their user can read them.
"""

import contextlib
import logging
import os
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from guid.rates import Bucket
from guid.supervisor.assigned import state_dir

_FILE_BYTES: Final = 256 * 1024
_KEPT: Final = 3
_LONGEST: Final = 4000
"""Characters of one message: a traceback fits."""
_BURST: Final = 200.0
_PER_SECOND: Final = 2.0


def log_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where they are, which survives a restart of the machine unless the user has chosen a place for everything.

    Not made here.
    """
    chosen = environ.get("GUID_RUNTIME_DIR")
    return (Path(chosen) if chosen else state_dir(environ)) / "log"


def log_path(directory: Path, vm: str) -> Path:
    """The newest file of a VM. Its name may hold anything printable."""
    return directory / f"{urllib.parse.quote(vm, safe='')}.log"


def files(directory: Path, vm: str) -> list[Path]:
    """Those of the VM's that there are, the oldest first."""
    newest = log_path(directory, vm)
    return [path for path in (*(_older(newest, number) for number in range(_KEPT, 0, -1)), newest) if path.exists()]


def cleaned(text: str) -> str:
    """A message as it may appear on a terminal: nothing but printable characters and the starts of further lines."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 4]} ... {text[-_LONGEST * 3 // 4 :]}"  # a traceback's end says most
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


class Allowance:
    """How much may be said about one VM."""

    def __init__(self) -> None:
        self._bucket: Bucket | None = None
        self._left_out = 0

    def ask(self, now: float) -> int | None:
        """None if there has been too much already; otherwise how many messages before this one were left out."""
        if self._bucket is None:
            self._bucket = Bucket(_BURST, _PER_SECOND, now)
        if not self._bucket.take(now):
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        return left_out


class VmLogs(logging.Handler):
    """Writes what is logged about a VM, that is with `extra=about(NAME)`, into that VM's file in `directory`."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, if it is about a VM and can be written. Nobody is kept from working by a full disk."""
        vm = getattr(record, "vm", None)
        if isinstance(vm, str):
            with contextlib.suppress(OSError):
                self._write(log_path(self._directory, vm), self.format(record))

    def _write(self, path: Path, line: str) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What follows on further lines is indented: no message can look like several.
        data = line.replace("\n", "\n    ").encode("utf-8", "replace") + b"\n"
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size + len(data) > _FILE_BYTES:
                for number in range(_KEPT, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        _older(path, number - 1).replace(_older(path, number))
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)


def about(vm: str) -> dict[str, str]:
    """The `extra` of what is logged about a VM."""
    return {"vm": vm}


def is_general(record: logging.LogRecord) -> bool:
    """A filter for what is about no VM."""
    return not hasattr(record, "vm")


def _older(newest: Path, number: int) -> Path:
    return newest.with_name(f"{newest.name}.{number}") if number else newest
