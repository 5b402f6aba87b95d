"""The demo on a backend whose AppVMs are machines of their own: one is made, started, shown and removed."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from backends import registry
from backends.base import AppVmSpec
from guid.cli import options
from guid.config.configuration import Configuration
from guid.control import Listener
from guid.runtime import runtime_dir
from guid.spec import ViewSpec
from guid.supervisor.drivers import driver_maker
from guid.supervisor.supervisor import Supervisor
from guiproto.errors import MachineCannot

_NAME: Final = "demo"
_BOOT_SECONDS: Final = 300.0
_SETTLE_SECONDS: Final = 3.0
_COMMANDS: Final = (("xterm", "-geometry", "70x20+40+60"), ("xclock", "-geometry", "220x220+620+60"))

Tell = Callable[[str], None]
Record = Callable[[argparse.Namespace, str, Supervisor], None]


def run(args: argparse.Namespace, display: str, screen: tuple[int, int], tell: Tell, record: Record) -> int:
    """Until Ctrl-C, or `args.seconds` after its windows have appeared. Raises MachineCannot."""
    backend = registry.load(args.backend, os.environ)
    if backend.keeps(_NAME):
        raise MachineCannot(f"there is an AppVM {_NAME!r} already", f"`guid vm remove {_NAME}` first")
    runtime = runtime_dir()
    driver = backend.domains(runtime / "vms")
    commands: list[subprocess.Popen[bytes]] = []
    try:
        driver.create(AppVmSpec(_NAME, "blue", screen=screen, memory_mib=640, videoram_mib=128, private=True), tell)
        configuration = Configuration.read()
        listener = Listener(runtime / f"demo-{os.getpid()}.sock")
        supervisor = Supervisor(listener, driver_maker(runtime / "vms"), runtime, configuration)
        try:
            tell(f"starting {_NAME} (blue); its windows will appear on display {display}")
            supervisor.resume(
                options.vm_with(ViewSpec(display=display), label="blue", name=_NAME, domid=0, backend=args.backend)
            )
            # They wait until the machine has come up, which must not keep the supervisor from its work.
            commands += [
                subprocess.Popen([sys.executable, "-m", "guid.cli.main", "run", _NAME, "--", *command])
                for command in _COMMANDS
            ]
            shown: list[float] = []
            end = time.monotonic() + _BOOT_SECONDS

            def look(windows: list[dict[str, Any]]) -> None:
                painted = [row for row in windows if row["mapped"] and row["damage_rects"]]
                if len(painted) >= len(_COMMANDS):
                    shown.append(time.monotonic())
                    supervisor.at(shown[0] + _SETTLE_SECONDS, lambda: record(args, display, supervisor))
                    if args.seconds:
                        supervisor.at(shown[0] + _SETTLE_SECONDS + args.seconds, supervisor.shut_down)
                elif time.monotonic() > end:
                    tell("its windows did not appear: see its console.log")
                    supervisor.shut_down()
                else:
                    supervisor.at(time.monotonic() + 1.0, lambda: supervisor.windows(look))

            supervisor.at(time.monotonic() + 1.0, lambda: supervisor.windows(look))
        except BaseException:
            supervisor.close()
            raise
        supervisor.run()
        return 0 if shown else 1
    finally:
        for process in commands:
            process.terminate()
            process.wait()
        if backend.keeps(_NAME):
            driver.remove(_NAME)
        driver.close()
