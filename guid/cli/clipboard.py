"""`guid clipboard`: what is copied, and from where; never what it says."""

import argparse
import json
from typing import Any

from guid.cli import options
from guid.cli.table import print_table
from guid.control import instances
from guid.runtime import runtime_dir

_DESCRIPTION = """\
The clipboard between VMs: Ctrl-Shift-c in a VM's window copies that VM's clipboard, Ctrl-Shift-v in a window of another
VM gives it to that one, once. VMs of one GUI domain share one. What may be pasted where, say [[clipboard]] rules in
guid.toml; the keys are settings of each VM."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "clipboard", help="what is copied between VMs: show or empty it", description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    status = actions.add_parser("status", help="which VM it is from, its size and age")
    options.add_json(status)
    status.set_defaults(main=_status)
    clear = actions.add_parser("clear", help="forget it")
    clear.set_defaults(main=_clear)


def _ask(**arguments: Any) -> list[dict[str, Any]]:
    rows = []
    for client in instances(runtime_dir()):
        with client:
            rows += client.request("clipboard", **arguments)["clipboards"]
    return rows


def _status(args: argparse.Namespace) -> int:
    rows = _ask()
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(
            ("GUI DOMAIN", "DISPLAY", "FROM", "BYTES", "AGE"),
            [(r["gui_domain"], r["display"], r["source"], r["size"], f"{r['age_seconds']:.0f} s") for r in rows],
            empty="nothing is copied",
        )
    return 0


def _clear(_: argparse.Namespace) -> int:
    for row in _ask(clear=True):
        print(f"{row['size']} bytes from {row['source']} are forgotten")
    return 0
