"""How late a change is seen: from the instant it was scheduled to the event that tells of it on the other side.

`draw`: a program in the AppVM draws, a client of the desktop's X server gets its XDamage event. `motion` and `key`: the
desktop's pointer moves or a key goes down, a program in the AppVM gets the event. `native` is the same draw with the
same two clients on one X server, and nothing of ours between them. The event is the X server's own, not photons.

Single shots start when everything is at rest, one of each path in turn. In an open loop the times of all shots are
fixed in advance, so a stall makes every shot that it delays late (no coordinated omission).
"""

import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

from Xlib import X
from Xlib.ext import damage, xtest

from guid.bench.bed import DESK, Bed, windows_of
from guid.bench.stats import Distribution
from guid.worker.child import Child
from guid.xserver import Xvfb
from guiproto.errors import MachineCannot
from shm.xconn import RawEvents, XConnection

SIZES: Final = {"64x64": (64, 64), "1600x900": (1600, 900)}
_WINDOW: Final = (1700, 1000)
_TIMEOUT: Final = 10.0
_LOST_AFTER: Final = 1.0
_KEYCODE: Final = 38
_POLY_FILL_RECTANGLE: Final = 70
_FAKE_INPUT_MINOR: Final = 2
_FILL: Final = Struct("=BxHIIhhHH")
_FAKE_INPUT: Final = Struct("=BBHBBxxII8xhh8x")

Shot = Callable[[], None]


@dataclass(slots=True)
class Path:
    """Something to do on one connection, and the event of another connection that shows it was done."""

    name: str
    fire: Shot
    watcher: XConnection
    code: int
    then: Shot
    """After the event: bring back the state before it."""


class Watch:
    """Waits for events of one code on a connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._poll = select.poll()
        self._poll.register(path.watcher.fileno(), select.POLLIN)
        path.watcher.raw_events = frozenset((path.code,))

    def drain(self) -> None:
        """Forget what has arrived."""
        self._path.watcher.sync()
        for _ in self._path.watcher.events():
            pass

    def wait(self, timeout: float) -> bool:
        """Whether an event came in time."""
        end = time.perf_counter() + timeout
        while (left := end - time.perf_counter()) > 0:
            self._poll.poll(left * 1000)
            for event in self._path.watcher.events():
                if isinstance(event, RawEvents):
                    return True
        return False


def in_turn(paths: Mapping[str, Path], count: int) -> Iterator[tuple[str, float]]:
    """`count` single shots of each path, one of each in turn: (name, microseconds). Each starts when all is at rest.

    In turn, because a path that is shot many times in a row has the caches to itself: a native draw of a large window
    is then twice as fast as it ever is on a desktop where anything else happens.
    """
    for _ in range(count):
        for name, path in paths.items():
            watch = Watch(path)
            watch.drain()
            start = time.perf_counter()
            path.fire()
            if not watch.wait(_TIMEOUT):
                raise MachineCannot(f"{path.name}: nothing was seen for {_TIMEOUT:g} s")
            yield name, (time.perf_counter() - start) * 1e6
            path.then()


def open_loop(path: Path, rate: float, count: int) -> tuple[list[float], int]:
    """Latencies from the scheduled instants of `count` shots at `rate` per second, and how many were never seen."""
    watch = Watch(path)
    watch.drain()
    found: list[float] = []
    lost = 0
    start = time.perf_counter() + 0.05
    for number in range(count):
        scheduled = start + number / rate
        while (left := scheduled - time.perf_counter()) > 0:
            time.sleep(left)
        path.fire()
        if watch.wait(_LOST_AFTER):
            found.append((time.perf_counter() - scheduled) * 1e6)
        else:
            lost += 1
        path.then()
    return found, lost


def summary(name: str, samples: Mapping[str, list[float]]) -> dict[str, Any]:
    """Percentiles in microseconds, and the median as a multiple of the native draw of that size, else of the small."""
    size = name.rpartition(" ")[2]
    native = samples[f"native {size if size in SIZES else '64x64'}"]
    found = Distribution.of(samples[name])
    base = Distribution.of(native).p50
    ratio = found.p50 / base if found.p50 is not None and base else None
    return {**found.as_dict("us"), "ratio": ratio}


@contextmanager
def paths(bed: Bed) -> Iterator[dict[str, Path]]:
    """All paths on one bed, with a real agent and a real worker between its two X servers."""
    with Xvfb(*DESK) as plain, bed.guest() as (server, _agent), bed.worker() as child, ExitStack() as stack:

        def connect(display: str) -> XConnection:
            return stack.enter_context(closing(XConnection(display)))

        alone = connect(plain.display)
        alone_window = a_window(alone, "latency")
        program = connect(server.display)
        window = a_window(program, "latency")
        row = wait_for_window(child, "latency")
        desk = connect(bed.desk.display)
        shown = desk.display.create_resource_object("window", row["local_id"])
        inner = shown.query_tree().children[0]
        watcher = connect(bed.desk.display)
        found = {
            **draws("native", alone, alone_window, connect(plain.display), alone_window),
            **draws("draw", program, window, watcher, inner),
        }
        listener = connect(server.display)
        target: Any = listener.display.create_resource_object("window", window.id)
        target.change_attributes(event_mask=X.KeyPressMask | X.PointerMotionMask)
        listener.sync()
        shown.set_input_focus(X.RevertToPointerRoot, X.CurrentTime)
        xtest.fake_input(desk.display, X.MotionNotify, x=row["x"] + 50, y=row["y"] + 50)
        desk.sync()
        time.sleep(0.5)
        found["motion"] = _motion(desk, row, listener)
        found["key"] = _key(desk, listener)
        yield found


def a_window(program: XConnection, title: str) -> Any:
    """A large one, mapped, or about to be."""
    screen: Any = program.display.screen()
    events = X.KeyPressMask | X.PointerMotionMask
    window = screen.root.create_window(100, 100, *_WINDOW, 0, screen.root_depth, background_pixel=0, event_mask=events)
    window.set_wm_name(title)
    window.map()
    program.sync()
    return window


def draws(name: str, program: XConnection, window: Any, watcher: XConnection, watched: Any) -> dict[str, Path]:
    """One path for each size, of fills in changing colours."""
    target = watcher.display.create_resource_object("window", watched.id)
    watcher.display.damage_query_version()  # the server answers nothing else before
    target.damage_create(damage.DamageReportRawRectangles)
    code = int(watcher.display.extension_event.DamageNotify)
    watcher.sync()
    gcs = [window.create_gc(foreground=0x203040 * n).id for n in (1, 2)]
    made = {}
    for label, (width, height) in SIZES.items():

        def fire(width: int = width, height: int = height) -> None:
            gcs.reverse()
            program.send_raw(_FILL.pack(_POLY_FILL_RECTANGLE, 5, window.id, gcs[0], 0, 0, width, height), 1)
            program.flush()

        made[f"{name} {label}"] = Path(f"{name} {label}", fire, watcher, code, _nothing)
    return made


def _faker(desk: XConnection) -> Callable[..., None]:
    """XTEST's FakeInput, packed here because python-xlib's takes as long as what is measured."""
    major = int(desk.display.query_extension("XTEST").major_opcode)

    def fake(kind: int, detail: int, x: int = 0, y: int = 0) -> None:
        desk.send_raw(_FAKE_INPUT.pack(major, _FAKE_INPUT_MINOR, 9, kind, detail, 0, 0, x, y), 1)
        desk.flush()

    return fake


def _motion(desk: XConnection, row: dict[str, Any], listener: XConnection) -> Path:
    offsets = [60, 61]

    fake = _faker(desk)

    def fire() -> None:
        offsets.reverse()
        fake(X.MotionNotify, 0, row["x"] + offsets[0], row["y"] + 60)

    return Path("motion", fire, listener, X.MotionNotify, _nothing)


def _key(desk: XConnection, listener: XConnection) -> Path:
    fake = _faker(desk)

    def fire() -> None:
        fake(X.KeyPress, _KEYCODE)

    def release() -> None:
        fake(X.KeyRelease, _KEYCODE)
        time.sleep(0.002)

    return Path("key", fire, listener, X.KeyPress, release)


def wait_for_window(child: Child, title: str) -> dict[str, Any]:
    """As its worker shows it. Raises MachineCannot when it does not come."""
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end:
        for row in windows_of(child):
            if row["title"] == title and row["mapped"] and row["damage_rects"]:
                return row
        time.sleep(0.02)
    raise MachineCannot("the window of the benchmark did not appear")


def _nothing() -> None:
    """Nothing to bring back."""
