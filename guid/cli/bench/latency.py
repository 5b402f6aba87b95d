"""`guid bench latency`."""

import argparse
from pathlib import Path

from guid.bench import latency, plots, report
from guid.bench.bed import Bed
from guid.cli.bench import output
from guid.cli.table import print_table
from guid.process import warm_up


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark."""
    parser = kinds.add_parser(
        "latency", help="how late a change is seen on the other side",
        description="A real agent and a real worker between two X servers: from a draw in the AppVM to the change on "
        "the display, from the pointer or a key on the display to the event in the AppVM, and (native) the same draw "
        "on one X server with nothing in between. Rounds take turns. Single shots start at rest; with --rate the "
        "times are fixed in advance and lateness counts from them.",
    )  # fmt: skip
    parser.add_argument(
        "--shots", type=int, metavar="N", help="of each path and round (default: 400; with --quick 100)"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds (default: 3; with --quick 2)")
    parser.add_argument("--rate", type=float, metavar="HZ", help="open loop at this rate, such as 30, 60 or 120")
    output.add_to(parser, plot="the distribution of each path")
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    warm_up()
    rounds = args.rounds or (2 if args.quick else 3)
    shots = args.shots or (100 if args.quick else 400)
    samples: dict[str, list[float]] = {}
    lost: dict[str, int] = {}
    with Bed() as bed, latency.paths(bed) as paths:
        found = report.Report("latency", report.machine(bed))
        for number in range(rounds):
            output.tell(f"round {number + 1} of {rounds}")
            for name, path in paths.items():
                late, missed = latency.shots(path, shots, args.rate)
                samples.setdefault(name, []).extend(late)
                lost[name] = lost.get(name, 0) + missed
                found.frames += [{"path": name, "round": number, "latency_us": value} for value in late]
    found.rows = [{"path": name, "lost": lost[name], **latency.summary(name, samples)} for name in samples]

    def tables() -> None:
        print_table(
            ("PATH", "N", "P50 US", "P90 US", "P99 US", "LOST", "TIMES NATIVE"),
            [
                (
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
        plots.ecdf(samples, "microseconds", "latency", path)

    return output.publish(args, found, tables, plot)
