"""`guid windows`: every window of every VM."""

import argparse
import contextlib
import json
import sys
from typing import Any

from guid.cli import options
from guid.cli.table import print_table
from guid.control import HungUp, instances
from guid.runtime import runtime_dir


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "windows",
        help="list the windows of all VMs",
        description="Lists the windows of all VMs. Geometry is that of the content, in pixels of the desktop; "
        "copies_per_frame counts the CPU copies between the shared pages and the display server's own read "
        "(null: nothing to show yet); damage_rects counts the rectangles painted so far.",
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
            rows += answer["windows"]
            silent += answer["silent"]
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(
            ("VM", "REMOTE", "LOCAL", "GEOMETRY", "STATE", "COPIES", "TITLE"),
            [
                (
                    r["vm"],
                    f"0x{r['remote_id']:x}",
                    f"0x{r['local_id']:x}",
                    f"{r['width']}x{r['height']}+{r['x']}+{r['y']}",
                    ("mapped" if r["mapped"] else "hidden") + (" o-r" if r["override_redirect"] else ""),
                    "-" if r["copies_per_frame"] is None else r["copies_per_frame"],
                    r["title"],
                )
                for r in rows
            ],
            empty="no windows",
        )
    for name in silent:
        print(f"guid: the worker of {name} does not answer; its windows are not listed", file=sys.stderr)
    return 0
