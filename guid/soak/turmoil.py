"""What is done to a world: what users do, all the time, and what goes wrong, now and then."""

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from Xlib import X, error
from Xlib.ext import xtest

from guid.soak.world import World, kill
from shm.xconn import XConnection

_KEYS: Final = range(24, 60)
"""Letters, on every keyboard."""


class Turmoil:
    """One thing at a time, chosen at random; `done` counts them by name."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._choose = random.Random(seed)  # noqa: S311 - chance, and not secrets
        self._connections = [XConnection(server.display) for server in world.displays]
        self.done: Counter[str] = Counter()
        self._acts: dict[str, tuple[int, Callable[[], bool]]] = {
            "pointer moved": (300, self._move_pointer),
            "clicked": (100, self._click),
            "typed": (150, self._type),
            "window moved or resized": (60, self._configure),
            "keyboard layout changed": (4, self._layout),
            "GUI domain swapped": (20, self._swap),
            "worker killed": (8, lambda: self._kill("worker")),
            "agent killed": (6, lambda: self._kill("agent")),
            "Qubes DB daemon killed": (4, lambda: self._kill("database")),
            "X server of a VM killed": (2, lambda: self._kill("x server")),
            "keeper of an X server killed": (1, lambda: self._kill("who keeps an x server")),
            "supervisor killed": (2, lambda: self._kill("supervisor")),
            "VM stopped and started": (2, self._restart),
        }

    def step(self) -> None:
        """Do something."""
        names = list(self._acts)
        (name,) = self._choose.choices(names, [self._acts[name][0] for name in names])
        if self._acts[name][1]():
            self.done[name] += 1

    def release(self) -> None:
        """Let go of every key and button."""
        for connection in self._connections:
            for key in _KEYS:
                xtest.fake_input(connection.display, X.KeyRelease, key)
            connection.sync()

    def close(self) -> None:
        """Leave the displays."""
        for connection in self._connections:
            connection.close()

    def _display(self) -> Any:
        return self._choose.choice(self._connections).display

    def _window(self) -> Any | None:
        root = self._display().screen().root
        with contextlib.suppress(error.XError):
            children = root.query_tree().children
            return self._choose.choice(children) if children else None
        return None

    def _move_pointer(self) -> bool:
        display = self._display()
        xtest.fake_input(display, X.MotionNotify, x=self._choose.randint(0, 1599), y=self._choose.randint(0, 999))
        display.sync()
        return True

    def _click(self) -> bool:
        display, button = self._display(), self._choose.choice((1, 1, 1, 2, 3, 4, 5))
        xtest.fake_input(display, X.ButtonPress, button)
        xtest.fake_input(display, X.ButtonRelease, button)
        display.sync()
        return True

    def _type(self) -> bool:
        window = self._window()
        if window is None:
            return False
        with contextlib.suppress(error.XError):
            window.set_input_focus(X.RevertToPointerRoot, X.CurrentTime, onerror=lambda *_: None)
        key = self._choose.choice(_KEYS)
        for kind in (X.KeyPress, X.KeyRelease):
            for connection in self._connections:
                xtest.fake_input(connection.display, kind, key)
        for connection in self._connections:
            connection.sync()
        return True

    def _configure(self) -> bool:
        window, choose = self._window(), self._choose
        if window is None:
            return False
        window.configure(
            x=choose.randint(0, 1200), y=choose.randint(0, 700), width=choose.randint(60, 600),
            height=choose.randint(60, 450), onerror=lambda *_: None,
        )  # fmt: skip
        return True

    def _layout(self) -> bool:
        name, layout = self._choose.choice(self._world.names), self._choose.choice(("de", "us", "fr"))
        self._world.guid("db", "write", name, "/keyboard-layout", layout)
        return True

    def _swap(self) -> bool:
        return self._world.swap(self._choose.choice(self._world.names), self._choose.choice(self._world.domains))

    def _kill(self, what: str) -> bool:
        pids = [pid for kind, pid in self._world.processes() if kind == what]
        if not pids:
            return False
        kill(self._choose.choice(pids))
        if what == "supervisor":
            self._world.revive()
        return True

    def _restart(self) -> bool:
        name = self._choose.choice(self._world.names)
        self._world.guid("stop", name)
        self._world.start(name)
        return True
