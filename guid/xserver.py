"""An X server of our own, for demos and benchmarks on machines without a desktop. Gone when it is closed."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Self

from guiproto.errors import MachineCannot


class Xvfb:
    """Runs Xvfb on a free display number; without TCP, unless `options` say otherwise."""

    def __init__(self, width: int, height: int, options: Sequence[str] = ("-nolisten", "tcp")) -> None:
        """Raises MachineCannot if there is no Xvfb or it does not start."""
        if shutil.which("Xvfb") is None:
            raise MachineCannot("there is no Xvfb", "apt install xvfb")
        read, write = os.pipe()
        self._process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24", "-noreset", *options],
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
            raise MachineCannot("Xvfb did not start", "run it by hand to see why: Xvfb :99")
        self.display = f":{number.decode()}"
        self.pid = self._process.pid

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
