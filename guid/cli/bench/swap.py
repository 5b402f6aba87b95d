"""`guid bench swap`."""

import argparse
from pathlib import Path

from guid.bench import plots, report, swap, tiles
from guid.bench.bed import Bed
from guid.cli.bench import output
from guid.cli.table import print_table

_DESCRIPTION = """\
The windows of a sandboxed AppVM move to another display and back, while a program in it repaints all of them. The gap
is the time without them: from the last new frame on the old display to the first moment at which all of them are on
the new one. Below zero, both displays had them for so long."""
_RATES = {1: 60.0, 10: 60.0, 100: 10.0}
"""Frames a second of each window; more would measure the processor."""


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= tiles.MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of windows from 1 to {tiles.MOST}")
    return int(text)


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark."""
    parser = kinds.add_parser("swap", help="moving windows to another GUI domain", description=_DESCRIPTION)
    parser.add_argument(
        "--windows", type=_count, nargs="+", default=sorted(_RATES), metavar="N", help="how many (default: 1 10 100)"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="there and back so often (default: 10; --quick 2)")
    output.add_to(parser, plot="the gap's distribution")
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    rounds = args.rounds or (2 if args.quick else 10)
    with Bed() as bed:
        found = report.Report("swap", report.machine(bed))
        for count in args.windows:
            found.rows.append(swap.swaps(bed, count, rounds, _RATES.get(count, 10.0), output.tell))
    gaps = {f"{row['windows']} windows": row.pop("gaps_ms") for row in found.rows}
    totals = [row.pop("totals_ms") for row in found.rows]
    found.frames = [
        {"windows": row["windows"], "gap_ms": gap, "total_ms": total}
        for row, some, whole in zip(found.rows, gaps.values(), totals, strict=True)
        for gap, total in zip(some, whole, strict=True)
    ]

    def tables() -> None:
        print_table(
            ("WINDOWS", "FRAMES/S", "MOVES", "GAP P50 MS", "GAP MAX MS", "TOTAL P50 MS", "TOTAL MAX MS"),
            [tuple(output.short(value) for value in row.values()) for row in found.rows],
            empty="",
        )

    def plot(path: Path) -> None:
        plots.ecdf(gaps, "milliseconds", "time without windows while they move", path)

    return output.publish(args, found, tables, plot)
