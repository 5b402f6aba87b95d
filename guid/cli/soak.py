"""`guid soak`: everything at once for a long time, and whether anything was lost."""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

from guid.soak.trial import Outcome, trial
from guiproto.errors import MachineCannot

_DESCRIPTION = """\
Runs sandboxed AppVMs with restless programs on two displays of its own, and does to them at random what users do and
what goes wrong: input, moved windows, GUI domains swapped, every kind of process killed, VMs stopped and started. Then
everything comes to rest, and every window, every pixel, memory, descriptors and what is left behind are looked at. Exit
status 1 if anything is wrong."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser("soak", help="try everything at once for a while", description=_DESCRIPTION)
    parser.add_argument("--minutes", type=float, default=1.0, metavar="N", help="default: %(default)s")
    parser.add_argument("--vms", type=int, default=3, metavar="K", help="default: %(default)s")
    parser.add_argument("--seed", type=int, metavar="S", help="what chance begins with (default: the time)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture of memory and descriptors over time")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Run it and say what came of it."""
    if args.vms < 1 or args.minutes <= 0:
        raise MachineCannot("nothing is to be done", "use --vms 1 or more and --minutes above 0")
    seed = int(time.time()) if args.seed is None else args.seed
    outcome = trial(args.minutes, args.vms, seed, lambda text: print(f"\r{text}", end="", file=sys.stderr, flush=True))
    print(file=sys.stderr)
    if args.json:
        args.json.write_text(json.dumps(dataclasses.asdict(outcome), indent=2))
    if args.plot:
        from guid.bench import plots

        plots.over_time(
            {
                "MiB resident, the most of one": {
                    kind: [(s.seconds, s.memory_kib.get(kind, 0) / 1024) for s in outcome.samples]
                    for kind in outcome.samples[0].memory_kib
                },
                "open descriptors, the most of one": {
                    kind: [(s.seconds, s.descriptors.get(kind, 0)) for s in outcome.samples]
                    for kind in outcome.samples[0].descriptors
                },
            },
            f"{args.vms} AppVMs in turmoil, seed {seed}",
            args.plot,
        )
    _print(outcome)
    return 1 if outcome.wrong else 0


def _print(outcome: Outcome) -> None:
    print(f"{outcome.vms} AppVMs, {outcome.minutes:g} minutes, seed {outcome.seed}")
    for name, count in outcome.done.items():
        print(f"  {count:6}  {name}")
    first, last = outcome.samples[0], outcome.samples[-1]
    for kind in last.memory_kib:
        memory = f"{first.memory_kib.get(kind, 0) / 1024:.0f} -> {last.memory_kib[kind] / 1024:.0f} MiB"
        print(f"  {kind}: {memory}, {first.descriptors.get(kind, 0)} -> {last.descriptors[kind]} descriptors")
    print(f"  {outcome.pixels:,} pixels compared")
    for text in outcome.wrong:
        print(f"  WRONG: {text}")
    print("nothing was lost" if not outcome.wrong else f"seed {outcome.seed} shows it again, with luck")
