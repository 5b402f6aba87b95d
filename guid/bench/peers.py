"""What a user would pick instead of us, each at its best setting for one machine. Nothing leaves the loopback device.

Every peer is a `StageMaker`: started for one desktop, ended with everything it started and with the directory that it
wrote to.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from guid.bench import stages
from guid.bench.bed import Bed
from guid.bench.stages import Stage, StageMaker
from guiproto.errors import MachineCannot
from shm.xconn import XConnection

_SIZE: Final = "1920x1080"
_START_SECONDS: Final = 40.0
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Peer:
    """`programs` must be installed; `package` says where they come from, `version` how to ask for theirs."""

    name: str
    make: StageMaker
    programs: tuple[str, ...] = ()
    package: str = ""
    version: tuple[str, ...] = ()

    def missing(self) -> str | None:
        """What to install, or None."""
        if all(shutil.which(program) for program in self.programs):
            return None
        return f"not installed (apt install {self.package})"


class _Programs:
    """Programs of one peer in a directory of their own."""

    def __init__(self, desk: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="guid-peer-"))
        self._log = self.directory / "log"
        home, runtime = self.directory / "home", self.directory / "run"
        for path in (home, runtime):
            path.mkdir(mode=0o700)
        self.environ = {
            **os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "DISPLAY": desk,
            "XAUTHORITY": "/dev/null",
        }  # fmt: skip
        self.environ.pop("WAYLAND_DISPLAY", None)
        self._running: list[subprocess.Popen[bytes]] = []
        self.commands: list[str] = []

    def start(self, role: str, command: Sequence[str], *, fds: Sequence[int] = ()) -> int:
        """Start a program; its pid."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=tuple(fds),
                start_new_session=True,
            )  # fmt: skip
        self._running.append(process)
        self.commands.append(f"{role}: {' '.join(command)}")
        return process.pid

    def start_server(self, role: str, command: Sequence[str]) -> tuple[int, str]:
        """Start an X server that has -displayfd; its pid and the display it chose."""
        read, write = os.pipe()
        try:
            pid = self.start(role, [*command, "-displayfd", str(write)], fds=[write])
        finally:
            os.close(write)
        with open(read, "rb") as pipe:
            number = pipe.readline().strip().decode()
        if not number:
            raise MachineCannot(f"{command[0]} did not start: {self.last_words()}")
        return pid, f":{number}"

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait for something. Raises MachineCannot with the end of the log if it does not come, or a program ends."""
        end = time.monotonic() + _START_SECONDS
        while not true():
            if time.monotonic() > end or any(process.poll() is not None for process in self._running):
                raise MachineCannot(f"waited for {what}: {self.last_words()}")
            time.sleep(0.05)

    def last_words(self) -> str:
        """The end of what the programs said."""
        return " / ".join(self._log.read_text(errors="replace").splitlines()[-3:])[-400:]

    def close(self) -> None:
        """End them all."""
        for process in reversed(self._running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def _programs(bed: Bed) -> Iterator[_Programs]:
    programs = _Programs(bed.desk.display)
    try:
        yield programs
    finally:
        programs.close()


@contextlib.contextmanager
def x11_socket(bed: Bed) -> Iterator[Stage]:
    """X11 forwarding as over a network: the desktop's X server through TCP, where no memory can be passed."""
    display = f"127.0.0.1{bed.desk.display}"
    try:
        XConnection(display).close()
    except MachineCannot as error:
        raise MachineCannot(f"the desktop's X server does not listen on TCP: {error.what}") from None
    yield Stage(display, about=f"DISPLAY={display}, core PutImage over TCP on the loopback device, not encrypted")


@contextlib.contextmanager
def xephyr(bed: Bed) -> Iterator[Stage]:
    """An X server in a window."""
    with _programs(bed) as programs:
        pid, display = programs.start_server("server", ["Xephyr", "-screen", _SIZE, "-nolisten", "tcp", "-noreset"])
        yield Stage(display, {"server": pid}, "; ".join(programs.commands), at=(0, 0))


@contextlib.contextmanager
def tigervnc(bed: Bed) -> Iterator[Stage]:
    """A VNC server and its viewer. Hextile loses nothing, and was faster than Raw, Tight and ZRLE with such frames."""
    with _programs(bed) as programs:
        socket = programs.directory / "vnc"
        server, display = programs.start_server(
            "server",
            ["Xvnc", "-geometry", _SIZE, "-depth", "24", "-SecurityTypes", "None", "-rfbport", "-1", "-rfbunixpath",
             str(socket), "-FrameRate", "1000", "-nolisten", "tcp"],
        )  # fmt: skip
        programs.until(socket.exists, "the VNC server's socket")
        viewer = programs.start(
            "viewer",
            ["vncviewer", "-SecurityTypes", "None", "-AutoSelect=0", "-PreferredEncoding", "Hextile", "-FullColor",
             "-NoJPEG", "-RemoteResize=0", "-geometry", f"{_SIZE}+0+0", str(socket)],
        )  # fmt: skip
        yield Stage(display, {"server": server, "viewer": viewer}, "; ".join(programs.commands), at=(0, 0))


_XPRA_OFF: Final = (
    "--pulseaudio=no", "--speaker=off", "--microphone=off", "--webcam=no", "--notifications=no", "--printing=no",
    "--file-transfer=no", "--clipboard=no", "--bell=no", "--system-tray=no", "--cursors=no", "--mdns=no",
    "--xsettings=no",
)  # fmt: skip


@contextlib.contextmanager
def xpra(bed: Bed) -> Iterator[Stage]:
    """Seamless windows by xpra: shared memory between its server and its client, uncompressed pixels."""
    with _programs(bed) as programs:
        runtime = programs.environ["XDG_RUNTIME_DIR"]
        programs.environ["XPRA_SYSTEM_CONF_DIRS"] = runtime  # the system's start a whole session
        bare, display = programs.start_server(
            "display",
            ["Xvfb", "-screen", "0", "2048x1280x24", "-nolisten", "tcp", "-noreset", "+extension", "Composite",
             "+extension", "DAMAGE", "+extension", "RANDR", "-dpi", "96"],
        )  # fmt: skip
        socket = programs.directory / "xpra.sock"
        server = programs.start(
            "server",
            ["xpra", "start", display, "--use-display=yes", "--daemon=no", f"--bind={socket}", "--mmap=yes",
             f"--socket-dir={runtime}", "--start-new-commands=no", "--html=off",
             "--dbus-proxy=no", "--dbus-launch=", *_XPRA_OFF],
        )  # fmt: skip
        programs.until(socket.exists, "xpra's socket")
        time.sleep(2.0)
        client = programs.start(
            "client",
            ["xpra", "attach", f"socket://{socket}", "--mmap=yes", "--encoding=rgb", "--compressors=none",
             "--opengl=no", "--desktop-scaling=off", *_XPRA_OFF],
        )  # fmt: skip
        time.sleep(3.0)
        about = "; ".join(["none of the system's configuration (XPRA_SYSTEM_CONF_DIRS)", *programs.commands])
        yield Stage(display, {"display": bare, "server": server, "client": client}, about, at=(0, 0))


PEERS: Final = (
    Peer("raw", stages.raw),
    Peer("ours", stages.ours),
    Peer("ours again", stages.ours),
    Peer("x11-socket", x11_socket),
    Peer(
        "xephyr",
        xephyr,
        ("Xephyr",),
        "xserver-xephyr",
        ("dpkg-query", "--show", "--showformat=${Package} ${Version}", "xserver-xephyr"),
    ),
    Peer(
        "tigervnc", tigervnc, ("Xvnc", "vncviewer"), "tigervnc-standalone-server tigervnc-viewer", ("Xvnc", "-version")
    ),
    Peer("xpra", xpra, ("xpra", "Xvfb"), "xpra python3-pil python3-gi-cairo", ("xpra", "--version")),
)
"""In the order of a round. `ours again` tells how much two runs of the same thing differ."""


def version(peer: Peer) -> str:
    """What the peer says of its version; empty for those that are parts of this program or of the X server."""
    if not peer.version or shutil.which(peer.version[0]) is None:
        return ""
    said = subprocess.run(peer.version, capture_output=True, text=True, check=False, timeout=30)
    lines = [line.strip() for line in (said.stdout + said.stderr).splitlines() if line.strip()]
    return lines[0] if lines else "unknown"
