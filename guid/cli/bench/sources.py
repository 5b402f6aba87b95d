"""`guid bench sources`."""

import argparse
from pathlib import Path

from guid.bench import plots, report, sources
from guid.bench.bed import Bed
from guid.bench.stats import Repeated
from guid.cli.bench import output
from guid.cli.table import print_table
from guid.worker.process import warm_up

_DESCRIPTION = """\
The same draws in two AppVMs on a desktop each, one whose source of windows copies each frame once (x11) and one that
copies nothing (xwayland), in turn: how late they are seen, and what all processes from program to display spend."""


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark."""
    parser = kinds.add_parser("sources", help="what each source of windows costs", description=_DESCRIPTION)
    parser.add_argument("--shots", type=int, metavar="N", help="of each source and size (default: 1200; --quick 200)")
    parser.add_argument("--blocks", type=int, metavar="N", help="for processor time (default: 12; --quick 4)")
    output.add_to(parser, plot="processor time of a frame")
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    warm_up()
    shots, blocks = args.shots or (200 if args.quick else 1200), args.blocks or (4 if args.quick else 12)
    with Bed() as one, Bed() as other, sources.rivals(dict(zip(sources.SOURCES, (one, other), strict=True))) as rivals:
        found = report.Report("sources", report.machine(one))
        found.rows = sources.measure(rivals, shots, blocks, output.tell)

    def tables() -> None:
        print_table(
            ("DRAW", "ORDER", "SOURCE", "P50 US", "P90 US", "P99 US", "CPU US", "P50 RATIO", "CPU RATIO"),
            [
                (
                    row["draw"], row["order"], source, *(output.short(row[f"{source}_p{p}_us"]) for p in (50, 90, 99)),
                    output.short(row[f"{source}_cpu_us"]),
                    *(_ratio(row[key]) if source == sources.SOURCES[1] else "1" for key in ("p50_ratio", "cpu_ratio")),
                )
                for row in found.rows
                for source in sources.SOURCES
            ],
            empty="",
        )  # fmt: skip

    def plot(path: Path) -> None:
        figures = {
            f"{row['draw']} {source}": Repeated(tuple(row[f"{source}_cpu_us_of_blocks"]))
            for row in found.rows
            for source in sources.SOURCES
            if row["order"] == "blocks"
        }
        plots.intervals(figures, "microseconds", "processor time of a frame", path)

    return output.publish(args, found, tables, plot)


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"
