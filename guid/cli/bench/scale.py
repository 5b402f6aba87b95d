"""`guid bench scale`."""

import argparse
from pathlib import Path

from guid.bench import plots, report, scale
from guid.bench.bed import Bed
from guid.bench.stats import Repeated
from guid.cli.bench import output
from guid.cli.table import print_table
from guid.worker.process import warm_up

_DESCRIPTION = """\
Starts so many AppVMs, one after the other, with an idle window each: time until the first window, memory by process,
and how often workers and agents wake up while nothing happens. Then as many synthetic agents paint at once: who gets
how many frames (Jain's index: 1 is equal shares, 1/N is all for one)."""


def _numbers(text: str) -> list[int]:
    numbers = [int(part) for part in text.split(",")]
    if not all(1 <= number <= 200 for number in numbers):
        raise argparse.ArgumentTypeError("numbers from 1 to 200, separated by commas")
    return numbers


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark."""
    parser = kinds.add_parser("scale", help="what 1, 5, 20 and 50 AppVMs cost", description=_DESCRIPTION)
    parser.add_argument(
        "--vms", type=_numbers, metavar="N,N,...", help="how many AppVMs at a time (default: 1,5,20,50; --quick 1,5)"
    )
    output.add_to(parser, plot="memory per AppVM")
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    warm_up()
    with Bed() as bed:
        found = report.Report("scale", report.machine(bed))
    for number in args.vms or ([1, 5] if args.quick else [1, 5, 20, 50]):
        found.rows.append(scale.scale(number, 5.0, 1.0 if args.quick else 3.0, output.tell))
        found.frames.append(found.rows[-1])

    def tables() -> None:
        first = found.rows[0]
        plain = [
            (key, *(output.short(row[key]) for row in found.rows))
            for key, value in first.items()
            if key != "vms" and not isinstance(value, dict)
        ]
        print_table(("FIGURE", *(f"{row['vms']} VM" for row in found.rows)), plain, empty="")
        print()
        roles = sorted({role for row in found.rows for role in row["pss_by_role_mib"]})
        by_role = [(role, *(output.short(row["pss_by_role_mib"].get(role)) for row in found.rows)) for role in roles]
        print_table(("PSS MIB PER VM", *(f"{row['vms']} VM" for row in found.rows)), by_role, empty="")

    def plot(path: Path) -> None:
        figures = {f"{row['vms']} VM": Repeated((row["pss_per_vm_mib"],)) for row in found.rows}
        plots.intervals(figures, "MiB per AppVM (PSS)", "scale", path)

    return output.publish(args, found, tables, plot)
