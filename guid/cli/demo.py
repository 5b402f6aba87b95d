"""`guid demo`: two AppVMs with real applications, to look at."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from backends import registry
from backends.base import DomainSpec
from guid.cli import demo_machine, options
from guid.cli.names import free_domid, refuse_taken_name
from guid.config.configuration import Configuration
from guid.control import Listener
from guid.runtime import runtime_dir
from guid.screenshot import save_screenshot
from guid.spec import ViewSpec, VmSpec
from guid.supervisor.drivers import driver_maker
from guid.supervisor.supervisor import Supervisor
from guid.xserver import Xvfb
from guiproto.errors import MachineCannot

_DESCRIPTION = """\
Starts two AppVMs, `work` (blue) and `untrusted` (red), with applications in them, and shows their windows on $DISPLAY,
or on a display server of its own if there is none. Ctrl-C ends it and leaves nothing behind."""

_SCREEN: Final = (1280, 800)
_SETTLE_SECONDS: Final = 3.0
_WELCOME: Final = r"""
printf 'This terminal runs in the AppVM "%s".\n\n' "$(hostname)"
printf 'It has its own home, processes,\ndisplay server and network namespace.\n\n'
ps -e -o pid,comm 2>/dev/null | head -n 12
exec sh -i
"""
_XTERM: Final = "xterm -fa Monospace -fs 10"
_VMS: Final = (
    ("work", "blue", f'xclock -geometry 220x220+620+60 & {_XTERM} -geometry 70x20+40+60 -e sh -c "$WELCOME"'),
    ("untrusted", "red", f'xeyes -geometry 260x170+900+60 & {_XTERM} -geometry 70x18+480+420 -e sh -c "$WELCOME"'),
)


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser("demo", help="two AppVMs with applications, to look at", description=_DESCRIPTION)
    parser.add_argument("--backend", default="local", metavar="B", help="what runs AppVMs (default: %(default)s)")
    parser.add_argument("--headless", action="store_true", help="use an X server of its own even if there is a desktop")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after N seconds (default: run until Ctrl-C)")
    parser.add_argument("--screenshot", type=Path, metavar="FILE", help="save a PNG of the whole desktop")
    parser.add_argument("--json", type=Path, metavar="FILE", help="save the windows and VMs as JSON")
    parser.add_argument("--no-sandbox", action="store_true", help="run the applications with NO isolation")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run it. Raises MachineCannot with what is missing."""
    options.log_to_stderr(False)
    for program in ("xterm", "xclock", "xeyes"):
        if shutil.which(program) is None:
            raise MachineCannot(f"the demo shows {program}, which is not installed", "apt install xterm x11-apps")
    display = None if args.headless else os.environ.get("DISPLAY")
    server = None
    # From here on a signal must find somebody who cleans up.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        if display is None:
            server = Xvfb(*_SCREEN)
            display = server.display
        if registry.load(args.backend, os.environ).makes_lasting:
            return demo_machine.run(args, display, _SCREEN, _tell, _record)
        return _run(args, display, own_server=server is not None)
    finally:
        if server is not None:
            server.close()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _run(args: argparse.Namespace, display: str, *, own_server: bool) -> int:
    runtime = runtime_dir()
    for name, _, _ in _VMS:
        refuse_taken_name(runtime, name)
    first = free_domid(runtime)
    state = Path(tempfile.mkdtemp(prefix="demo-", dir=runtime))
    failed: list[str] = []
    try:
        configuration = Configuration.read()
        listener = Listener(runtime / f"demo-{os.getpid()}.sock")
        supervisor = Supervisor(listener, driver_maker(state), state, configuration)
        try:
            _tell(f"showing two AppVMs on display {display}" + (" (an Xvfb of our own)" if own_server else ""))
            for offset, (name, color, script) in enumerate(_VMS):
                domid = first + offset
                spec = VmSpec(name=name, domid=domid, label=color, view=ViewSpec(display=display))
                command = ("sh", "-c", f"WELCOME={_quoted(_WELCOME)}; {script}")
                supervisor.start(
                    spec,
                    DomainSpec(
                        name=name,
                        domid=domid,
                        gui_domid=0,
                        command=command,
                        screen=_SCREEN,
                        sandbox=not args.no_sandbox,
                    ),
                )
                _tell(f"{name} ({color}): domain {domid}, files in {state / name}")

            def watch(name: str, state: str) -> None:
                if state == "failed":
                    failed.append(name)
                if not supervisor.rows():
                    supervisor.shut_down()

            supervisor.on_state = watch
            _tell("other terminals: guid ps, guid windows; end with Ctrl-C or `guid stop --all`")
        except BaseException:
            supervisor.close()
            raise
        now = time.monotonic()
        settle = min(_SETTLE_SECONDS, args.seconds / 2) if args.seconds else _SETTLE_SECONDS
        supervisor.at(now + settle, lambda: _record(args, display, supervisor))
        if args.seconds:
            supervisor.at(now + args.seconds, supervisor.shut_down)
        supervisor.run()
    finally:
        shutil.rmtree(state, ignore_errors=True)
    return 1 if failed else 0


def _record(args: argparse.Namespace, display: str, supervisor: Supervisor) -> None:
    if args.screenshot:
        save_screenshot(display, args.screenshot)
        _tell(f"screenshot: {args.screenshot}")
    if args.json:

        def write(windows: list[dict[str, Any]]) -> None:
            report = {"display": display, "vms": supervisor.rows(), "windows": windows}
            args.json.write_text(json.dumps(report, indent=2) + "\n")
            _tell(f"windows as JSON: {args.json}")

        supervisor.windows(write)


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _tell(text: str) -> None:
    print(f"guid: {text}", file=sys.stderr, flush=True)
