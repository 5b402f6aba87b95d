"""An X server of our own, for demos and benchmarks on machines without a desktop. Gone when it is closed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Self

from guiproto.errors import MachineCannot


class Xvfb:
    """Runs Xvfb on a free display number; without TCP, unless `options` say otherwise."""

    program = "Xvfb"

    def __init__(self, width: int, height: int, options: Sequence[str] = ("-nolisten", "tcp")) -> None:
        """Raises MachineCannot if there is no Xvfb or it does not start."""
        if shutil.which(self.program) is None:
            raise MachineCannot(f"there is no {self.program}", f"apt install {self.program.lower()}")
        read, write = os.pipe()
        self._process = subprocess.Popen(
            self._command(width, height, write, options),
            pass_fds=(write,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with open(read, "rb") as pipe:
            number = pipe.readline().strip()
        if not number:
            self.close()
            raise MachineCannot(f"{self.program} did not start", f"run it by hand to see why: {self.program} :99")
        self.display = f":{number.decode()}"
        self.pid = self._process.pid

    @staticmethod
    def _command(width: int, height: int, tell: int, options: Sequence[str]) -> list[str]:
        return ["Xvfb", "-displayfd", str(tell), "-screen", "0", f"{width}x{height}x24", "-noreset", *options]

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class KeptXwayland(Xvfb):
    """An Xwayland as AppVMs have it: `pid` is that of the process that keeps it, whose child it is."""

    program = "Xwayland"

    @staticmethod
    def _command(width: int, height: int, tell: int, options: Sequence[str]) -> list[str]:  # noqa: ARG004 - its own
        return [sys.executable, "-m", "guiagent.sources.xwayland.keeper", str(width), str(height), str(tell)]
