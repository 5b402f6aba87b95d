"""What a benchmark found, with what one must know to believe it: the machine, every run, and every single frame."""

import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from guid.bench.bed import Bed
from guiproto.errors import MachineCannot
from shm.xconn import XConnection

SCHEMA: Final = 1
"""Raised when a field changes its meaning or goes."""

_UNKNOWN: Final = "unknown"


@dataclasses.dataclass(slots=True)
class Report:
    """`rows`: one per run or path, units in the field names. `frames`: one per frame or shot, in order of time."""

    benchmark: str
    machine: dict[str, Any]
    rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    frames: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Everything but the frames, ready for JSON."""
        return {"schema": SCHEMA, "benchmark": self.benchmark, "machine": self.machine, "rows": self.rows}

    def write_jsonl(self, path: Path) -> None:
        """The frames, one JSON object a line, after a first line that says what and where. Replaces the file."""
        head = {"schema": SCHEMA, "benchmark": self.benchmark, "machine": self.machine}
        write_text(path, "".join(json.dumps(row) + "\n" for row in (head, *self.frames)))


def write_text(path: Path, text: str) -> None:
    """Replace the file. Raises MachineCannot if it cannot be written."""
    try:
        path.write_text(text)
    except OSError as error:
        raise MachineCannot(f"cannot write {path}: {error.strerror}", "give another file") from None


def machine(bed: Bed) -> dict[str, Any]:
    """What the figures depend on besides this program."""
    connection = XConnection(bed.desk.display)
    try:
        info: Any = connection.display.display.info
        screen: Any = connection.display.screen()
        server = f"{info.vendor} {info.release_number}"
        size = f"{screen.width_in_pixels}x{screen.height_in_pixels}x{screen.root_depth}"
    finally:
        connection.close()
    return {
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": ["guid", *sys.argv[1:]],
        "cpu": _first_of("/proc/cpuinfo", "model name"),
        "cpus": len(os.sched_getaffinity(0)),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", _UNKNOWN),
        "x_server": server,
        "screen": size,
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "odyssey_gui": metadata.version("odyssey-gui"),
        "commit": _commit(),
    }


def _first_of(path: str, key: str) -> str:
    for line in _read(path).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return _UNKNOWN


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return _UNKNOWN


def _commit() -> str:
    """The commit that this program was started from, with a + if files differ from it."""
    git = shutil.which("git")
    home = Path(__file__).resolve().parent
    if git is None:
        return _UNKNOWN
    command = [git, "-C", str(home), "describe", "--always", "--dirty=+", "--exclude=*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or _UNKNOWN
