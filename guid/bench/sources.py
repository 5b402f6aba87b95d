"""What a source of windows costs: the same draws in two AppVMs, one with each source, on a desktop each.

Single shots as `latency` has them, and in two ways. In blocks: so many of one source, then as many of the other, the
first few of each block left out; a user who works in one AppVM sees these. In turn: one of each, so that each finds the
caches full of what the other has drawn, which costs both the same time for each byte that has to move at all.

Processor time is that of blocks, of all processes that have to do with the frames: the AppVM's display server with who
keeps it, its agent, its worker, and the desktop's X server; not the program that draws and the one that watches.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from guid.bench.accounting import children, cpu_seconds
from guid.bench.bed import Bed
from guid.bench.latency import Path, a_window, draws, in_turn, wait_for_window
from guid.bench.stats import Distribution, Repeated
from shm.xconn import XConnection

SOURCES: Final = ("x11", "xwayland")
_WARM_UP: Final = 10
"""Shots of each block that do not count."""


@dataclass(frozen=True, slots=True)
class Rival:
    """An AppVM with one source: a path for each size, and the processes that its frames go through."""

    paths: Mapping[str, Path]
    pids: tuple[int, ...]

    def cpu_seconds(self) -> float:
        """What they have used so far."""
        return sum(map(cpu_seconds, self.pids))


@contextmanager
def rivals(beds: Mapping[str, Bed]) -> Iterator[dict[str, Rival]]:
    """One AppVM for each source, on its bed."""
    with ExitStack() as stack:

        def connect(display: str) -> XConnection:
            return stack.enter_context(closing(XConnection(display)))

        found = {}
        for source, bed in beds.items():
            server, agent = stack.enter_context(bed.guest(source=source))
            child = stack.enter_context(bed.worker(name=source))
            program, watcher = connect(server.display), connect(bed.desk.display)
            title = f"drawn by {source}"
            window = a_window(program, title)
            row = wait_for_window(child, title)
            shown = watcher.display.create_resource_object("window", row["local_id"])
            inner = shown.query_tree().children[0]
            pids = (server.pid, *children(server.pid), agent, child.pid, bed.desk.pid)
            found[source] = Rival(draws(source, program, window, watcher, inner), pids)
        yield found


def measure(rivals: Mapping[str, Rival], shots: int, blocks: int, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Two rows for each size: `shots` of each source in `blocks` blocks, and as many in turn."""
    rows = []
    for size in (name.rpartition(" ")[2] for name in next(iter(rivals.values())).paths):
        tell(f"draws of {size}")
        paths = {source: rival.paths[f"{source} {size}"] for source, rival in rivals.items()}
        list(in_turn(paths, _WARM_UP))
        alone: dict[str, list[float]] = {source: [] for source in paths}
        spent: dict[str, list[float]] = {source: [] for source in paths}
        each = max(1, shots // blocks)
        for _ in range(blocks):
            for source, path in paths.items():
                list(in_turn({source: path}, _WARM_UP))
                before = rivals[source].cpu_seconds()
                alone[source] += [value for _, value in in_turn({source: path}, each)]
                spent[source].append((rivals[source].cpu_seconds() - before) / each * 1e6)
        rows.append(_row(size, "blocks", alone, spent))
        turns: dict[str, list[float]] = {source: [] for source in paths}
        for source, value in in_turn(paths, shots):
            turns[source].append(value)
        rows.append(_row(size, "in turn", turns, {}))
    return rows


def _row(
    size: str, order: str, samples: Mapping[str, Sequence[float]], spent: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    row: dict[str, Any] = {"draw": size, "order": order}
    for source in samples:
        row |= {f"{source}_{key}": value for key, value in Distribution.of(samples[source]).as_dict("us").items()}
        of_blocks = list(spent.get(source, ()))
        row[f"{source}_cpu_us_of_blocks"] = of_blocks
        row[f"{source}_cpu_us"] = Repeated(tuple(of_blocks)).median if of_blocks else None
    first, second = samples
    for figure in ("p50", "cpu"):
        base, other = row[f"{first}_{figure}_us"], row[f"{second}_{figure}_us"]
        row[f"{figure}_ratio"] = other / base if base and other else None
    return row
