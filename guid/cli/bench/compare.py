"""`guid bench compare`."""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from guid.bench import compare, plots, report
from guid.bench.bed import DESK, Bed
from guid.bench.peers import PEERS, Peer, version
from guid.cli.bench import output
from guid.cli.table import print_table
from guid.process import warm_up

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
    effort = compare.Effort(args.rounds or 2, 30, 1.0) if args.quick else compare.Effort(args.rounds or 5, 150, 3.0)
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
    return output.publish(args, found, lambda: _tables(chosen, found.rows), partial(_plot, chosen, rows))


def _tables(chosen: list[Peer], rows: list[dict[str, Any]]) -> None:
    measured = [row for row in rows if "missing" not in row]
    lines: list[tuple[object, ...]] = []
    for peer in chosen:
        cells = [_cell(measured, peer.name, name) for name in compare.FIGURES]
        errors = [row["pixel_errors"] for row in measured if row["contender"] == peer.name and "failed" not in row]
        lines.append((peer.name, *cells, max(errors) if errors else "n/a"))
    head = ("CONTENDER", "DRAW US", "VIDEO FPS", "VIDEO US", "FULL FPS", "CPU US/FRAME", "MIB", "ERRORS")
    print_table(head, lines, empty="")
    floor = {name: compare.noise(measured, name) for name in compare.FIGURES}
    known = ", ".join(f"{name} {value:.0%}" for name, value in floor.items() if value is not None)
    print(
        "\nmedian of the rounds (range); ~ differs from ours by less than two runs of ours differ: " + (known or "n/a")
    )
    for row in rows:
        if "missing" in row or "failed" in row:
            print(f"{row['contender']}: {row.get('missing') or row['failed']}")
    print()
    for peer in chosen:
        for row in measured:
            if row["contender"] == peer.name and "failed" not in row:
                print(f"{peer.name}: {row['version'] + ', ' if row['version'] else ''}{row['about']}")
                break


def _cell(rows: list[dict[str, Any]], contender: str, name: str) -> str:
    found = compare.figure(rows, contender, name)
    if found is None:
        return "n/a"
    mark = "~" if contender not in ("ours", "ours again") and compare.differs(rows, contender, name) is False else ""
    return f"{mark}{_short(found.median)} ({_short(found.low)}-{_short(found.high)})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _plot(chosen: list[Peer], rows: list[dict[str, Any]], path: Path) -> None:
    figures = {}
    for name in ("full_fps", "video_fps", "draw_p50_us"):
        for peer in chosen:
            found = compare.figure(rows, peer.name, name)
            if found is not None:
                figures[f"{name} {peer.name}"] = found
    plots.intervals(figures, "frames per second, or microseconds", "us and others", path, log=True)
