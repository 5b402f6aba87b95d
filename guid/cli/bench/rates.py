"""`guid bench rates`."""

import argparse
from pathlib import Path

from guid.bench import plots, rates, report
from guid.bench.bed import Bed
from guid.bench.stats import Repeated
from guid.cli.bench import output
from guid.cli.table import print_table
from guid.worker.process import warm_up


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark."""
    parser = kinds.add_parser(
        "rates", help="buffers acknowledged and windows made per second",
        description="A synthetic agent announces buffers, and makes and destroys windows, as fast as one real worker "
        "takes them.",
    )  # fmt: skip
    parser.add_argument("--count", type=int, metavar="N", help="of each kind (default: 2000; with --quick 200)")
    output.add_to(parser, plot="operations per second")
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    warm_up()
    with Bed() as bed:
        found = report.Report(
            "rates", report.machine(bed), rates.rates(bed, args.count or (200 if args.quick else 2000))
        )

    def tables() -> None:
        print_table(
            ("WHAT", "PER SECOND", "WORKER CPU US"),
            [(row["what"], f"{row['per_s']:.0f}", f"{row['worker_cpu_us']:.0f}") for row in found.rows],
            empty="",
        )

    def plot(path: Path) -> None:
        figures = {row["what"]: Repeated((row["per_s"],)) for row in found.rows}
        plots.intervals(figures, "per second", "window traffic", path, log=True)

    return output.publish(args, found, tables, plot)
