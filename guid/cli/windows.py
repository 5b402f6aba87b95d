"""`guid windows`: every window of every VM."""

import argparse
import contextlib
import json
import sys
from typing import Any

from guid.cli import options
from guid.cli.table import print_table
from guid.control import HungUp, instances
from guid.runtime import qubesdb_dir, runtime_dir
from guiproto.errors import MachineCannot
from qubesdb.client import Database, NoEntry
from qubesdb.keys import GUEST_COPIES, SOURCE
from qubesdb.sockets import socket_path


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "windows",
        help="list the windows of all VMs",
        description="Lists the windows of all VMs. Geometry is that of the content, in pixels of the desktop; "
        "copies_per_frame counts the CPU copies of a frame between the program that draws it and what the display "
        "server reads (null: nothing to show yet): those in the VM, guest_copies, which depend on the source of its "
        "windows, and those here. Where the VM does not name its source, guest_copies is null: only those here count. "
        "damage_rects counts the rectangles painted so far.",
    )
    options.add_json(parser)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Print the list."""
    rows: list[dict[str, Any]] = []
    silent: list[str] = []
    for client in instances(runtime_dir()):
        with client, contextlib.suppress(HungUp):
            answer = client.request("windows")
            rows += _with_guest_copies(answer["windows"])
            silent += answer["silent"]
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(
            ("VM", "REMOTE", "LOCAL", "GEOMETRY", "STATE", "SOURCE", "COPIES", "TITLE"),
            [
                (
                    r["vm"],
                    f"0x{r['remote_id']:x}",
                    f"0x{r['local_id']:x}",
                    f"{r['width']}x{r['height']}+{r['x']}+{r['y']}",
                    ("mapped" if r["mapped"] else "hidden") + (" o-r" if r["override_redirect"] else ""),
                    r["source"] or "?",
                    "-"
                    if r["copies_per_frame"] is None
                    else r["copies_per_frame"]
                    if r["source"]
                    else f"{r['copies_per_frame']}+?",
                    r["title"],
                )
                for r in rows
            ],
            empty="no windows",
        )
    for name in silent:
        print(f"guid: the worker of {name} does not answer; its windows are not listed", file=sys.stderr)
    return 0


def _with_guest_copies(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    sources = {vm: _source(vm) for vm in {row["vm"] for row in rows}}
    for row in rows:
        source = row["source"] = sources[row["vm"]]
        guest = row["guest_copies"] = None if source is None else GUEST_COPIES[source]
        if guest and row["copies_per_frame"] is not None:
            row["copies_per_frame"] += guest
    return rows


def _source(vm: str) -> str | None:
    """Where its agent has windows from, if it says so."""
    try:
        with Database(socket_path(qubesdb_dir(runtime_dir()), vm)) as database:
            return SOURCE.parse(database.read(SOURCE.path))
    except (MachineCannot, NoEntry, ValueError):
        return None
