"""`guid bench cost`."""

import argparse
import json

from guid.bench import cost
from guid.cli import options
from guid.cli.bench import output
from guid.cli.table import print_table


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark."""
    parser = kinds.add_parser(
        "cost", help="memory, wake-ups and start-up time of AppVMs",
        description="Starts AppVMs with an idle window each and measures the memory of their workers and agents, how "
        "often these wake up while nothing happens, and the time until the first window.",
    )  # fmt: skip
    parser.add_argument("--vms", type=int, default=3, metavar="N", help="how many AppVMs (default: %(default)s)")
    options.add_json(parser)
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    result = cost.cost(args.vms, output.tell)
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        print_table(("FIGURE", "VALUE"), [(key, output.short(value)) for key, value in result.items()], empty="")
    return 0
