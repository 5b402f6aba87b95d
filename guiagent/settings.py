"""What the VM's Qubes DB says about the GUI, now and from now on; as if it said nothing where there is none.

The daemon may come at any time, go, and come back: what was said stands until something else is. Values that an entry
must not have are logged and ignored, that is, the one before stands.
"""

import contextlib
import logging
import select
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from backends.arrival import Arrival
from backends.rendezvous import is_fresh
from guiproto.errors import MachineCannot
from qubesdb.client import Database, NoEntry
from qubesdb.keys import (
    GUI_DOMAIN,
    GUI_ENABLED,
    GUI_NEXT,
    KEYBOARD_LAYOUT,
    MONITORS,
    VIDEORAM_MIN,
    VIDEORAM_OVERHEAD,
    Key,
)
from qubesdb.sockets import socket_path

KEYS: Final[Sequence[Key[Any]]] = (
    GUI_DOMAIN, GUI_NEXT, GUI_ENABLED, KEYBOARD_LAYOUT, MONITORS, VIDEORAM_MIN, VIDEORAM_OVERHEAD,
)  # fmt: skip
"""The entries that are followed, in the order in which news of them are told: a GUI domain that has the windows now is
no longer the next one."""

_ROUNDS: Final = 8

T = TypeVar("T")

log = logging.getLogger(__name__)


class Settings:
    """`fileno` polls readable when it is worth to call `changes`; its number does not change until `close`."""

    def __init__(self, directory: Path) -> None:
        """`directory`: where the daemon's sockets are, or will be. Nothing is waited for."""
        self._path = socket_path(directory, writable=False)
        self._epoll = select.epoll()
        self._database: Database | None = None
        self._arrival: Arrival | None = None
        self._values: dict[str, Any] = {}
        self._hooks: dict[str, Callable[[Any], None]] = {}
        self._writable = socket_path(directory, writable=True)
        self._told: dict[str, bytes] = {}
        self._await()

    def read(self) -> Mapping[str, Any]:
        """What is said now, by path; entries that are not there are not in it. Empty where there is no daemon."""
        self.changes()
        return dict(self._values)

    def get(self, key: Key[T]) -> T | None:
        """What was said of it when last asked for changes, None if nothing was."""
        value: T | None = self._values.get(key.path)
        return value

    def on(self, key: Key[T], hook: Callable[[T | None], None]) -> None:
        """Have `proceed` call `hook` with every new value of one of `KEYS`, None when the entry was removed."""
        assert key in KEYS
        self._hooks[key.path] = hook

    def tell(self, key: Key[str], value: str) -> None:
        """Have the entry say that, whenever there is a daemon."""
        self._told[key.path] = value.encode()
        if self._database is not None:
            self._write()

    def proceed(self) -> None:
        """Call the hooks of what has changed: what a loop does when `fileno` polls readable."""
        for key, value in self.changes():
            if key.path in self._hooks:
                self._hooks[key.path](value)

    def fileno(self) -> int:
        """To poll for reading."""
        return self._epoll.fileno()

    def changes(self) -> Sequence[tuple[Key[Any], Any]]:
        """Entries with another value than at the last call, and the value: None if it was removed. Never waits long."""
        try:
            return self._look()
        except MachineCannot as error:
            log.debug("Qubes DB: %s", error)
            self._lose()
            self._await()
            return []

    def close(self) -> None:
        """Follow no longer."""
        self._lose()
        self._epoll.close()

    def _look(self) -> Sequence[tuple[Key[Any], Any]]:
        """Raises MachineCannot when there is no daemon any more."""
        if self._database is None:
            if not self._meet():
                return []
            wanted: Sequence[Key[Any]] = KEYS
        else:
            changed = set(self._database.changes())
            wanted = [key for key in KEYS if key.path in changed]
        assert self._database is not None
        found: set[str] = set()
        before = dict(self._values)
        # Changes that arrive between answers are put aside, and nobody wakes us up for them. Whoever makes them faster
        # than we read wakes us up again anyway.
        for _ in range(_ROUNDS):
            for key in wanted:
                self._take(self._database, key)
                found.add(key.path)
            changed = set(self._database.changes())
            wanted = [key for key in KEYS if key.path in changed]
            if not wanted:
                break
        now = self._values
        return [
            (key, now.get(key.path)) for key in KEYS if key.path in found and now.get(key.path) != before.get(key.path)
        ]

    def _take(self, database: Database, key: Key[Any]) -> None:
        try:
            self._values[key.path] = key.parse(database.read(key.path))
        except NoEntry:
            self._values.pop(key.path, None)
        except ValueError as error:
            log.warning("Qubes DB: %s is ignored: %s", key.path, error)

    def _meet(self) -> bool:
        """Whether the daemon is there now. Raises MachineCannot."""
        if self._arrival is None:
            return False
        self._arrival.begin_look()
        try:
            database = Database(self._path)
        except MachineCannot:
            if is_fresh(self._path):
                self._arrival.retry()
            return False
        self._lose()
        self._database = database
        self._epoll.register(database.fileno(), select.EPOLLIN)
        for key in KEYS:
            database.watch(key.path)
        self._write()
        return True

    def _write(self) -> None:
        try:
            with Database(self._writable) as database:
                for path, value in self._told.items():
                    database.write(path, value)
        except MachineCannot as error:
            log.warning("Qubes DB: it is not told of us: %s", error)

    def _await(self) -> None:
        try:
            self._arrival = Arrival(self._path)
        except MachineCannot as error:
            log.warning("there will be no Qubes DB: %s", error)
            return
        for fd in self._arrival.filenos:
            self._epoll.register(fd, select.EPOLLIN)

    def _lose(self) -> None:
        """Let go of the daemon, or of the wait for it."""
        if self._database is not None:
            self._epoll.unregister(self._database.fileno())
            self._database.close()
            self._database = None
        if self._arrival is not None:
            for fd in self._arrival.filenos:
                with contextlib.suppress(OSError):
                    self._epoll.unregister(fd)
            self._arrival.close()
            self._arrival = None
