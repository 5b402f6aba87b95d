"""`guid bench throughput`."""

import argparse
from functools import partial
from pathlib import Path

from guid.bench import plots, report, throughput
from guid.bench.bed import DESK, DESK_4K, Bed
from guid.bench.stats import Repeated, interleaved, ratio
from guid.bench.workloads import WORKLOADS
from guid.cli.bench import output
from guid.cli.table import print_table
from guid.process import warm_up


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark."""
    parser = kinds.add_parser(
        "throughput", help="messages and frames per second, closed loop",
        description="A synthetic agent sends damage to one real worker as fast as it takes it, and a plain X client "
        "sends the same puts of the same memory (raw), which is the most that the X server can do.",
    )  # fmt: skip
    parser.add_argument(
        "--workload", choices=sorted(WORKLOADS), action="append", help="which one (default: all of them; repeatable)"
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="of each run (default: 2; with --quick 0.3)")
    parser.add_argument("--repetitions", type=int, metavar="N", help="of each pair (default: 5; with --quick 2)")
    output.add_to(parser, plot="frames per second of each run")
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    warm_up()
    seconds = args.seconds or (0.3 if args.quick else 2.0)
    repetitions = args.repetitions or (2 if args.quick else 5)
    with Bed() as bed:
        found = report.Report("throughput", report.machine(bed))
    frames: dict[str, Repeated] = {}
    shares: dict[str, Repeated] = {}
    for name in args.workload or list(WORKLOADS):
        workload = WORKLOADS[name]
        with Bed(DESK_4K if workload.size[0] > DESK[0] else DESK) as bed:
            contenders = {
                "raw": partial(throughput.raw_path, bed, workload, seconds),
                "daemon": partial(throughput.daemon_path, bed, workload, seconds),
            }
            results = interleaved(contenders, repetitions, output.tell)
        found.rows += [{"path": path, **row} for path, runs in results.items() for row in runs]
        rates = {path: [row["fps_painted"] for row in runs] for path, runs in results.items()}
        frames |= {f"{name} {path}": Repeated(tuple(values)) for path, values in rates.items()}
        shares[name] = ratio(rates["daemon"], rates["raw"])

    def tables() -> None:
        print_table(
            ("WORKLOAD", "PATH", "MESSAGES/S", "FRAMES/S", "CPU US/MESSAGE", "PIXEL ERRORS"),
            [
                (
                    row["workload"],
                    row["path"],
                    f"{row['messages_per_s']:.0f}",
                    f"{row['fps_painted']:.0f}",
                    f"{row['worker_cpu_us_per_message']:.2f}",
                    row["pixel_errors"],
                )
                for row in found.rows
            ],
            empty="",
        )
        print()
        print_table(
            ("WORKLOAD", "FRAMES/S OF THE DAEMON OVER RAW", "RANGE"),
            [(name, f"{share.median:.2f}", f"{share.low:.2f} to {share.high:.2f}") for name, share in shares.items()],
            empty="",
        )

    def plot(path: Path) -> None:
        plots.intervals(frames, "frames per second", "throughput", path, log=True)

    return output.publish(args, found, tables, plot)
