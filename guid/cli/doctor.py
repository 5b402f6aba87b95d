"""`guid doctor`: what this machine has and lacks for each backend and display host, and what to install."""

import argparse
import json
import os
from collections.abc import Sequence
from typing import Any

from backends import registry
from guid.cli import options
from guid.cli.table import print_table
from guid.config.configuration import Configuration
from guid.core.config import Limit
from guid.sandbox.confinement import in_force
from guiproto.errors import MachineCannot

_DESCRIPTION = """\
Says what this machine has and lacks for each backend and each display host, with the remedy. Exit status 1 if nothing
can be used."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser("doctor", help="what this machine has and lacks", description=_DESCRIPTION)
    parser.add_argument("--display", metavar=":N", help="the X display to look at (default: $DISPLAY)")
    options.add_json(parser)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Look, and say what was found."""
    rows = [_backend(name) for name in registry.names()] + [
        _x11(args.display or os.environ.get("DISPLAY")),
        _row("confinement", [], in_force()),
        _limits(),
    ]
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(
            ("WHAT", "USABLE", "WHY"),
            [
                (row["what"] if not number else "", ("yes" if row["usable"] else "no") if not number else "", text)
                for row in rows
                for number, text in enumerate([*row["missing"], *row["notes"]] or ["everything is there"])
            ],
            empty="",
        )
    return 0 if any(row["usable"] for row in rows[:-2]) else 1


def _limits() -> dict[str, Any]:
    """Those of a VM about which nothing else is configured."""
    try:
        configuration = Configuration.read()
    except MachineCannot as error:
        return _row("limits", str(error).splitlines(), [])
    settings = configuration.settings("", "", {})
    limits = set(Limit)
    others = [f"label.{name}" for name, values in configuration.labels.values() if values.keys() & limits]
    others += [f"vm.{name}" for name, values in configuration.vms.items() if values.keys() & limits]
    said = ", ".join(f"{limit} {getattr(settings, limit)}" for limit in Limit)
    elsewhere = f"; others are in {', '.join(others)}" if others else ""
    return _row("limits", [], [f"A VM has {said}{elsewhere}."])


def _row(what: str, missing: Sequence[str], notes: Sequence[str]) -> dict[str, Any]:
    return {"what": what, "usable": not missing, "missing": list(missing), "notes": list(notes)}


def _backend(name: str) -> dict[str, Any]:
    try:
        backend = registry.load(name, os.environ)
        missing = list(backend.missing(domains=True))
        return _row(f"backend {name}", missing, backend.notes())
    except MachineCannot as error:
        return _row(f"backend {name}", [str(error)], [])


def _x11(display: str | None) -> dict[str, Any]:
    what = f"host x11 on {display or 'no display'}"
    if display is None:
        return _row(what, ["DISPLAY is not set: start a desktop, or Xvfb, Xephyr or Xvnc, and set it."], [])
    from shm.xconn import XConnection
    from shm.xshm import ShmPath

    try:
        connection = XConnection(display)
    except MachineCannot as error:
        return _row(what, [f"{error}"], [])
    try:
        major, minor = ShmPath(connection, read_only=True).version
        if not connection.passes_descriptors:
            return _row(what, ["The X server is on another machine, or behind TCP: use a local one."], [])
    except MachineCannot as error:
        return _row(what, [f"{error}"], [])
    finally:
        connection.close()
    return _row(what, [], [f"MIT-SHM {major}.{minor}, descriptors can be passed"])
