"""Tables in Markdown from the summaries of all benchmarks: a pure function of what they printed with --json."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from guid.bench import compared
from guid.bench.stats import Repeated, ratio

Row = Mapping[str, Any]

_MACHINE: Final = ("when", "commit", "cpu", "cpus", "governor", "memory_gib", "system", "kernel", "x_server", "screen",
                   "python", "numpy")  # fmt: skip


def markdown(summaries: Mapping[str, Row], plots: Mapping[str, str], failed: Sequence[str] = ()) -> str:
    """`summaries`: by benchmark. `plots`: the file names of their pictures. `failed`: benchmarks without a summary.

    Ends with a newline.
    """
    first = next(iter(summaries.values()))
    parts = [
        "# Results of one machine",
        "Made by `make bench`. Machines differ and drift: compare figures within a table, never across machines.",
        _table(("what", "value"), [(key, first["machine"].get(key)) for key in _MACHINE]),
    ]
    writers = {
        "compare": _compare, "latency": _latency, "throughput": _throughput, "rates": _rates, "scale": _scale,
        "neighbour": _neighbour,
    }  # fmt: skip
    for name, write in writers.items():
        if name in summaries:
            command = " ".join(summaries[name]["machine"]["command"])
            parts += [f"## {name}", f"`{command}`", *write(summaries[name]["rows"])]
            if name in plots:
                parts.append(f"![{name}]({plots[name]})")
        elif name in failed:
            parts += [f"## {name}", "n/a: it did not run to its end on this machine."]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value).replace("|", "\\|")


def _spread(figure: Repeated | None) -> str:
    if figure is None:
        return "n/a"
    return f"{_cell(figure.median)} ({_cell(figure.low)} to {_cell(figure.high)})"


def _compare(rows: Sequence[Row]) -> list[str]:
    return [
        "Median of the rounds (range). The same program, frames and viewer for everybody: a draw of 64x64, a video of "
        "640x360 at 60 frames/s, and 1920x1080 as fast as it goes, counted as the area that the desktop's X server "
        "reports as painted; CPU and memory of all processes in between.",
        _table(*compared.table(rows)),
        compared.about_noise(rows) + ".",
        "\n".join(f"- {note}" for note in compared.notes(rows)),
    ]


def _latency(rows: Sequence[Row]) -> list[str]:
    body = [
        (row["mode"], row["path"], row["n"], row["p50_us"], row["p90_us"], row["p99_us"], row["lost"], row["ratio"])
        for row in rows
    ]
    return [_table(("mode", "path", "n", "p50 us", "p90 us", "p99 us", "lost", "p50, times native"), body)]


def _throughput(rows: Sequence[Row]) -> list[str]:
    def of(workload: str, path: str, key: str) -> list[float]:
        return [row[key] for row in rows if (row["workload"], row["path"]) == (workload, path)]

    body = []
    for workload in dict.fromkeys(row["workload"] for row in rows):
        for path in ("daemon", "full"):
            fps, top = of(workload, path, "fps_presented"), of(workload, f"{path} raw", "fps_presented")
            if fps and len(fps) == len(top):
                errors = int(sum(of(workload, path, "pixel_errors")))
                body.append((workload, path, _spread(Repeated(tuple(fps))), _spread(ratio(fps, top)), errors))
    storms = [row for row in rows if row["workload"] == "storm"]
    out = [_table(("workload", "path", "frames/s presented", "share of raw", "wrong pixels"), body)]
    if storms:
        keys = [key for key, value in storms[-1].items() if isinstance(value, int | float) and key != "repetition"]
        spreads = [(key, _spread(Repeated(tuple(row[key] for row in storms)))) for key in keys]
        out += ["A hostile agent at full rate, beside a VM that shows 60 frames a second:",
                _table(("storm", "median (range)"), spreads)]  # fmt: skip
    return out


def _rates(rows: Sequence[Row]) -> list[str]:
    return [
        _table(("what", "per second", "worker CPU us"), [(r["what"], r["per_s"], r["worker_cpu_us"]) for r in rows])
    ]


def _scale(rows: Sequence[Row]) -> list[str]:
    keys = [key for key, value in rows[0].items() if key != "vms" and not isinstance(value, dict)]
    return [_table(("figure", *(f"{row['vms']} VM" for row in rows)), [(k, *(row[k] for row in rows)) for k in keys])]


def _neighbour(rows: Sequence[Row]) -> list[str]:
    keys = ("condition", "n", "p50_us", "p90_us", "p99_us", "p99_to_alone", "video_fps")
    return [_table([key.replace("_", " ") for key in keys], [[row[key] for key in keys] for row in rows])]
