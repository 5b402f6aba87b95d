"""`guid bench`: figures of this machine, with the commands that make them."""

import argparse

from guid.cli.bench import compare, everything, latency, neighbour, rates, scale, sources, swap, throughput

_DESCRIPTION = """\
Measures this machine. Every benchmark runs on display servers of its own, ends by itself and leaves nothing behind.
Compare figures of one run only: machines drift."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser("bench", help="measure frame throughput and latency", description=_DESCRIPTION)
    kinds = parser.add_subparsers(title="benchmarks", metavar="BENCHMARK", required=True)
    for kind in (throughput, latency, sources, rates, scale, neighbour, swap, compare, everything):
        kind.add_to(kinds)
