"""`guid bench`: figures of this machine, with the commands that make them."""

import argparse
import json
import sys
from functools import partial
from typing import Any

from guid.bench import cost, latency, rates, throughput
from guid.bench.bed import DESK, DESK_4K, Bed
from guid.bench.stats import Repeated, interleaved, ratio
from guid.bench.workloads import WORKLOADS
from guid.cli import options
from guid.cli.table import print_table
from guid.process import warm_up

_DESCRIPTION = """\
Measures this machine. Every benchmark runs on display servers of its own, ends by itself and leaves nothing behind.
Compare figures of one run only: machines drift."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser("bench", help="measure frame throughput and cost", description=_DESCRIPTION)
    kinds = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", required=True)

    idle = kinds.add_parser(
        "cost", help="memory, wake-ups and start-up time of AppVMs",
        description="Starts AppVMs with an idle window each and measures the memory of their workers and agents, how "
        "often these wake up while nothing happens, and the time until the first window.",
    )  # fmt: skip
    idle.add_argument("--vms", type=int, default=3, metavar="N", help="how many AppVMs (default: %(default)s)")
    options.add_json(idle)
    idle.set_defaults(main=_cost)

    load = kinds.add_parser(
        "throughput", help="messages and frames per second, closed loop",
        description="A synthetic agent sends damage to one real worker as fast as it takes it, and a plain X client "
        "sends the same puts of the same memory (raw), which is the most that the X server can do.",
    )  # fmt: skip
    load.add_argument(
        "--workload", choices=sorted(WORKLOADS), action="append", help="which one (default: all of them; repeatable)"
    )
    load.add_argument("--seconds", type=float, default=2.0, metavar="N", help="of each run (default: %(default)s)")
    load.add_argument("--repetitions", type=int, default=3, metavar="N", help="of each pair (default: %(default)s)")
    options.add_json(load)
    load.set_defaults(main=_throughput)

    traffic = kinds.add_parser(
        "rates", help="buffers acknowledged and windows made per second",
        description="A synthetic agent announces buffers, and makes and destroys windows, as fast as one real worker "
        "takes them.",
    )  # fmt: skip
    traffic.add_argument("--count", type=int, default=2000, metavar="N", help="of each kind (default: %(default)s)")
    options.add_json(traffic)
    traffic.set_defaults(main=_rates)

    late = kinds.add_parser(
        "latency", help="how late a change is seen on the other side",
        description="A real agent and a real worker between two X servers: from a draw in the AppVM to the change on "
        "the display, from the pointer or a key on the display to the event in the AppVM, and (native) the same draw "
        "on one X server with nothing in between. Rounds take turns. Single shots start at rest; with --rate the "
        "times are fixed in advance and lateness counts from them.",
    )  # fmt: skip
    late.add_argument(
        "--shots", type=int, default=400, metavar="N", help="of each path and round (default: %(default)s)"
    )
    late.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds (default: %(default)s)")
    late.add_argument("--rate", type=float, metavar="HZ", help="open loop at this rate, such as 30, 60 or 120")
    options.add_json(late)
    late.set_defaults(main=_latency)


def _tell(text: str) -> None:
    print(f"guid: {text}", file=sys.stderr, flush=True)


def _cost(args: argparse.Namespace) -> int:
    result = cost.cost(args.vms, _tell)
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        print_table(("FIGURE", "VALUE"), [(key, _short(value)) for key, value in result.items()], empty="")
    return 0


def _throughput(args: argparse.Namespace) -> int:
    warm_up()
    rows: list[dict[str, Any]] = []
    shares: list[tuple[str, Repeated]] = []
    for name in args.workload or list(WORKLOADS):
        workload = WORKLOADS[name]
        with Bed(DESK_4K if workload.size[0] > DESK[0] else DESK) as bed:
            contenders = {
                "raw": partial(throughput.raw_path, bed, workload, args.seconds),
                "daemon": partial(throughput.daemon_path, bed, workload, args.seconds),
            }
            results = interleaved(contenders, args.repetitions, _tell)
        rows += [{"path": path, **row} for path, runs in results.items() for row in runs]
        frames = {path: [row["fps_painted"] for row in runs] for path, runs in results.items()}
        shares.append((name, ratio(frames["daemon"], frames["raw"])))
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
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
            for row in rows
        ],
        empty="",
    )
    print()
    print_table(
        ("WORKLOAD", "FRAMES/S OF THE DAEMON OVER RAW", "RANGE"),
        [(name, f"{share.median:.2f}", f"{share.low:.2f} to {share.high:.2f}") for name, share in shares],
        empty="",
    )
    return 0


def _rates(args: argparse.Namespace) -> int:
    warm_up()
    with Bed() as bed:
        rows = rates.rates(bed, args.count)
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(
            ("WHAT", "PER SECOND", "WORKER CPU US"),
            [(row["what"], f"{row['per_s']:.0f}", f"{row['worker_cpu_us']:.0f}") for row in rows],
            empty="",
        )
    return 0


def _latency(args: argparse.Namespace) -> int:
    warm_up()
    samples: dict[str, list[float]] = {}
    lost: dict[str, int] = {}
    with Bed() as bed, latency.paths(bed) as paths:
        for number in range(args.rounds):
            _tell(f"round {number + 1} of {args.rounds}")
            for name, path in paths.items():
                found, missed = latency.shots(path, args.shots, args.rate)
                samples.setdefault(name, []).extend(found)
                lost[name] = lost.get(name, 0) + missed
    rows = [{"path": name, "lost": lost[name], **latency.summary(name, samples)} for name in samples]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    print_table(
        ("PATH", "N", "P50 US", "P90 US", "P99 US", "LOST", "TIMES NATIVE"),
        [
            (row["path"], row["n"], *(_short(row[f"p{p}_us"]) for p in (50, 90, 99)), row["lost"], _short(row["ratio"]))
            for row in rows
        ],
        empty="",
    )
    return 0


def _short(value: object) -> object:
    return f"{value:.1f}" if isinstance(value, float) else value
