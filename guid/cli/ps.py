"""`guid ps`: which VMs are served, by whom, and how much of their limits they use."""

import argparse
import json
from collections.abc import Mapping
from typing import Any, Final

from guid.cli import options
from guid.cli.names import limits, served
from guid.cli.table import print_table
from guid.core.config import Limit
from guid.runtime import runtime_dir

_EMPTY: Final = "no VM is served; start one with `guid run NAME --label COLOUR -- COMMAND`"


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "ps", help="list the VMs that are served", description="Lists the VMs that are served."
    )
    parser.add_argument("--limits", action="store_true", help="show how much of its limits each VM uses")
    options.add_json(parser)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Print the list."""
    rows = limits(runtime_dir()) if args.limits else served(runtime_dir())
    if args.json:
        print(json.dumps(rows, indent=2))
    elif args.limits:
        print_table(
            ("NAME", "WINDOWS", "MEMORY (MIB)", "TRAY ICONS", "MESSAGES/S", "REACHED SO FAR"),
            [(r["name"], *(_used(r[limit]) for limit in Limit), _reached(r)) for r in rows],
            empty=_EMPTY,
        )
    else:
        print_table(
            ("NAME", "DOMID", "LABEL", "BACKEND", "STATE", "GUI DOMAIN", "DISPLAY", "WORKER", "RESTARTS"),
            [
                (
                    r["name"],
                    r["domid"],
                    r["label"],
                    r["backend"],
                    r["state"],
                    r["gui_domain"],
                    r["display"],
                    r["worker_pid"],
                    r["restarts"],
                )
                for r in rows
            ],
            empty=_EMPTY,
        )
    return 0


def _used(part: Mapping[str, Any]) -> str:
    return f"{'-' if part['used'] is None else part['used']} of {part['most']}"


def _reached(row: Mapping[str, Any]) -> str:
    return ", ".join(limit for limit in Limit if row[limit]["reached"]) or "none"
