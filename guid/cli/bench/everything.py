"""`guid bench all`."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from guid.bench import results
from guid.bench.report import write_text
from guid.cli.bench import output
from guiproto.errors import MachineCannot

_KINDS: Final = ("compare", "latency", "throughput", "rates", "scale", "neighbour")

_DESCRIPTION = """\
Runs every benchmark and writes DIR/RESULTS.md with tables and pictures; the raw data go to DIR/raw. Takes about twenty
minutes, with --quick about four."""


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = kinds.add_parser("all", help="every benchmark, into a directory", description=_DESCRIPTION)
    parser.add_argument("--out", type=Path, default=Path("bench"), metavar="DIR", help="where (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="shorter and fewer runs: to look at, not to quote")
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    raw: Path = args.out / "raw"
    try:
        raw.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineCannot(f"cannot make {raw}: {error.strerror}", "give another --out") from None
    summaries: dict[str, dict[str, Any]] = {}
    plots: dict[str, str] = {}
    failed: list[str] = []
    for kind in _KINDS:
        output.tell(f"=== {kind} ===")
        plot = args.out / f"{kind}.png"
        command = [sys.executable, "-m", "guid.cli.main", "bench", kind, "--json"]
        files = ["--jsonl", str(raw / f"{kind}.jsonl"), "--plot", str(plot)]
        quick = ["--quick"] if args.quick else []
        done = subprocess.run([*command, *files, *quick], stdout=subprocess.PIPE, check=False)
        if done.returncode:
            output.tell(f"{kind} ended with status {done.returncode} and is left out")
            failed.append(kind)
            continue
        write_text(raw / f"{kind}.json", done.stdout.decode())
        summaries[kind] = json.loads(done.stdout)
        summaries[kind]["machine"]["command"] = ["guid", "bench", kind, *quick]
        plots[kind] = plot.name
    if summaries:
        write_text(args.out / "RESULTS.md", results.markdown(summaries, plots, failed))
        print(f"results: {args.out / 'RESULTS.md'}")
    return 1 if failed else 0
