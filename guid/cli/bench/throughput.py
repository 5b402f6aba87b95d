"""`guid bench throughput`."""

import argparse
import contextlib
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from backends import registry
from guid.bench import daemon_path, plots, report, stages
from guid.bench.bed import DESK, DESK_4K, Bed
from guid.bench.full_path import full_path
from guid.bench.machine import Machine
from guid.bench.stats import Repeated, interleaved, ratio
from guid.bench.storm import storm
from guid.bench.workloads import WORKLOADS, Workload
from guid.cli.bench import output
from guid.cli.table import print_table
from guid.worker.process import warm_up
from guiproto.errors import MachineCannot

_PATHS: Final = ("daemon", "full")
_STORM: Final = "storm"
_ALL: Final = (*WORKLOADS, _STORM)

_Stage = Callable[[tuple[int, int]], stages.StageMaker]
"""Makes a stage whose AppVM has a screen of that size, or a larger one."""

_DESCRIPTION = """\
How many frames a second get to the display, and what each costs. Two depths, each next to the most that the X server
can do (raw):
  daemon  a synthetic agent sends damage to one real worker as fast as it is taken; raw is a plain X client that sends
          the same puts of the same memory. A frame is a put that the worker sent and the X server executed.
  full    a real program paints in an AppVM's X server, with the real agent and worker; raw is the same program on the
          desktop itself. Frames are counted as area that the desktop's X server reports as painted; every frame has
          its number in its pixels, and a viewer looks for it.
With --backend the AppVM of the full path is one of that backend: a machine of its own, made for this and removed.
The workload `storm` is a hostile agent at full rate, beside a VM that shows 60 frames a second."""


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark."""
    parser = kinds.add_parser(
        "throughput", help="frames and messages per second, closed loop", description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--workload", choices=_ALL, action="append", metavar="NAME",
        help=f"one of {', '.join(WORKLOADS)}, {_STORM} (default: all of them; repeatable)",
    )  # fmt: skip
    parser.add_argument("--path", choices=_PATHS, action="append", help="how deep (default: both; repeatable)")
    parser.add_argument(
        "--backend", default="local", metavar="B", help="whose AppVM (default: %(default)s; others: only --path full)"
    )
    parser.add_argument("--seconds", type=float, metavar="N", help="of each run (default: 1; with --quick 0.3)")
    parser.add_argument("--repetitions", type=int, metavar="N", help="of each run (default: 5; with --quick 1)")
    output.add_to(parser, plot="frames per second of each run")
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    warm_up()
    elsewhere = registry.load(args.backend, os.environ).makes_lasting
    if elsewhere and (args.path != ["full"] or _STORM in (args.workload or ())):
        raise MachineCannot(
            "a synthetic agent, which --path daemon and the storm need, is there for the local backend only",
            f"write: guid bench throughput --path full --backend {args.backend}",
        )
    with Bed() as bed:
        found = report.Report("throughput", report.machine(bed))
    with contextlib.ExitStack() as stack:
        stage: _Stage = _ours
        if elsewhere:
            machine = stack.enter_context(contextlib.closing(Machine(args.backend, DESK_4K, output.tell)))
            stage = lambda _screen: machine.stage  # noqa: E731 - a function of two words
        _measure(args, found, stage, [name for name in args.workload or _ALL if name != _STORM or not elsewhere])
    return output.publish(args, found, lambda: _tables(found.rows), partial(_plot, found.rows))


def _measure(args: argparse.Namespace, found: report.Report, stage: _Stage, workloads: Sequence[str]) -> None:
    seconds = args.seconds or (0.3 if args.quick else 1.0)
    repetitions = args.repetitions or (1 if args.quick else 5)
    for name in workloads:
        if name == _STORM:
            with Bed() as bed:
                results = interleaved({_STORM: partial(storm, bed, max(1.0, seconds))}, repetitions, output.tell)
            _collect(found, results)
            continue
        workload = WORKLOADS[name]
        screen = DESK_4K if workload.size[0] > DESK[0] else DESK
        for path in args.path or _PATHS:
            if path == "full" and workload.in_pairs:
                continue  # how a synthetic agent writes; a real one is no different
            with Bed(screen) as bed:
                runs = _contenders(path, bed, workload, seconds, stage(screen))
                _collect(found, interleaved(runs, repetitions, output.tell))


def _ours(screen: tuple[int, int]) -> stages.StageMaker:
    return partial(stages.ours, screen=screen)


def _contenders(
    path: str, bed: Bed, workload: Workload, seconds: float, ours: stages.StageMaker
) -> dict[str, Callable[[], dict[str, Any]]]:
    if path == "daemon":
        return {
            f"{workload.name} daemon raw": partial(daemon_path.raw_path, bed, workload, seconds),
            f"{workload.name} daemon": partial(daemon_path.daemon_path, bed, workload, seconds),
        }

    def through(stage: stages.StageMaker) -> dict[str, Any]:
        with stage(bed) as made:
            return full_path(bed, made, workload, seconds)

    return {
        f"{workload.name} full raw": partial(through, stages.raw),
        f"{workload.name} full": partial(through, ours),
    }


def _collect(found: report.Report, results: dict[str, list[dict[str, Any]]]) -> None:
    for name, runs in results.items():
        _, _, path = name.partition(" ")
        for repetition, row in enumerate(runs):
            about = {"path": path or _STORM, "repetition": repetition}
            frames = row.pop("frames", [])
            found.rows.append({**about, **row})
            found.frames += [{"workload": row["workload"], **about, **frame} for frame in frames]


def _of(rows: list[dict[str, Any]], workload: str, path: str, key: str) -> list[float]:
    return [row[key] for row in rows if (row["workload"], row["path"]) == (workload, path)]


def _tables(rows: list[dict[str, Any]]) -> None:
    lines = []
    for workload in WORKLOADS:
        for path in _PATHS:
            fps = _of(rows, workload, path, "fps_presented")
            if not fps:
                continue
            top = _of(rows, workload, f"{path} raw", "fps_presented")
            share, frames = ratio(fps, top), Repeated(tuple(fps))
            last = [row for row in rows if (row["workload"], row["path"]) == (workload, path)][-1]
            lines.append(
                (
                    workload, path, f"{frames.median:.0f}", f"{Repeated(tuple(top)).median:.0f}",
                    f"{share.median:.2f} ({share.low:.2f} to {share.high:.2f})",
                    f"{last['messages_per_s']:.0f}" if path == "daemon" else f"{last['fps_produced']:.0f}",
                    f"{last['worker_cpu_us_per_message']:.2f}" if path == "daemon" else "-",
                    last["copies_per_frame"],
                    sum(_of(rows, workload, path, "pixel_errors")),
                )
            )  # fmt: skip
    if lines:
        head = ("WORKLOAD", "PATH", "FRAMES/S", "RAW", "SHARE (RANGE)", "SENT/S", "CPU US EACH", "COPIES", "ERRORS")
        print_table(head, lines, empty="")
    for row in rows:
        if row["workload"] == _STORM:
            print()
            figures = [(key, output.short(value)) for key, value in row.items() if key not in ("path", "workload")]
            print_table(("STORM", "VALUE"), figures, empty="")


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    figures: dict[str, list[float]] = {}
    for row in rows:
        if row["workload"] != _STORM:
            figures.setdefault(f"{row['workload']} {row['path']}", []).append(row["fps_presented"])
    spread = {name: Repeated(tuple(values)) for name, values in figures.items()}
    plots.intervals(spread, "frames per second", "throughput", path, log=True)
