"""An AppVM in a test: an X server with programs, a source that follows it, and the daemon's view of what it reports."""

import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from Xlib import X

from guiagent.core.operations import Operation
from guiagent.core.source_events import FrameReady, SourceEvent
from guiagent.core.tracker import Tracker
from guiagent.sources.base import Source
from guiagent.sources.registry import load
from guiproto.messages import Destroy, Message, ShmImage, WindowDump, WindowDumpAck
from shm.xconn import XConnection
from tests.guiagent.fakes import MemorySharer

DEADLINE = 20.0
Pixels = NDArray[np.uint32]
E = TypeVar("E", bound=SourceEvent)


class Program:
    """A client of the guest's X server, doing what applications do."""

    def __init__(self, display: str) -> None:
        self.connection = XConnection(display)
        self.display: Any = self.connection.display
        self.root: Any = self.display.screen().root

    def window(self, x: int, y: int, width: int, height: int, *, depth: int = 24, **attributes: Any) -> Any:
        """A new top-level window, not mapped."""
        screen = self.display.screen()
        visual = X.CopyFromParent
        if depth != screen.root_depth:
            (visual,) = [v.visual_id for d in screen.allowed_depths if d.depth == depth for v in d.visuals][:1]
            attributes |= {
                "colormap": self.root.create_colormap(visual, X.AllocNone),
                "border_pixel": 0,
                "background_pixel": 0,
            }
        return self.root.create_window(x, y, width, height, 0, depth, X.InputOutput, visual, **attributes)

    def atom(self, name: str) -> int:
        return int(self.display.intern_atom(name))

    def gc(self, drawable: Any, **values: Any) -> Any:
        return drawable.create_gc(**values)

    def fill(self, window: Any, color: int, x: int, y: int, width: int, height: int) -> None:
        gc = window.create_gc(foreground=color)
        window.fill_rectangle(gc, x, y, width, height)
        gc.free()

    def pixels(self, window: Any) -> Pixels:
        """What the window contains now: u32 [height, width], the unused byte cleared."""
        size = window.get_geometry()
        image = window.get_image(0, 0, size.width, size.height, X.ZPixmap, 0xFFFFFFFF)
        return np.frombuffer(image.data, np.uint32).reshape(size.height, size.width) & np.uint32(0xFFFFFF)

    def ask_root(self, window: Any, type_: str, *data: int) -> None:
        """A client message to the window manager."""
        from Xlib.protocol import event

        words = [*data, 0, 0, 0, 0, 0][:5]
        message = event.ClientMessage(window=window, client_type=self.atom(type_), data=(32, words))
        self.root.send_event(message, event_mask=X.SubstructureRedirectMask | X.SubstructureNotifyMask)
        self.sync()

    def events(self) -> list[Any]:
        """What has arrived."""
        return list(self.connection.events())

    def wait_events(self, done: Callable[[list[Any]], bool]) -> list[Any]:
        """Events until `done` says that they are enough; AssertionError if they never are."""
        seen: list[Any] = []
        end = time.monotonic() + DEADLINE
        while True:
            seen += self.events()
            if done(seen):
                return seen
            assert time.monotonic() < end, f"events so far: {seen}"
            select.select([self.connection.fileno()], [], [], 0.2)

    def sync(self) -> None:
        self.connection.sync()

    def close(self) -> None:
        self.connection.close()


@dataclass
class Shown:
    """A window as a daemon shows it: its buffer, and what was painted from that at each SHMIMAGE."""

    dump: WindowDump | None = None
    canvas: Pixels = field(default_factory=lambda: np.zeros((0, 0), np.uint32))
    dumps: int = 0
    images: int = 0


class Viewer:
    """A daemon that acknowledges and paints at once: one of the source's audiences."""

    def __init__(self, source: Source, tracker: Tracker, sharer: MemorySharer, audience: int) -> None:
        self._source = source
        self.tracker = tracker
        self.sharer = sharer
        self.audience = audience
        self.messages: list[Message] = []
        self.shown: dict[int, Shown] = {}

    def handle(self, event: SourceEvent) -> None:
        """What the source reported."""
        if not isinstance(event, FrameReady) or event.buffer.audience == self.audience:
            for operation in self.tracker.handle(event):
                self._source.perform(operation)

    def take(self) -> None:
        """Hear everything that is due."""
        while messages := self.tracker.take():
            for message in messages:
                self._hear(message)

    def _hear(self, message: Message) -> None:
        self.messages.append(message)
        shown = self.shown.setdefault(message.window, Shown())
        if isinstance(message, Destroy):
            self.tracker.receive(message)
        elif isinstance(message, WindowDump):
            shown.dump = message
            shown.dumps += 1
            shown.canvas = np.full((message.height, message.width), 0xDEAD, np.uint32)
            for operation in self.tracker.receive(WindowDumpAck(message.window)):
                self._source.perform(operation)
        elif isinstance(message, ShmImage):
            assert shown.dump is not None
            shown.images += 1
            rows = slice(message.y, message.y + message.height)
            columns = slice(message.x, message.x + message.width)
            picture = self.sharer.picture(shown.dump.refs, shown.dump.width, shown.dump.height)
            shown.canvas[rows, columns] = picture[rows, columns]

    def shows(self, program: Program, window: Any) -> bool:
        """Whether it shows exactly what the window contains."""
        if window.id not in self.shown or window.get_attributes().map_state != X.IsViewable:
            return False
        return np.array_equal(program.pixels(window), self.shown[window.id].canvas)


class Guest:
    """`source` under test, driven as the agent drives it, with one daemon, or two while its windows move."""

    def __init__(self, name: str, display: str) -> None:
        self.display = display
        self.sharer = MemorySharer()
        self.source: Source = load(name)(display, self.sharer, keep_screen=False)
        self.tracker = Tracker()
        self.tracker.connected(8, [])
        self._first = Viewer(self.source, self.tracker, self.sharer, 0)
        self._viewers = [self._first]
        self.reported: list[SourceEvent] = []
        self.messages = self._first.messages
        self.shown = self._first.shown
        self.source.hold(False)

    def __enter__(self) -> Self:
        self.settle()
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        for viewer in {self._first, *self._viewers}:
            viewer.sharer.forget()

    def admit(self) -> Viewer:
        """Another daemon is told everything from now on."""
        viewer = Viewer(self.source, self.tracker.twin(1), MemorySharer(), 1)
        self.source.admit(1, viewer.sharer)
        self.perform(*viewer.tracker.start())
        viewer.tracker.connected(8, self.source.stacking())
        self.source.hold(False, 1)
        self._viewers.append(viewer)
        return viewer

    def leave_to(self, viewer: Viewer) -> None:
        """The first daemon is gone."""
        self._viewers = [viewer]
        self.perform(*self.tracker.disconnected())
        self.source.dismiss(0)

    def perform(self, *operations: Operation) -> None:
        """What the daemon orders."""
        for operation in operations:
            self.source.perform(operation)
        self.source.flush()

    def turn(self, timeout: float) -> None:
        """One round of the agent's loop."""
        select.select([self.source.fileno()], [], [], timeout)
        for event in self.source.events():
            self.reported.append(event)
            for viewer in self._viewers:
                viewer.handle(event)
        for viewer in self._viewers:
            viewer.take()
        self.source.flush()

    def until(self, condition: Callable[[], object], what: str = "the condition") -> None:
        """Run until it is true; AssertionError after the deadline."""
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"waited {DEADLINE} s for {what}; reported: {self.reported[-30:]}"
            self.turn(0.2)

    def settle(self) -> None:
        """Run until everything that programs have done so far is reported and painted."""
        program = Program(self.display)
        marker = program.window(0, 0, 1, 1)
        marker.map()
        program.fill(marker, 1, 0, 0, 1, 1)
        program.sync()
        number = int(marker.id)
        self.until(lambda: number in self.shown and self.shown[number].images, "a marker window to be painted")
        program.close()
        self.until(lambda: number not in self.tracker.windows, "the marker window to go")
        # The next program's windows may have the same numbers.
        self.reported = [event for event in self.reported if event.window != number]
        del self.shown[number]

    def show(self, program: Program, window: Any) -> None:
        """Map a window, and run until programs can draw in it, which may take a window manager."""
        window.map()
        program.sync()
        self.until(lambda: window.get_attributes().map_state == X.IsViewable, "the window to be mapped")

    def events(self, kind: type[E], window: Any) -> list[E]:
        """Events of a kind about a window, so far."""
        number = getattr(window, "id", window)
        return [event for event in self.reported if isinstance(event, kind) and event.window == number]

    def wait_event(self, kind: type[E], window: Any, count: int = 1) -> E:
        """The latest such event, once there are `count`."""
        self.until(lambda: len(self.events(kind, window)) >= count, f"{count} {kind.__name__} of {window}")
        return self.events(kind, window)[-1]

    def canvas(self, window: Any) -> Pixels:
        """What the daemon shows of the window."""
        return self.shown[window.id].canvas

    def wait_images(self, window: Any, count: int) -> None:
        """Run until that many SHMIMAGE were heard of the window."""
        self.until(lambda: self.shown[window.id].images >= count, f"{count} SHMIMAGE")

    def wait_same(self, program: Program, window: Any) -> None:
        """Run until every daemon shows exactly what the window contains."""
        program.sync()
        self.until(
            lambda: all(viewer.shows(program, window) for viewer in self._viewers),
            f"window {window.id:#x} to look the same on all sides",
        )


def kinds(events: Sequence[object]) -> list[str]:
    """The names of their types, for comparisons that read well."""
    return [type(event).__name__ for event in events]
