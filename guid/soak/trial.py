"""A whole trial: a world, turmoil in it for a time, rest, and what is left of it then."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from Xlib import X, error

from guid.soak.scribbler import picture
from guid.soak.turmoil import Turmoil
from guid.soak.world import WINDOWS, World, descriptors, memory_kib
from guiproto.errors import MachineCannot
from shm.xconn import XConnection

_PAUSE_SECONDS: Final = 0.02
_SAMPLE_SECONDS: Final = 2.0
_REST_SECONDS: Final = 120.0
_MORE_KIB: Final = 40 * 1024
"""What a process may have more in the end than any of its kind had at the start."""
_MORE_DESCRIPTORS: Final = 16


@dataclass(slots=True)
class Sample:
    """How much there was at a time, in seconds from the start: by kind of process, the most that one had."""

    seconds: float
    memory_kib: dict[str, int] = field(default_factory=dict)
    descriptors: dict[str, int] = field(default_factory=dict)
    processes: int = 0
    windows: int = 0


@dataclass(slots=True)
class Outcome:
    """What was done, measured, and found wrong."""

    seed: int
    vms: int
    minutes: float
    done: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    pixels: int = 0
    """Compared in the end."""
    wrong: list[str] = field(default_factory=list)


def trial(minutes: float, vms: int, seed: int, tell: Callable[[str], None]) -> Outcome:
    """Run one. Raises MachineCannot if it cannot even begin."""
    outcome = Outcome(seed, vms, minutes)
    start = time.time()
    # The programs have to be up before the trouble begins; an AppVM takes a second or two.
    until = start + 5 * vms + 60 * minutes
    with World(vms, seed, until) as world:
        turmoil = Turmoil(world, seed)
        try:
            began = time.time()
            outcome.samples.append(sample(world, 0.0))
            while time.time() < until:
                turmoil.step()
                time.sleep(_PAUSE_SECONDS)
                if time.time() - began - outcome.samples[-1].seconds >= _SAMPLE_SECONDS:
                    outcome.samples.append(sample(world, time.time() - began))
                    tell(f"{time.time() - began:4.0f} s of {until - began:.0f}: {turmoil.done.total()} things done")
            turmoil.release()
            outcome.done = dict(turmoil.done.most_common())
            _judge(world, outcome, began)
        finally:
            turmoil.close()
    return outcome


def sample(world: World, seconds: float) -> Sample:
    """What there is now."""
    found = Sample(seconds, windows=len(world.windows()))
    for what, pid in world.processes():
        found.processes += 1
        found.memory_kib[what] = max(found.memory_kib.get(what, 0), memory_kib(pid))
        found.descriptors[what] = max(found.descriptors.get(what, 0), descriptors(pid))
    return found


def _judge(world: World, outcome: Outcome, began: float) -> None:
    wrong = outcome.wrong
    for what, true in (
        ("every VM is served again", lambda: [row["state"] for row in world.rows()] == ["connected"] * outcome.vms),
        ("every window is there, and no other", lambda: _mapped(world) == outcome.vms * WINDOWS),
    ):
        try:
            world.until(true, what, _REST_SECONDS)
        except MachineCannot as trouble:
            wrong.append(f"{trouble}: {world.rows()}")
            return
    wrong += _pixels(world, outcome)
    first, last = outcome.samples[0], sample(world, time.time() - began)
    outcome.samples.append(last)
    for kind, kib in last.memory_kib.items():
        if kib > first.memory_kib.get(kind, 0) + _MORE_KIB:
            wrong.append(f"a {kind} has {kib} KiB, at the start {first.memory_kib.get(kind, 0)}")
    for kind, count in last.descriptors.items():
        if count > first.descriptors.get(kind, 0) + _MORE_DESCRIPTORS:
            wrong.append(f"a {kind} has {count} descriptors, at the start {first.descriptors.get(kind, 0)}")
    world.stop()
    left = [str(path) for path in world.runtime.rglob("*") if path.is_socket()]
    if left:
        wrong.append(f"sockets are left: {left}")
    for server in world.displays:
        if children := _children(server.display):
            wrong.append(f"{children} windows are left on {server.display}")


def _mapped(world: World) -> int:
    return sum(row["mapped"] for row in world.windows())


def _children(display: str) -> int:
    connection = XConnection(display)
    try:
        return len(connection.display.screen().root.query_tree().children)
    finally:
        connection.close()


def _pixels(world: World, outcome: Outcome) -> list[str]:
    """What is not as the programs painted it, once each window is on top."""
    wrong = []
    of = {row["name"]: world.display_of(row) for row in world.rows()}
    connections = [XConnection(server.display) for server in world.displays]
    try:
        for row in world.windows():
            if not row["mapped"]:
                continue
            connection = connections[of[row["vm"]]]
            number = int(row["title"].rpartition(" ")[2])
            end = time.monotonic() + 20
            while (bad := _difference(connection, row, number)) and time.monotonic() < end:
                time.sleep(0.2)
            outcome.pixels += row["width"] * row["height"]
            if bad:
                wrong.append(f"{bad} wrong pixels in {row['title']} of {row['vm']}")
    finally:
        for connection in connections:
            connection.close()
    return wrong


def _difference(connection: XConnection, row: dict[str, Any], number: int) -> int:
    """Pixels of a window's content on the screen that are not those of its picture; all, while it is on its way."""
    root = connection.display.screen().root
    window = connection.display.create_resource_object("window", row["local_id"])
    window.configure(x=50, y=50, stack_mode=X.Above)
    try:
        width, height = row["width"], row["height"]
        content = window.query_tree().children[0]  # larger than what is seen of it, and below the border's parts
        place = content.translate_coords(root, 0, 0)
        image = root.get_image(-place.x, -place.y, width, height, X.ZPixmap, 0xFFFFFFFF)
    except (error.XError, IndexError):  # a part of it is beyond the screen, or it is another window by now
        return int(row["width"] * row["height"])
    shown = np.bitwise_and(np.frombuffer(image.data, np.uint32), np.uint32(0xFFFFFF))
    return int((shown.reshape(height, width) != picture(number, width, height)).sum())
