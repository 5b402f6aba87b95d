"""The domain drivers of a supervisor: one for each backend, made when it is first needed."""

import os
import select
from collections.abc import Callable, Iterable
from pathlib import Path

from backends import registry
from backends.base import DomainDriver


def driver_maker(state_dir: Path) -> Callable[[str], DomainDriver]:
    """Makes the driver of the backend that it is given the name of, which keeps its state in `state_dir`."""
    return lambda backend: registry.load(backend, os.environ).domains(state_dir)


class Drivers:
    """By the names of their backends; their descriptors are in `poll`."""

    def __init__(self, make: Callable[[str], DomainDriver], poll: select.epoll) -> None:
        self._make = make
        self._poll = poll
        self._drivers: dict[str, DomainDriver] = {}

    def get(self, backend: str) -> DomainDriver:
        """The driver, connected to whatever it needs. Raises MachineCannot."""
        driver = self._drivers.get(backend)
        if driver is None:
            driver = self._drivers[backend] = self._make(backend)
            self._poll.register(driver.fileno(), select.EPOLLIN)
        return driver

    def owner(self, fd: int) -> str | None:
        """The backend whose driver has that descriptor."""
        return next((name for name, driver in self._drivers.items() if driver.fileno() == fd), None)

    def drop(self, backend: str) -> None:
        """Forget a driver that is of no use any more; the next `get` makes another."""
        driver = self._drivers.pop(backend, None)
        if driver is not None:
            self._poll.unregister(driver.fileno())
            driver.close()

    def close(self) -> None:
        """Close all. Running domains go on."""
        for backend in list(self._drivers):
            self.drop(backend)

    def names(self) -> Iterable[str]:
        """The backends that have a driver."""
        return list(self._drivers)
