"""`guid bench latency`."""

import argparse
from pathlib import Path
from typing import Any, Final

from guid.bench import latency, plots, report
from guid.bench.bed import Bed
from guid.cli.bench import output
from guid.cli.table import print_table
from guid.worker.process import warm_up

_OPEN_SHOTS: Final = 120


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark."""
    parser = kinds.add_parser(
        "latency", help="how late a change is seen on the other side",
        description="A real agent and a real worker between two X servers: from a draw in the AppVM to the change on "
        "the display, from the pointer or a key on the display to the event in the AppVM, and (native) the same draw "
        "on one X server with nothing in between. Single shots start at rest, one of each path in turn. In an open "
        "loop the times are fixed in advance and lateness counts from them; native ones included.",
    )  # fmt: skip
    parser.add_argument(
        "--shots", type=int, metavar="N", help="single shots of each path (default: 1200; with --quick 200)"
    )
    parser.add_argument(
        "--rate", type=float, action="append", metavar="HZ",
        help="open loop at this rate (default: 30, 60 and 120; none with --quick; repeatable)",
    )  # fmt: skip
    output.add_to(parser, plot="the distribution of each path")
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    warm_up()
    shots = args.shots or (200 if args.quick else 1200)
    rates = args.rate or ([] if args.quick else [30.0, 60.0, 120.0])
    samples: dict[str, dict[str, list[float]]] = {}
    with Bed() as bed, latency.paths(bed) as paths:
        found = report.Report("latency", report.machine(bed))
        output.tell(f"{shots} single shots of each path, in turn")
        list(latency.in_turn(paths, shots // 10))  # warm-up
        single = samples["single shots"] = {name: [] for name in paths}
        for name, value in latency.in_turn(paths, shots):
            single[name].append(value)
        lost = dict.fromkeys(paths, 0)
        found.rows += _rows("single shots", single, lost)
        for rate in rates:
            mode = f"{rate:g} Hz"
            open_loop = samples[mode] = {}
            for name, path in paths.items():
                output.tell(f"{name} at {mode}")
                open_loop[name], lost[name] = latency.open_loop(path, rate, _OPEN_SHOTS)
            found.rows += _rows(mode, open_loop, lost)
    for mode, paths_of_mode in samples.items():
        for name, values in paths_of_mode.items():
            found.frames += [{"mode": mode, "path": name, "latency_us": value} for value in values]

    def tables() -> None:
        print_table(
            ("MODE", "PATH", "N", "P50 US", "P90 US", "P99 US", "LOST", "TIMES NATIVE"),
            [
                (
                    row["mode"],
                    row["path"],
                    row["n"],
                    *(output.short(row[f"p{p}_us"]) for p in (50, 90, 99)),
                    row["lost"],
                    output.short(row["ratio"]),
                )
                for row in found.rows
            ],
            empty="",
        )

    def plot(path: Path) -> None:
        plots.ecdf(single, "microseconds", "latency of single shots", path)

    return output.publish(args, found, tables, plot)


def _rows(mode: str, samples: dict[str, list[float]], lost: dict[str, int]) -> list[dict[str, Any]]:
    return [{"mode": mode, "path": name, "lost": lost[name], **latency.summary(name, samples)} for name in samples]
