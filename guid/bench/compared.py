"""What `compare` found, as a table: medians and ranges of the rounds, and which differences are too small to be one.

Pure: rows in, text out. A row of a contender that is not installed has `missing`, of one that failed `failed`.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from guid.bench.stats import Repeated, ratio

FIGURES: Final[dict[str, tuple[str, Callable[[Mapping[str, Any]], float | None]]]] = {
    "draw_p50_us": ("draw us", lambda row: row["draw"]["p50_us"]),
    "draw_p90_us": ("p90", lambda row: row["draw"]["p90_us"]),
    "video_fps": ("video fps", lambda row: row["video_fps_presented"]),
    "video_superseded": ("superseded", lambda row: row["video_frames_superseded"]),
    "video_p50_us": ("video us", lambda row: row["video_latency"]["p50_us"]),
    "video_p90_us": ("p90", lambda row: row["video_latency"]["p90_us"]),
    "full_fps": ("full fps", lambda row: row["full_fps_presented"]),
    "cpu_us_per_frame": ("CPU us/frame", lambda row: row["cpu_us_per_frame"]),
    "memory_mib": ("MiB", lambda row: row["memory_mib"]),
}
"""What is compared: the heading of its column, and where it is in a row."""

Rows = Sequence[Mapping[str, Any]]


def _ran(row: Mapping[str, Any]) -> bool:
    return "failed" not in row and "missing" not in row


def figure(rows: Rows, contender: str, name: str) -> Repeated | None:
    """One figure of a contender in all its rounds; None if it has none."""
    values = [FIGURES[name][1](row) for row in rows if row["contender"] == contender and _ran(row)]
    known = [value for value in values if value is not None]
    return Repeated(tuple(known)) if known else None


def noise(rows: Rows, name: str) -> float | None:
    """How far two runs of the same thing were apart at most, as a share: 0.1 is a tenth. None where it is not known."""
    one, other = figure(rows, "ours", name), figure(rows, "ours again", name)
    if one is None or other is None or len(one.values) != len(other.values) or 0.0 in one.values:
        return None
    return max(abs(value - 1) for value in ratio(other.values, one.values).values)


def differs(rows: Rows, contender: str, name: str) -> bool | None:
    """Whether the contender differs from ours by more than the noise; None where that cannot be said."""
    ours, theirs, floor = figure(rows, "ours", name), figure(rows, contender, name), noise(rows, name)
    if ours is None or theirs is None or floor is None or not ours.median:
        return None
    return abs(statistics.median(theirs.values) / ours.median - 1) > floor


def table(rows: Rows) -> tuple[list[str], list[list[str]]]:
    """Headings and a line for every contender, those that could not run included: median, and range in brackets."""
    lines = []
    for contender in dict.fromkeys(row["contender"] for row in rows):
        errors = [row["pixel_errors"] for row in rows if _ran(row) and row["contender"] == contender]
        cells = [_cell(rows, contender, name) for name in FIGURES]
        lines.append([contender, *cells, str(sum(errors)) if errors else "n/a"])
    return ["contender", *(heading for heading, _ in FIGURES.values()), "pixel errors"], lines


def about_noise(rows: Rows) -> str:
    """What two runs of the same thing differ by, and what that means for the table."""
    floor = {name: noise(rows, name) for name in FIGURES}
    known = ", ".join(f"{name} {value:.0%}" for name, value in floor.items() if value is not None)
    return f"~ differs from ours by less than two runs of ours do at most: {known or 'n/a'}"


def notes(rows: Rows) -> list[str]:
    """A line for each contender: version and command lines, or why it has no figures."""
    found: dict[str, str] = {}
    for row in rows:
        why = row.get("missing") or row.get("failed")
        version = f"{row['version']}; " if row.get("version") else ""
        if why or row["contender"] not in found:
            found[row["contender"]] = why or f"{version}{row['about']}"
    return [f"{contender}: {text}" for contender, text in found.items()]


def _cell(rows: Rows, contender: str, name: str) -> str:
    found = figure(rows, contender, name)
    if found is None:
        return "n/a"
    alike = contender not in ("ours", "ours again") and differs(rows, contender, name) is False
    middle, low, high = map(_short, (found.median, found.low, found.high))
    return f"{'~' if alike else ''}{middle}" + ("" if low == high else f" ({low} to {high})")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or not value else f"{value:.1f}"
