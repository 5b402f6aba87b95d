"""A whole system on two real X servers: an AppVM's, with guiagent on it, and a desktop's, with guid on it.

Everything runs as separate processes through the command lines that users type; nothing of ours is imported into the
test but the control socket's client. `Rig` leaves nothing behind.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from Xlib import XK, X
from Xlib.ext import xtest

from guid.control import Client
from guiproto.errors import MachineCannot
from shm.xconn import XConnection
from tests.xserver import SERVERS, XServer

DEADLINE = 30.0
Pixels = NDArray[np.uint32]
T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T | None], timeout: float = DEADLINE) -> T:
    """The first true value of `look`; AssertionError naming `what` after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout:g} s for {what}")
        time.sleep(0.02)


def _rgb(data: bytes, width: int, height: int) -> Pixels:
    return np.bitwise_and(np.frombuffer(data, np.uint32).reshape(height, width), np.uint32(0xFFFFFF))


class Screen:
    """A client of one X server that looks and acts as a user would."""

    def __init__(self, display: str) -> None:
        self.name = display
        self._connection = XConnection(display)
        self.display: Any = self._connection.display
        self.root: Any = self.display.screen().root

    def pixels(self, x: int, y: int, width: int, height: int) -> Pixels:
        """What the screen shows there: u32 [height, width], 0x00RRGGBB."""
        image = self.root.get_image(x, y, width, height, X.ZPixmap, 0xFFFFFFFF)
        return _rgb(image.data, width, height)

    def window_pixels(self, window: int) -> Pixels:
        """What a viewable window contains."""
        drawable = self.display.create_resource_object("window", window)
        size = drawable.get_geometry()
        image = drawable.get_image(0, 0, size.width, size.height, X.ZPixmap, 0xFFFFFFFF)
        return _rgb(image.data, size.width, size.height)

    def window(self, number: int) -> Any:
        """A window object."""
        return self.display.create_resource_object("window", number)

    def move_pointer(self, x: int, y: int) -> None:
        """Move the pointer to root coordinates."""
        xtest.fake_input(self.display, X.MotionNotify, x=x, y=y)
        self._connection.sync()

    def button(self, number: int, *, press: bool = True, release: bool = True) -> None:
        """Press and release a button where the pointer is."""
        if press:
            xtest.fake_input(self.display, X.ButtonPress, number)
        if release:
            xtest.fake_input(self.display, X.ButtonRelease, number)
        self._connection.sync()

    def keycodes(self, *keys: str) -> list[int]:
        """Of keys by the names of their keysyms."""
        return [self.display.keysym_to_keycode(XK.string_to_keysym(key)) for key in keys]

    def press(self, *keys: str) -> None:
        """Press these keys, all down and then all up."""
        codes = self.keycodes(*keys)
        for kind in (X.KeyPress, X.KeyRelease):
            for code in codes:
                xtest.fake_input(self.display, kind, code)
        self._connection.sync()

    def focus(self, window: int) -> None:
        """Give a window the keyboard, as a window manager does."""
        self.window(window).set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
        self._connection.sync()

    def events(self) -> list[Any]:
        """What has happened to windows that were made here."""
        return list(self._connection.events())

    def sync(self) -> None:
        """Wait until the server has done everything asked so far."""
        self._connection.sync()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class Rig:
    """`guest` and `desk` are X servers; `start_agent` and `start_daemon` put the two halves on them."""

    def __init__(
        self,
        directory: Path,
        *,
        domid: int = 7,
        backend: str = "local",
        guest_size: tuple[int, int] = (1600, 1000),
        source: str = "x11",
    ) -> None:
        self.directory = directory
        self.domid = domid
        self.backend = backend
        self.environ = {
            **os.environ,
            "VCHAN_SOCKET_DIR": str(directory / "vchan"),
            "GUID_RUNTIME_DIR": str(directory / "run"),
            "GUID_CONFIG": str(directory / "guid.toml"),
            "PAGES_DIR": str(directory / "pages"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        self.environ.pop("DISPLAY", None)
        for name in ("vchan", "pages"):
            (directory / name).mkdir(mode=0o700, exist_ok=True)
        self._stack = ExitStack()
        self.guest_server = SERVERS[source](*guest_size)
        self.desk_server = XServer(2048, 1280)
        self.guest: Screen
        self.desk: Screen
        self.agent: subprocess.Popen[bytes] | None = None
        self.daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for server in (self.guest_server, self.desk_server):
            self._stack.enter_context(server)
        self.guest = Screen(self.guest_server.display)
        self._stack.callback(self.guest.close)
        self.desk = Screen(self.desk_server.display)
        self._stack.callback(self.desk.close)
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.daemon, self.agent):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(DEADLINE)
        self._stack.close()

    # --- processes ---

    def start_agent(self, *more: str) -> subprocess.Popen[bytes]:
        """Run guiagent on the guest's display."""
        self.agent = self._python(
            "guiagent",
            "guiagent.main",
            "--domid",
            str(self.domid),
            "--gui-domid",
            "0",
            "--display",
            self.guest.name,
            "--backend",
            self.backend,
            *more,
        )
        return self.agent

    def start_daemon(self, *more: str, name: str = "work", label: str = "blue") -> subprocess.Popen[bytes]:
        """Run `guid attach` on the desktop's display."""
        self.daemon = self._python(
            "guid",
            "guid.cli.main",
            "attach",
            "--domid",
            str(self.domid),
            "--name",
            name,
            "--label",
            label,
            "--display",
            self.desk.name,
            "--backend",
            self.backend,
            *more,
        )
        return self.daemon

    def start_app(self, *command: str) -> subprocess.Popen[bytes]:
        """Run a program on the guest's display."""
        return self._spawn(f"app-{command[0]}", command, DISPLAY=self.guest.name)

    def _python(self, log: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        return self._spawn(log, (sys.executable, "-m", module, *arguments))

    def _spawn(self, log: str, command: Sequence[str], **environ: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{log}.log").open("ab") as output:
            process = subprocess.Popen(
                command,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
            )
        self._stack.callback(_end, process)
        return process

    def log(self, name: str) -> str:
        """What a process has written so far."""
        return (self.directory / f"{name}.log").read_text(errors="replace")

    # --- what guid says ---

    def request(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Ask the `guid attach` instance."""
        path = next((self.directory / "run").glob("*.sock"))
        with Client(path) as client:
            return client.request(op, **arguments)

    def windows(self) -> list[dict[str, Any]]:
        """Rows of `guid windows --json`."""
        return list(self.request("windows")["windows"])

    def vm(self) -> dict[str, Any]:
        """The row of `guid ps --json`."""
        (row,) = self.request("ps")["vms"]
        return dict(row)

    def wait_window(self, title: str, *, mapped: bool = True) -> dict[str, Any]:
        """The window of that title, once it is there, mapped and painted."""

        def look() -> dict[str, Any] | None:
            try:
                rows = self.windows()
            except (MachineCannot, StopIteration):
                return None  # it is not there yet
            for row in rows:
                if row["title"] == title and row["mapped"] == mapped and row["damage_rects"] > 0:
                    return row
            return None

        return wait_for(f"a window titled {title!r}", look)

    # --- comparisons ---

    def content(self, row: dict[str, Any]) -> Pixels:
        """What the desktop shows inside the window's border."""
        return self.desk.pixels(row["x"], row["y"], row["width"], row["height"])

    def same_pixels(self, remote_id: int) -> bool:
        """Whether the desktop shows exactly what the AppVM's window contains, now."""
        row = next((row for row in self.windows() if row["remote_id"] == remote_id), None)
        if row is None:
            return False
        theirs = self.guest.window_pixels(remote_id)
        ours = self.content(row)
        return ours.shape == theirs.shape and bool((ours == theirs).all())

    def border_is(self, row: dict[str, Any], color: int, width: int = 3) -> bool:
        """Whether a ring of `width` pixels around the content has the colour, on all four sides."""
        frame = self.desk.pixels(
            row["x"] - width, row["y"] - width, row["width"] + 2 * width, row["height"] + 2 * width
        )
        frame[width:-width, width:-width] = color
        return bool((frame == color).all())


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE)
