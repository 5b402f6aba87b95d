"""`guid bench all`."""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from guid.bench import results
from guid.cli.bench import output
from guiproto.errors import MachineCannot

_LONGEST_SECONDS: Final = 1800.0
"""For one benchmark: far more than any needs, so that one that hangs does not keep the others from their turn."""

_DESCRIPTION = """\
Runs every benchmark, one after the other, and writes DIR/RESULTS.md with their tables, a picture of each beside it,
and their summaries and single frames into DIR/raw."""


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = kinds.add_parser("all", help="every benchmark, into one document", description=_DESCRIPTION)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument("--quick", action="store_true", help="shorter and fewer runs: to look at, not to quote")
    parser.add_argument(
        "--only", choices=results.BENCHMARKS, action="append", metavar="NAME",
        help=f"one of {', '.join(results.BENCHMARKS)} (default: all of them; repeatable)",
    )  # fmt: skip
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    raw = args.out / "raw"
    try:
        raw.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineCannot(f"cannot make {raw}: {error.strerror}", "give another --out") from None
    summaries: list[dict[str, Any]] = []
    pictures: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name in args.only or results.BENCHMARKS:
        picture, summary = args.out / f"{name}.png", raw / f"{name}.json"
        for old in (picture, summary):
            old.unlink(missing_ok=True)
        output.tell(f"{name} ...")
        start = time.monotonic()
        why = _run(name, args.out, summary, quick=args.quick)
        output.tell(f"{name}: {why or 'done'} after {time.monotonic() - start:.0f} s")
        if why is not None:
            failed[name] = why
            continue
        summaries.append(json.loads(summary.read_text()))
        if picture.exists():
            pictures[name] = picture.name
    document = args.out / "RESULTS.md"
    document.write_text(results.document(summaries, pictures, failed))
    print(document)
    return 1 if failed else 0


def _run(name: str, out: Path, summary: Path, *, quick: bool) -> str | None:
    """In a process of its own, so that no benchmark finds what another one left in memory; why it failed, or None."""
    command = [
        sys.executable, "-m", "guid.cli.main", "bench", name, *(["--quick"] if quick else []), "--json",
        "--jsonl", str(out / "raw" / f"{name}.jsonl"), "--plot", str(out / f"{name}.png"),
    ]  # fmt: skip
    with summary.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file)
        try:
            status = process.wait(_LONGEST_SECONDS)
        except BaseException as error:
            process.terminate()
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return f"not ready after {_LONGEST_SECONDS:g} s"
    return f"ended with status {status}; its last words say why" if status else None
