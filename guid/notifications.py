"""Tells the user on the desktop, by org.freedesktop.Notifications, through a program that is there for it.

Nothing of a VM's choice is told: its name is the user's, and the text is guid's own, or else it was cleaned here.
"""

import html
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from guid.rates import Bucket

_BURST: Final = 3.0
_PER_SECOND: Final = 1 / 20
_LONGEST: Final = 200
_SECONDS: Final = 10.0
"""How long the desktop may take to answer the program."""
_SHOWN_MS: Final = 10_000

Timer = Callable[[float, Callable[[], None]], None]


class Notifications:
    """`after(seconds, action)` is the caller's loop. Without a session bus nothing is shown, for the log has it."""

    def __init__(self, clock: Callable[[], float], after: Timer, environ: Mapping[str, str] = os.environ) -> None:
        self._clock = clock
        self._after = after
        self._environ = environ
        self._buckets: dict[str, Bucket] = {}
        self._running: list[subprocess.Popen[bytes]] = []

    def show(self, vm: str, text: str) -> bool:
        """Show a line about a VM, unless there have been too many about it; whether it was given to the desktop."""
        bucket = self._buckets.setdefault(vm, Bucket(_BURST, _PER_SECOND, self._clock()))
        if not has_bus(self._environ) or not bucket.take(self._clock()):
            return False
        command = command_for(vm, _cleaned(text))
        if command is None:
            return False
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(self._environ),
                start_new_session=True,
            )
        except OSError:
            return False
        self._running.append(process)
        self._after(_SECONDS, lambda: self._reap(process))
        return True

    def close(self) -> None:
        """Wait for none that still runs."""
        for process in list(self._running):
            self._reap(process)

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        if process in self._running:
            self._running.remove(process)
            process.kill()  # does nothing if it has ended
            process.wait()


def has_bus(environ: Mapping[str, str]) -> bool:
    """Whether there is a session bus."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    return bool(environ.get("DBUS_SESSION_BUS_ADDRESS")) or bool(runtime and (Path(runtime) / "bus").exists())


def command_for(vm: str, text: str) -> list[str] | None:
    """What shows `text`, with the program that this machine has: notify-send, or else systemd's busctl."""
    body = html.escape(text, quote=False)  # many desktops take it for markup
    if program := shutil.which("notify-send"):
        return [program, "--app-name=Odyssey GUI", f"--expire-time={_SHOWN_MS}", "--", vm, body]
    if program := shutil.which("busctl"):
        name = "org.freedesktop.Notifications"
        return [
            program, "--user", f"--timeout={_SECONDS:g}", "--", "call", name, "/org/freedesktop/Notifications", name,
            "Notify", "susssasa{sv}i", "Odyssey GUI", "0", "", vm, body, "0", "0", str(_SHOWN_MS),
        ]  # fmt: skip
    return None


def _cleaned(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:_LONGEST])
