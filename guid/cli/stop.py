"""`guid stop`: end VMs and their windows."""

import argparse
import json

from guid.cli import options
from guid.control import instances
from guid.runtime import runtime_dir
from guiproto.errors import MachineCannot


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "stop",
        help="stop VMs",
        description="Ends VMs that `guid run` started, and stops serving those that `guid attach` serves.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="the VMs to stop")
    parser.add_argument("--all", action="store_true", help="every VM, and the supervisor with them")
    options.add_json(parser)
    parser.set_defaults(main=main, usage=parser.error)


def main(args: argparse.Namespace) -> int:
    """Stop them. Raises MachineCannot for names that are not served."""
    if bool(args.names) == args.all:
        args.usage("give the names of VMs, or --all")
    stopped: list[str] = []
    wanted = set(args.names)
    for client in instances(runtime_dir()):
        with client:
            if args.all:
                stopped += client.request("stop", all=True)["stopped"]
            elif here := [row["name"] for row in client.request("ps")["vms"] if row["name"] in wanted]:
                stopped += client.request("stop", names=here)["stopped"]
    missing = wanted - set(stopped)
    if args.json:
        print(json.dumps({"stopped": stopped, "missing": sorted(missing)}))
    elif stopped:
        print(f"stopped {', '.join(stopped)}")
    if missing:
        raise MachineCannot(f"no VM {', '.join(sorted(missing))}", "see `guid ps`")
    return 0
