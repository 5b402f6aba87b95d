"""A hostile agent at full rate against its worker, beside a VM that only wants its picture shown.

The hostile one floods: scattered, negative and huge damage, windows made and destroyed, titles, places and states.
Every session ends with a broken rule, one kind after the other; then its worker is started anew, as a supervisor would.
"""

import contextlib
import json
import logging
import os
import select
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from struct import Struct
from typing import Any, Final

import numpy as np

from guid.bench.accounting import cpu_seconds, memory_mib
from guid.bench.bed import Bed
from guid.bench.full_path import performance
from guid.bench.painter import Rect
from guid.bench.stages import ours
from guid.bench.synthetic import SyntheticAgent, damage_messages
from guid.worker.child import Child
from guiproto.encoder import encode
from guiproto.errors import MachineCannot
from guiproto.limits import VERSION_MINOR
from guiproto.messages import Configure, Create, Destroy, Direction, Map, Message, MessageType, WindowFlags, WmName

_HOSTILE: Final = 66
_SIZE: Final = (640, 480)
_VIDEO: Final[Rect] = (0, 0, 320, 200)
_RATE: Final = 60.0
_SESSION_SECONDS: Final = 0.3
_HEADER: Final = Struct("<III")
_END_SECONDS: Final = 5.0


def storm(bed: Bed, seconds: float) -> dict[str, Any]:
    """An innocent VM shows 60 frames a second, alone and then beside the storm, `seconds` each."""
    with ours(bed) as stage, performance(bed, stage, (400, 300)) as show:
        show.aim(_VIDEO)
        show.run([_VIDEO], 0.3, _RATE)
        found: dict[str, Any] = {}
        for when in ("alone", "beside"):
            if when == "alone":
                run = show.run([_VIDEO], seconds, _RATE)
            else:
                with _raging(bed) as report:
                    run = show.run([_VIDEO], seconds, _RATE)
                found |= report()
            late = run.fates.summary()["latency"]
            found |= {
                f"innocent_fps_{when}": run.presented / run.seconds,
                f"innocent_dropped_{when}": run.fates.count("dropped"),
                f"innocent_latency_p50_us_{when}": late["p50_us"],
                f"innocent_latency_p90_us_{when}": late["p90_us"],
            }
        return {"workload": "storm", **found, "pixel_errors": show.errors(show.number, _VIDEO)}


@contextmanager
def _raging(bed: Bed) -> Iterator[Callable[[], dict[str, Any]]]:
    """The storm, in a process of its own; what it says afterwards about itself."""
    ask, asked = os.pipe()
    answered, answer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(asked)
            os.write(answer, json.dumps(_rage(bed, ask)).encode())
            status = 0
        except BaseException:
            logging.getLogger("guid").exception("the hostile agent failed")
        finally:
            os._exit(status)
    os.close(ask)
    os.close(answer)
    said = b""

    def report() -> dict[str, Any]:
        if not said:
            raise MachineCannot("the hostile agent ended early", "its reason stands above")
        told: dict[str, Any] = json.loads(said)
        return told

    try:
        yield report
    finally:
        os.close(asked)
        with open(answered, "rb") as pipe:
            said = pipe.read()
        os.waitpid(pid, 0)


def _rage(bed: Bed, until_closed: int) -> dict[str, Any]:
    """Session after session until the pipe's other end is closed."""
    endings: Counter[str] = Counter()
    sent, growth, cpu = 0, 0.0, 0.0
    start = time.perf_counter()
    kinds = list(_violations())
    while not select.select([until_closed], [], [], 0)[0]:
        with bed.synthetic(_HOSTILE) as (child, agent):
            agent.window(1, 1500, 900, *_SIZE)
            floods = [chunk for chunk, _ in _floods()]
            counts = [count for _, count in _floods()]
            before, burnt = memory_mib(child.pid)[1], cpu_seconds(child.pid)
            end = time.perf_counter() + _SESSION_SECONDS
            while time.perf_counter() < end:
                for chunk, count in zip(floods, counts, strict=True):
                    agent.send(chunk)
                    sent += count
            growth = max(growth, memory_mib(child.pid)[1] - before)
            cpu += cpu_seconds(child.pid) - burnt
            name, violation = kinds[sum(endings.values()) % len(kinds)]
            endings[f"{name}: {_end(child, agent, violation)}"] += 1
    took = time.perf_counter() - start
    return {
        "hostile_messages_per_s": sent / took,
        "hostile_worker_cpu_share": cpu / took,
        "hostile_worker_growth_mib": growth,
        "sessions_ended": dict(endings),
    }


def _end(child: Child, agent: SyntheticAgent, violation: bytes) -> str:
    """What the worker says when it ends."""
    with contextlib.suppress(MachineCannot):  # it may have hung up by then
        agent.send(violation)
    end = time.monotonic() + _END_SECONDS
    while time.monotonic() < end:
        select.select([child.line.fileno()], [], [], 0.1)
        for message in child.line.receive():
            if message.get("event") == "ended":
                return str(message["kind"])
        if child.line.closed:
            return "without a word"
    return "not at all"


def _floods() -> Iterator[tuple[bytes, int]]:
    """Bytes of messages that no rule forbids, and how many."""
    random = np.random.default_rng(66)
    rects = random.integers(-100, 2000, (500, 4)).astype(np.int32)
    rects[::7] = random.integers(-(2**31), 2**31 - 1, (len(rects[::7]), 4))
    yield damage_messages(1, rects), len(rects)
    lives: list[Message] = []
    for number in range(100, 140):
        lives += [Create(number, 1600, 1000, 50, 50, 0, number % 2), Map(number, 0, number % 2), Destroy(number)]
    yield _encode(lives), len(lives)
    noise: list[Message] = []
    for number in range(50):
        noise += [
            WmName(1, random.bytes(127) + b"\0"),
            Configure(1, int(random.integers(1000, 5000)), 900, 640 + number, 480, 0),
            WindowFlags(1, number & 6, ~number & 6),  # not fullscreen: what covers the other VM proves nothing
        ]
    yield _encode(noise), len(noise)


def _violations() -> Iterator[tuple[str, bytes]]:
    yield "unknown window", _encode([Map(4711, 0, 0)])
    yield "unknown type", _HEADER.pack(9999, 1, 4) + bytes(4)
    yield "wrong length", _HEADER.pack(MessageType.SHMIMAGE, 1, 0xFFFFFFFF) + bytes(64)
    yield "window twice", _encode([Create(1, 0, 0, 10, 10, 0, 0)])


def _encode(messages: list[Message]) -> bytes:
    return b"".join(encode(message, Direction.TO_DAEMON, VERSION_MINOR) for message in messages)
