"""Objects here that stand for ends of vchans and page sharers in another domain, so that the checks can span two.

    with far_domain(command) as far:
        check_vchan(lambda: VchanEnds(far.server(9, 0, 7000), lambda: backend.client(0, 9, 7000)))

`command` runs `python3 -m backends.conformance.far_end BACKEND` in that domain, and passes on its input and output.
"""

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backends.base import PageSharer, SharedPages, Vchan, VchanState, as_refs
from backends.conformance import waiting
from shm.region import Region

_START_SECONDS = 120.0
"""The other domain may be emulated."""


class _Channel:
    """A connection. Its descriptor is readable while a message that the end has woken up is unread."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_START_SECONDS)
        self._socket.connect(str(path))

    def fileno(self) -> int:
        return self._socket.fileno()

    def call(self, *words: Any) -> Any:
        """Have it done; its value. AssertionError with what went wrong there."""
        try:
            return self._call(words)
        except BaseException:
            self.close()
            raise

    def _call(self, words: Sequence[Any]) -> Any:
        self._socket.sendall(json.dumps(words).encode() + b"\n")
        while True:
            answer = json.loads(self._line())
            if "awake" in answer:
                continue  # from before
            assert "error" not in answer, f"in the other domain, {words[0]}: {answer['error']}: {answer['text']}"
            return answer["is"]

    def close(self) -> None:
        self._socket.close()

    def _line(self) -> bytes:
        """One line and no more: what follows has to stay where it can be polled for."""
        line = b""
        while not line.endswith(b"\n"):
            piece = self._socket.recv(1 << 16, socket.MSG_PEEK)
            assert piece, "the line to the other domain has ended"
            line += self._socket.recv(piece.find(b"\n") + 1 or len(piece))
        return line


class FarVchan(Vchan):
    """A vchan's end there."""

    def __init__(self, channel: _Channel, role: str, *place: int) -> None:
        self._channel = channel
        self._state = VchanState.WAITING
        self._is_closed = False
        self._ask(role, *place)

    def fileno(self) -> int:
        return self._channel.fileno()

    @property
    def state(self) -> VchanState:
        return self._state

    def update(self) -> VchanState:
        self._ask("update")
        return self._state

    def data_ready(self) -> int:
        return int(self._ask("data_ready"))

    def buffer_space(self) -> int:
        return int(self._ask("buffer_space"))

    def read(self, size: int) -> bytes:
        return base64.b64decode(self._ask("read", size))

    def write(self, data: bytes | bytearray | memoryview) -> int:
        return int(self._ask("write", base64.b64encode(data).decode()))

    def close(self) -> None:
        if not self._is_closed:
            self._ask("close")
            self._is_closed = True
            self._channel.close()

    def _ask(self, *words: Any) -> Any:
        if self._is_closed:
            return {"data_ready": 0, "buffer_space": 0, "read": "", "write": 0}.get(words[0])
        value, state = self._channel.call(*words)
        self._state = VchanState(state)
        return value


class FarRegion(Region):
    """Memory there: it can be written to, by asking."""

    def __init__(self, channel: _Channel, size: int) -> None:
        super().__init__(-1, size)
        self._channel = channel

    def put(self, pages: SharedPages, at: int, data: bytes) -> None:
        """Write `data` into the pages, `at` bytes from their beginning."""
        self._channel.call("put", pages.offset, at, base64.b64encode(data).decode())


class FarSharer(PageSharer):
    """A sharer there."""

    def __init__(self, channel: _Channel, *place: int) -> None:
        self._channel = channel
        self._is_closed = False
        channel.call("sharer", *place)

    def allocate(self, length: int) -> SharedPages:
        offset, size, region, refs = self._channel.call("allocate", length)
        return SharedPages(FarRegion(self._channel, region), offset, size, as_refs(refs))

    def release(self, pages: SharedPages) -> None:
        self._channel.call("release", pages.offset)

    def publish(self) -> None:
        self._channel.call("publish")

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._channel.call("close")
            self._channel.close()


class FarDomain:
    """Makes ends in another domain; the arguments are those of the backend's methods there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def server(self, domid: int, peer: int, port: int) -> Callable[[], Vchan]:
        """Makes a vchan's server end."""
        return lambda: FarVchan(_Channel(self._path), "server", domid, peer, port)

    def client(self, domid: int, peer: int, port: int) -> Callable[[], Vchan]:
        """Makes a vchan's client end."""
        return lambda: FarVchan(_Channel(self._path), "client", domid, peer, port)

    def sharer(self, domid: int, gui_domid: int) -> Callable[[], PageSharer]:
        """Makes a sharer of pages."""
        return lambda: FarSharer(_Channel(self._path), domid, gui_domid)


@contextmanager
def far_domain(command: Sequence[str]) -> Iterator[FarDomain]:
    """The domain that `command` leads to, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="far-") as directory:
        path = Path(directory) / "line"
        process = subprocess.Popen(
            [sys.executable, "-m", "backends.conformance.switchboard", str(path), *command],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path)},
            stdin=subprocess.DEVNULL,
        )
        try:
            end = time.monotonic() + waiting.DEADLINE
            while not path.exists() and time.monotonic() < end:
                time.sleep(0.01)
            first = _Channel(path)
            first.call("hello")
            first.close()
            yield FarDomain(path)
        finally:
            process.terminate()
            process.wait()
