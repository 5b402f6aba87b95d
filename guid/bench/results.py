"""What all benchmarks found, as one Markdown document. Pure: summaries (`Report.summary`) in, text out.

A figure that was measured several times is shown as its median, with its range in brackets; errors and losses are
summed. n/a is what was not measured; it is never 0. Fields that a benchmark does not have make no column.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guid.bench import compared
from guid.bench.stats import Repeated

NOTHING: Final = "n/a"
_SUMMED: Final = frozenset({"pixel_errors", "lost", "frames_dropped", "frames_torn", "looks_torn"})
_RUN: Final = frozenset({"repetition", "round", "run"})
"""Fields that number the runs of one thing."""


@dataclass(frozen=True, slots=True)
class Section:
    """How the rows of a benchmark become a table. `keys` tell rows apart; rows that agree in them are one line."""

    benchmark: str
    title: str
    about: str
    keys: tuple[str, ...]
    columns: tuple[tuple[str, str], ...] = ()
    """Fields and headings. None given: the table is turned, with all numeric fields as lines and the keys across."""
    workload: str | None = None
    """Only rows of this workload. Rows that another section of the benchmark claims this way are left out of others."""


SECTIONS: Final = (
    Section(
        "compare",
        "Us and others",
        "The same program through every contender, in turns; done is what a viewer of the desktop sees. `raw` is the "
        "program on the desktop itself.",
        ("contender",),
    ),
    Section(
        "throughput",
        "Throughput",
        "Closed loop: as many frames as get through. `daemon`: a synthetic agent and one worker; `full`: a real "
        "program, agent and worker; `raw`: the same without us. Done is what the desktop's X server has painted.",
        ("workload", "path", "contender"),
        (
            ("fps_painted", "painted/s"),
            ("fps_presented", "presented/s"),
            ("fps_produced", "produced/s"),
            ("messages_per_s", "messages/s"),
            ("worker_cpu_us_per_message", "worker CPU us/message"),
            ("worker_cpu_us_per_frame", "worker CPU us/frame"),
            ("agent_cpu_us_per_frame", "agent CPU us/frame"),
            ("copies_per_frame", "copies"),
            ("frames_torn", "torn"),
            ("frames_dropped", "dropped"),
            ("pixel_errors", "pixel errors"),
        ),
    ),
    Section(
        "throughput",
        "A hostile agent",
        "It floods its worker with the worst it can say, beside a VM that shows 60 frames a second.",
        (),
        workload="storm",
    ),
    Section(
        "latency",
        "Latency",
        "From the instant of an action to the event on the other side. `native`: with nothing of ours in between.",
        ("path",),
        (
            ("n", "n"),
            ("p50_us", "p50 us"),
            ("p90_us", "p90 us"),
            ("p99_us", "p99 us"),
            ("max_us", "max us"),
            ("lost", "lost"),
            ("ratio", "times native"),
        ),
    ),
    Section(
        "rates",
        "Window traffic",
        "A synthetic agent and one worker.",
        ("what",),
        (("per_s", "per second"), ("worker_cpu_us", "worker CPU us each")),
    ),
    Section(
        "scale", "Many AppVMs", "Memory, wake-ups while nothing happens, start-up, and shares of frames.", ("vms",)
    ),
    Section(
        "neighbour",
        "One VM beside another",
        "Keys of one VM, on a fixed schedule, from the scheduled instant to the event in the VM.",
        ("condition",),
        (
            ("n", "n"),
            ("p50_us", "p50 us"),
            ("p90_us", "p90 us"),
            ("p99_us", "p99 us"),
            ("lost", "lost"),
            ("p50_to_alone", "p50 to alone"),
            ("p99_to_alone", "p99 to alone"),
            ("p50_ratio", "p50 to alone"),
            ("p99_ratio", "p99 to alone"),
            ("video_fps", "video frames/s"),
            ("video_painted_per_s", "video frames/s"),
        ),
    ),
)
"""In the order of the document. A benchmark may have several."""
BENCHMARKS: Final = tuple(dict.fromkeys(section.benchmark for section in SECTIONS))


def document(summaries: Sequence[Mapping[str, Any]], pictures: Mapping[str, str], failed: Mapping[str, str]) -> str:
    """The whole text. `pictures`: file names by benchmark; `failed`: why a benchmark has no summary, by benchmark."""
    by_name = {summary["benchmark"]: summary for summary in summaries}
    parts = ["# Results", "", *_head(summaries)]
    shown: set[str] = set()
    for section in SECTIONS:
        name = section.benchmark
        if name in by_name:
            parts += ["", f"## {section.title}", "", section.about, "", *_body(section, by_name[name])]
            if name not in shown:
                parts += ["", f"Made by `{' '.join(by_name[name]['machine']['command'])}`."]
                if name in pictures:
                    parts += ["", f"![{section.title}]({pictures[name]})"]
        elif name in failed and name not in shown:
            parts += ["", f"## {section.title}", "", f"{NOTHING}: {failed[name]}"]
        shown.add(name)
    return "\n".join(parts) + "\n"


def _head(summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The machine, once: all of it that the benchmarks agree on. Where they do not, all answers."""
    text = "Made by `make bench`; machines differ and drift, so compare figures of one run only."
    if not summaries:
        return [text]
    machines = [summary["machine"] for summary in summaries]
    facts = []
    for key in machines[0]:
        values = list(dict.fromkeys(str(machine.get(key, NOTHING)) for machine in machines))
        if key == "when":
            facts.append((key, f"{min(values)} to {max(values)}" if len(values) > 1 else values[0]))
        elif key != "command":
            facts.append((key.replace("_", " "), " / ".join(values)))
    return [text, "Medians, with ranges in brackets.", "", *_table(("machine", ""), facts)]


def _body(section: Section, summary: Mapping[str, Any]) -> list[str]:
    rows = summary["rows"]
    if section.benchmark == "compare":
        return _compared(rows)
    claimed = {other.workload for other in SECTIONS if other.benchmark == section.benchmark and other.workload}
    if section.workload is None:
        rows = [row for row in rows if row.get("workload") not in claimed]
    else:
        rows = [row for row in rows if row.get("workload") == section.workload]
    groups = _groups([_flat(row) for row in rows], section.keys)
    if not groups:
        return [f"{NOTHING}: not run"]
    if section.columns:
        return _long(section, groups)
    return _turned(section, groups)


def _compared(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    head, lines = compared.table(rows)
    return [*_table(head, lines), "", compared.about_noise(rows), "", *(f"- {line}" for line in compared.notes(rows))]


_Groups = dict[tuple[Any, ...], list[dict[str, Any]]]


def _groups(rows: Sequence[dict[str, Any]], keys: Sequence[str]) -> _Groups:
    found: _Groups = {}
    for row in rows:
        found.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    return found


def _long(section: Section, groups: _Groups) -> list[str]:
    rows = [row for of_it in groups.values() for row in of_it]
    keys = [at for at, key in enumerate(section.keys) if any(key in row for row in rows)]
    columns = [(field, heading) for field, heading in section.columns if any(field in row for row in rows)]
    head = [*(section.keys[at] for at in keys), *(heading for _, heading in columns)]
    lines = [
        [*(str(group[at]) for at in keys), *(_cell(of_it, field) for field, _ in columns)]
        for group, of_it in groups.items()
    ]
    return _table(head, lines)


def _turned(section: Section, groups: _Groups) -> list[str]:
    rows = [row for of_it in groups.values() for row in of_it]
    fields = [
        field
        for field in dict.fromkeys(field for row in rows for field in row)
        if field not in section.keys and field not in _RUN and any(_is_figure(row.get(field)) for row in rows)
    ]
    across = [", ".join(f"{value} {key}" for key, value in zip(section.keys, group, strict=True)) for group in groups]
    head = ["figure", *(name or "value" for name in across)]
    lines = [[field.replace("_", " "), *(_cell(of_it, field) for of_it in groups.values())] for field in fields]
    return _table(head, lines)


def _cell(rows: Sequence[Mapping[str, Any]], field: str) -> str:
    values = [row[field] for row in rows if _is_figure(row.get(field))]
    if not values:
        return NOTHING
    if field in _SUMMED:
        return number(sum(values))
    spread = Repeated(tuple(values))
    if spread.low == spread.high:
        return number(values[0])
    return f"{number(spread.median)} ({number(spread.low)} to {number(spread.high)})"


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flat(row: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Fields of dictionaries in it become fields of their own."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{key} ")
        else:
            found[before + key] = value
    return found


def number(value: float) -> str:
    """At least three digits that count, and no exponent."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _table(head: Sequence[str], lines: Iterable[Sequence[object]]) -> list[str]:
    rows = [head, ["---"] * len(head), *lines]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
