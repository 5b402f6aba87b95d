"""What every benchmark's command line has in common: how much to run, and where the figures go."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from guid.bench.report import Report
from guid.cli import options


def add_to(parser: argparse.ArgumentParser, *, plot: str) -> None:
    """--quick, --json, --jsonl, --plot; `plot` says what the picture shows."""
    parser.add_argument("--quick", action="store_true", help="shorter and fewer runs: to look at, not to quote")
    options.add_json(parser)
    parser.add_argument("--jsonl", type=Path, metavar="FILE", help="write every frame or shot, one JSON object a line")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help=f"draw {plot}")


def tell(text: str) -> None:
    """Progress, on standard error."""
    print(f"guid: {text}", file=sys.stderr, flush=True)


def publish(args: argparse.Namespace, report: Report, tables: Callable[[], None], plot: Callable[[Path], None]) -> int:
    """Write the files that were asked for, then the summary: JSON, or what `tables` prints."""
    if args.jsonl is not None:
        report.write_jsonl(args.jsonl)
    if args.plot is not None:
        plot(args.plot)
    if args.json:
        print(json.dumps(report.summary(), indent=2))
    else:
        tables()
    return 0


def short(value: object) -> object:
    """A number as tables show it."""
    return f"{value:.1f}" if isinstance(value, float) else value
