"""`guid bench compare`."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from guid.bench import compare, compared, plots, report
from guid.bench.bed import DESK, Bed
from guid.bench.peers import PEERS, Peer, version
from guid.cli.bench import output
from guid.cli.table import print_table
from guid.worker.process import warm_up
from guiproto.errors import MachineCannot

_DESCRIPTION = """\
The same program paints the same frames through us and through what one could use instead, in turns, and the same viewer
looks at the desktop. raw is the program on the desktop's own X server: what is possible at most. Peers that are not
installed are named and left out; `make bench` installs them."""


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark."""
    parser = kinds.add_parser("compare", help="us and others, in one session", description=_DESCRIPTION)
    names = [peer.name for peer in PEERS]
    parser.add_argument(
        "--contender", choices=names, action="append", metavar="NAME",
        help=f"one of {', '.join(names)} (default: all of them; repeatable)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each has its turn (default: 5; --quick 2)")
    output.add_to(parser, plot="frames per second and lateness of each contender")
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    warm_up()
    effort = compare.Effort(args.rounds or 5, 100, 2.0, 0.5)
    if args.quick:
        effort = compare.Effort(args.rounds or 2, 30, 1.0, 0.2)
    chosen = [peer for peer in PEERS if args.contender is None or peer.name in args.contender]
    present = [peer for peer in chosen if peer.missing() is None]
    with Bed(DESK, tcp=True) as bed:
        found = report.Report("compare", report.machine(bed))
        rows = compare.compare(bed, present, effort, output.tell)
    for row in rows:
        about = {"contender": row["contender"], "round": row["round"]}
        found.frames += [{**about, "draw_us": value} for value in row.pop("draw_us", [])]
        found.frames += [{**about, **frame} for frame in row.pop("frames", [])]
    missing = [{"contender": peer.name, "missing": peer.missing()} for peer in chosen if peer.missing() is not None]
    versions = {peer.name: version(peer) for peer in present}
    for row in rows:
        row["version"] = versions[row["contender"]]
    found.rows = [*rows, *missing]
    return output.publish(args, found, partial(_tables, found.rows), partial(_plot, chosen, rows))


def _tables(rows: list[dict[str, Any]]) -> None:
    head, lines = compared.table(rows)
    print_table([heading.upper() for heading in head], lines, empty="")
    print(f"\nmedian of the rounds (range); {compared.about_noise(rows)}\n")
    for note in compared.notes(rows):
        print(note)


def _plot(chosen: list[Peer], rows: list[dict[str, Any]], path: Path) -> None:
    labels = {
        "draw_p50_us": "draw of 64x64: microseconds until seen, p50",
        "video_p50_us": "video of 640x360 at 60/s: microseconds until seen, p50",
        "full_fps": "1920x1080: frames per second",
    }
    parts = {}
    for name, label in labels.items():
        found = {peer.name: compared.figure(rows, peer.name, name) for peer in chosen}
        parts[label] = {peer: figure for peer, figure in found.items() if figure is not None}
    if not any(parts.values()):
        raise MachineCannot("no contender has figures to draw", "leave out --plot to see why")
    plots.panels(parts, "us and others", path)
