"""`guid ps`: which VMs are served, by whom."""

import argparse
import json

from guid.cli import options
from guid.cli.names import served
from guid.cli.table import print_table
from guid.runtime import runtime_dir


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "ps", help="list the VMs that are served", description="Lists the VMs that are served."
    )
    options.add_json(parser)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Print the list."""
    rows = served(runtime_dir())
    if args.json:
        print(json.dumps(rows, indent=2))
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
            empty="no VM is served; start one with `guid run NAME --label COLOUR -- COMMAND`",
        )
    return 0
