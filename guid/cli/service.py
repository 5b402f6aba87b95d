"""`guid service`: the supervisor as a service of the user's systemd."""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from guid.control import Client
from guid.runtime import runtime_dir
from guid.supervisor import daemon
from guid.units import SERVICE, SOCKET, units
from guiproto.errors import MachineCannot

_DESCRIPTION = """\
Without it the first `guid run` starts the supervisor, which ends soon after the last VM. As a service it is started
by systemd, for the first command that needs it, and again if it fails; then `journalctl --user -u odyssey-gui` has its
log."""

_OPERATIONS: Final = {
    "install": "write the units into ~/.config/systemd/user and enable them",
    "uninstall": "disable and remove them",
    "status": "say whether they are there, and what systemd knows",
    "show": "print the units, and install nothing",
}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommands."""
    parser = commands.add_parser("service", help="the supervisor as a service of systemd", description=_DESCRIPTION)
    kinds = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    mains = {"install": _install, "uninstall": _uninstall, "status": _status, "show": _show}
    for name, text in _OPERATIONS.items():
        kind = kinds.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        kind.set_defaults(main=mains[name])


def directory() -> Path:
    """Where the user's own units are."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path(os.environ.get("HOME", "/")) / ".config"
    return Path(base) / "systemd" / "user"


def _install(args: argparse.Namespace) -> int:  # noqa: ARG001 - one signature for all
    where = directory()
    if not (where / SOCKET).exists():
        _refuse_running()
    where.mkdir(parents=True, exist_ok=True)
    for name, text in units(os.environ).items():
        (where / name).write_text(text)
        print(f"wrote {where / name}")
    if not _systemctl("daemon-reload") or not _systemctl("enable", "--now", SOCKET):
        remedy = f"log in and run: systemctl --user enable --now {SOCKET}"
        raise MachineCannot("the units are there, but systemd could not be told", remedy)
    print("from now on systemd starts the supervisor when it is needed")
    return 0


def _uninstall(args: argparse.Namespace) -> int:  # noqa: ARG001 - one signature for all
    there = [directory() / name for name in (SOCKET, SERVICE) if (directory() / name).exists()]
    if not there:
        raise MachineCannot(f"there are no units in {directory()}", "nothing is to be removed")
    told = _systemctl("disable", "--now", SOCKET)
    for path in there:
        path.unlink()
        print(f"removed {path}")
    if told and _systemctl("daemon-reload"):
        print("a supervisor that runs goes on; `guid stop --all` ends it with all VMs")
    return 0


def _status(args: argparse.Namespace) -> int:  # noqa: ARG001 - one signature for all
    expected = units(os.environ)
    for name, text in expected.items():
        path = directory() / name
        if not path.exists():
            print(f"{name}: not installed; `guid service install` does it")
        else:
            print(f"{name}: {path}" + ("" if path.read_text() == text else ", not as `guid service show` has it"))
    if all((directory() / name).exists() for name in expected):
        _systemctl("--no-pager", "--lines=0", "status", SOCKET, SERVICE)
        return 0
    return 1


def _show(args: argparse.Namespace) -> int:  # noqa: ARG001 - one signature for all
    print("\n".join(f"# {name}\n{text}" for name, text in units(os.environ).items()), end="")
    return 0


def _refuse_running() -> None:
    """Two that listen at one place would each have a part of the VMs."""
    try:
        Client(runtime_dir() / daemon.SOCKET_NAME).close()
    except MachineCannot:
        return
    raise MachineCannot("a supervisor runs already, started by `guid run`", "end it first: guid stop --all")


def _systemctl(*words: str) -> bool:
    """Whether it did it; what is wrong it says itself."""
    sys.stdout.flush()
    try:
        return subprocess.run(("systemctl", "--user", *words), check=False).returncode == 0
    except FileNotFoundError:
        print("guid: there is no systemctl here", file=sys.stderr)
        return False
