"""`guid swap`: move the windows of running VMs to another GUI domain."""

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from typing import Any

from guid.cli import options
from guid.config.configuration import Configuration
from guid.control import HungUp, instances
from guid.runtime import runtime_dir
from guid.supervisor.assigned import Assigned
from guiproto.errors import MachineCannot

_DESCRIPTION = """\
Moves the windows of VMs to another GUI domain, while their applications run on. The new one shows every window before
the old one lets go; if it cannot, the old one keeps them, and guid says why. From then on it is the VM's GUI domain,
also when the VM is started again. A VM that does not run is only given to it.

See `guid domains` for those that there are."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "swap", help="move VMs to another GUI domain", description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter, usage="guid swap VM... | --all --to DOMAIN",
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="VM", help="the VMs to move")
    parser.add_argument("--all", action="store_true", help="every VM that is served, but for the GUI domain itself")
    parser.add_argument("--to", required=True, metavar="DOMAIN", help="the GUI domain that is to have them")
    options.add_json(parser)
    parser.set_defaults(main=main, usage=parser.error)


def main(args: argparse.Namespace) -> int:
    """Move them. Returns 1 if one has not moved."""
    if bool(args.names) == args.all:
        args.usage("give the names of VMs, or --all")
    target = Configuration.read().gui_domain(args.to, os.environ.get("DISPLAY"))
    wanted = list(dict.fromkeys(args.names))
    rows: list[dict[str, Any]] = []
    for client in instances(runtime_dir()):
        here: list[str] = []
        with client, contextlib.suppress(HungUp):
            served = [row["name"] for row in client.request("ps")["vms"]]
            here = [name for name in served if (name != target.vm if args.all else name in wanted)]
            if here:
                client.follow()  # swaps have time limits of their own
                rows += client.request("swap", names=here, to=dataclasses.asdict(target))["swaps"]
                here = []
        text = "the supervisor ended meanwhile; `guid ps` says who shows"
        rows += [{"name": name, "moved": False, "text": f"{text} {name}"} for name in here]
    assigned = Assigned()
    for row in rows:
        if row["moved"]:
            assigned.set(row["name"], target.name)
    for name in wanted:
        if all(row["name"] != name for row in rows):
            assigned.set(name, target.name)
            rows.append({"name": name, "moved": True, "text": f"{name} is not served; {target.name} will show it"})
    return _report(rows, as_json=args.json)


def _report(rows: list[dict[str, Any]], *, as_json: bool) -> int:
    stayed = [row for row in rows if not row["moved"]]
    if as_json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        raise MachineCannot("no VM is served", "start one with `guid run NAME --label COLOUR -- COMMAND`")
    else:
        for row in rows:
            print(row["text"] if row["moved"] else f"guid: {row['text']}", file=sys.stderr if stayed else sys.stdout)
    return 1 if stayed else 0
