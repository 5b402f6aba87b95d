"""The stage whose AppVM is a machine of its own, for backends that make such: programs are sent into it and run there.

Run as a module it starts one command in it, with this process's standard input and output.
"""

import contextlib
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from backends import registry
from backends.base import AppVmSpec, DomainDriver
from guid.bench.bed import Bed
from guid.bench.stages import Stage
from guid.runtime import runtime_dir
from guid.spec import ViewSpec, VmSpec
from guid.worker.child import Child
from guid.worker.process import fork_worker
from guiproto.errors import MachineCannot

NAME: Final = "bench"
_MEMORY_MIB: Final = 1024
_VIDEORAM_MIB: Final = 256
_BOOT_SECONDS: Final = 300.0
_CONNECT_SECONDS: Final = 60.0


class Machine:
    """An AppVM that runs until `close`, which removes it."""

    def __init__(self, backend: str, screen: tuple[int, int], tell: Callable[[str], None]) -> None:
        """Makes and starts it; `machine` waits for it. Raises MachineCannot."""
        self.backend = backend
        made = registry.load(backend, os.environ)
        if made.keeps(NAME):
            raise MachineCannot(f"there is an AppVM {NAME!r} already", f"`guid vm remove {NAME}` first")
        self._driver: DomainDriver = made.domains(runtime_dir() / "vms")
        try:
            spec = AppVmSpec(
                NAME, "blue", screen=screen, memory_mib=_MEMORY_MIB, videoram_mib=_VIDEORAM_MIB, private=True
            )
            self._driver.create(spec, tell)
            self.domain = self._driver.resume(NAME)
        except BaseException:
            self.close()
            raise
        self.notes = " ".join(made.notes())
        self._has_booted = False

    @contextlib.contextmanager
    def stage(self, bed: Bed) -> Iterator[Stage]:
        """A worker that shows it on that desktop. Raises MachineCannot if its agent does not come."""
        spec = VmSpec(
            name=NAME, domid=self.domain.domid, gui_domid=self.domain.gui_domid, label="blue", backend=self.backend,
            view=ViewSpec(display=bed.desk.display), environ=dict(self._driver.runtime(NAME)),
        )  # fmt: skip
        roots = {} if self.domain.pid is None else {"machine": self.domain.pid}
        with bed.running(fork_worker(spec)) as child:
            _wait_connected(child, _CONNECT_SECONDS if self._has_booted else _BOOT_SECONDS)
            self._has_booted = True
            yield Stage(
                "", {"worker": child.pid, **roots}, f"guiagent and a guid worker, {self.backend} backend. {self.notes}",
                worker=child, inside=(sys.executable, "-m", __name__, self.backend, NAME),
            )  # fmt: skip

    def close(self) -> None:
        """Remove the AppVM."""
        with contextlib.suppress(MachineCannot):
            self._driver.remove(NAME)
        self._driver.close()


def _wait_connected(child: Child, seconds: float) -> None:
    poll = select.poll()
    poll.register(child.line.fileno(), select.POLLIN)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        poll.poll(left * 1000)
        for message in child.line.receive():
            if message.get("event") == "connected":
                return
            if message.get("event") == "ended":
                raise MachineCannot(f"the worker ended: {message.get('reason')}")
    raise MachineCannot(f"the agent in {NAME} did not come in {seconds:g} s", "see its console.log")


def _main() -> int:
    backend, name, *command = sys.argv[1:]
    driver = registry.load(backend, os.environ).domains(runtime_dir() / "vms")
    try:
        return driver.run(name, command, pass_io=True)
    finally:
        driver.close()


if __name__ == "__main__":
    sys.exit(_main())
