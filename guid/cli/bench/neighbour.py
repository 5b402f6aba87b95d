"""`guid bench neighbour`."""

import argparse
from pathlib import Path

from guid.bench import neighbour, plots, report
from guid.bench.bed import Bed
from guid.cli.bench import output
from guid.cli.table import print_table
from guid.worker.process import warm_up

_DESCRIPTION = """\
Keys go to one VM on a fixed schedule while another one shows a video, and while nothing does: how late they are, from
the scheduled instant to the event in the VM. For comparison the same video plays on the desktop itself."""


def _video(text: str) -> tuple[int, int, float]:
    size, _, rate = text.partition("@")
    width, _, height = size.partition("x")
    try:
        return int(width), int(height), float(rate)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not WxH@HZ, such as 1280x720@30") from None


def add_to(kinds: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the benchmark."""
    parser = kinds.add_parser(
        "neighbour", help="whether a video in one VM delays the keys of another", description=_DESCRIPTION
    )
    parser.add_argument(
        "--video", type=_video, default=(640, 360, 60.0), metavar="WxH@HZ", help="the video (default: 640x360@60)"
    )
    parser.add_argument("--shots", type=int, metavar="N", help="keys of each block (default: 250; --quick 50)")
    parser.add_argument("--blocks", type=int, metavar="N", help="blocks of each condition (default: 6; --quick 2)")
    output.add_to(parser, plot="the distribution under each condition")
    parser.set_defaults(main=_main)


def _main(args: argparse.Namespace) -> int:
    warm_up()
    shots, blocks = args.shots or (50 if args.quick else 250), args.blocks or (2 if args.quick else 6)
    with Bed() as bed:
        found = report.Report("neighbour", report.machine(bed))
        found.rows = neighbour.neighbour(bed, args.video, shots, blocks, output.tell)
    samples = {row["condition"]: row.pop("latencies_us") for row in found.rows}
    found.frames = [{"condition": name, "latency_us": value} for name, values in samples.items() for value in values]

    def tables() -> None:
        print_table(
            ("KEYS", "N", "P50 US", "P90 US", "P99 US", "LOST", "P50 TO ALONE", "P99 TO ALONE", "VIDEO FPS"),
            [
                (
                    row["condition"], row["n"], *(output.short(row[f"p{p}_us"]) for p in (50, 90, 99)), row["lost"],
                    *(None if row[key] is None else f"{row[key]:.2f}" for key in ("p50_to_alone", "p99_to_alone")),
                    f"{row['video_fps']:.0f}",
                )
                for row in found.rows
            ],
            empty="",
        )  # fmt: skip

    def plot(path: Path) -> None:
        plots.ecdf(samples, "microseconds", "keys of one VM beside another VM's video", path)

    return output.publish(args, found, tables, plot)
