"""What a source of windows costs: the same draws in two AppVMs, one with each source, on a desktop each.

Latency: single shots in turn, as `latency` has them. Processor time: blocks of shots of one source alone, in turn, and
what all processes used that have to do with its frames: the AppVM's display server with who keeps it, its agent, its
worker, and the desktop's X server. The program that draws and the one that watches are the same and do not count.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from guid.bench.accounting import children, cpu_seconds
from guid.bench.bed import Bed
from guid.bench.latency import Path, a_window, draws, in_turn, wait_for_window
from guid.bench.stats import Distribution, Repeated
from shm.xconn import XConnection

SOURCES: Final = ("x11", "xwayland")


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
    """A row for each size: `shots` single shots in turn, and `blocks` of as many of each source for processor time."""
    rows = []
    for size in (name.rpartition(" ")[2] for name in next(iter(rivals.values())).paths):
        tell(f"draws of {size}")
        paths = {source: rival.paths[f"{source} {size}"] for source, rival in rivals.items()}
        list(in_turn(paths, shots // 10))  # warm-up
        samples: dict[str, list[float]] = {source: [] for source in paths}
        for source, value in in_turn(paths, shots):
            samples[source].append(value)
        spent: dict[str, list[float]] = {source: [] for source in paths}
        each = max(1, shots // blocks)
        for _ in range(blocks):
            for source, path in paths.items():
                before = rivals[source].cpu_seconds()
                list(in_turn({source: path}, each))
                spent[source].append((rivals[source].cpu_seconds() - before) / each * 1e6)
        row: dict[str, Any] = {"draw": size}
        for source in paths:
            row |= {f"{source}_{key}": value for key, value in Distribution.of(samples[source]).as_dict("us").items()}
            row[f"{source}_cpu_us"] = Repeated(tuple(spent[source])).median
            row[f"{source}_cpu_us_of_blocks"] = spent[source]
        first, second = paths
        row["p50_ratio"] = row[f"{second}_p50_us"] / row[f"{first}_p50_us"]
        row["cpu_ratio"] = row[f"{second}_cpu_us"] / row[f"{first}_cpu_us"]
        rows.append(row)
    return rows
