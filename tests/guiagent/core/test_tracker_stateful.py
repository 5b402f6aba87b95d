"""Whatever windows do and however late the daemon is: it hears only what it can understand, and ends up knowing all."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from guiagent.core.buffers import Buffer
from guiagent.core.operations import Capture, Forget, Operation
from guiagent.core.source_events import (
    Configured,
    Created,
    Destroyed,
    FrameReady,
    Mapped,
    SourceEvent,
    Titled,
    TransientFor,
    Unmapped,
)
from guiagent.core.tracker import MAX_UNACKNOWLEDGED, Tracker
from guiproto.messages import (
    Configure,
    Create,
    Destroy,
    Map,
    Message,
    ShmImage,
    Unmap,
    WindowDump,
    WindowDumpAck,
    WmName,
)

_IDS = st.integers(1, 4)
_SIZES = st.integers(1, 3)


@dataclass
class _Real:
    """A window as the source has it."""

    x: int
    width: int
    mapped: bool = False
    title: str | None = None
    buffer: Buffer | None = None
    owned: bool = False
    """Whether it ever said whose it is."""


@dataclass
class _Seen:
    """A window as the daemon has it."""

    x: int
    width: int
    shown: bool = False
    title: str | None = None
    dump: Buffer | None = None
    painted: bool = False
    shows: Buffer | None = None
    """What it paints from: the last dump that it acknowledged."""


class Conversation(RuleBasedStateMachine):
    """Both neighbours of the tracker, each strict about its contract."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = Tracker()
        self.real: dict[int, _Real] = {}
        self.alive: set[Buffer] = set()
        self.connected = False
        self.seen: dict[int, _Seen] = {}
        self.buffers: dict[int, Buffer] = {}
        self.to_acknowledge: deque[tuple[int, Buffer]] = deque()
        self.dropped: set[Buffer] = set()
        """Buffers that an UNMAP detached before they were acknowledged."""
        self.to_echo: deque[int] = deque()
        self.to_answer: dict[int, int] = {}

    @initialize(mapped=st.sets(_IDS), read=st.booleans())
    def begin(self, mapped: set[int], read: bool) -> None:
        """Somewhere in the middle of a session, or most runs would spend themselves on getting there."""
        self.connect([])
        for number in range(1, 5):
            self.create(number, 1, 2)
        for number in mapped:
            self.map(number)
            self.frame(number)
        if read:
            self.read_all()

    # --- the source ---

    def report(self, event: SourceEvent) -> None:
        self.perform(self.tracker.handle(event))

    def perform(self, operations: object) -> None:
        assert isinstance(operations, tuple | list)
        for operation in operations:
            self.perform_one(operation)

    def perform_one(self, operation: Operation) -> None:
        if isinstance(operation, Forget):
            assert operation.buffer in self.alive, "a buffer is given back once"
            self.alive.discard(operation.buffer)
            assert all(operation.buffer is not buffer for _, buffer in self.to_acknowledge), "the daemon may read it"
            for number, window in self.real.items():
                if window.buffer is operation.buffer:
                    window.buffer = None
                if window.mapped and number in self.seen:
                    assert self.seen[number].shows is not operation.buffer, "the daemon still shows it"
        elif isinstance(operation, Capture):
            window = self.real[operation.window]
            assert window.mapped
            buffer = Buffer(window.width, 1, np.array([len(self.buffers) + 1], np.uint32), 0)
            self.buffers[len(self.buffers) + 1] = buffer
            window.buffer = buffer
        elif isinstance(operation, Configure):
            real = self.real[operation.window]
            real.x, real.width = operation.x, operation.width
            self.configured(operation.window)

    def configured(self, number: int) -> None:
        window = self.real[number]
        self.report(Configured(number, window.x, 0, window.width, 1, False))

    @rule(number=_IDS, x=_SIZES, width=_SIZES)
    def create(self, number: int, x: int, width: int) -> None:
        if number not in self.real:
            self.real[number] = _Real(x, width)
            self.report(Created(number, x, 0, width, 1, False))

    @rule(number=_IDS)
    def destroy(self, number: int) -> None:
        if number in self.real:
            self.unmap(number)
            del self.real[number]
            self.report(Destroyed(number))

    @rule(number=_IDS)
    def map(self, number: int) -> None:
        window = self.real.get(number)
        if window is not None and not window.mapped:
            window.mapped = True
            self.report(Mapped(number, False))

    @rule(number=_IDS)
    def unmap(self, number: int) -> None:
        window = self.real.get(number)
        if window is not None and window.mapped:
            window.mapped, window.buffer = False, None
            self.report(Unmapped(number))

    @rule(number=_IDS, x=_SIZES, width=_SIZES)
    def configure(self, number: int, x: int, width: int) -> None:
        window = self.real.get(number)
        if window is not None:
            window.x, window.width = x, width
            self.configured(number)

    @rule(number=_IDS, title=st.sampled_from(["a", "b"]))
    def title(self, number: int, title: str) -> None:
        window = self.real.get(number)
        if window is not None:
            window.title = title
            self.report(Titled(number, title))

    @rule(number=_IDS, parent=_IDS)
    def transient(self, number: int, parent: int) -> None:
        if number in self.real:
            self.real[number].owned = True
            self.report(TransientFor(number, parent))

    @rule(number=_IDS)
    def frame(self, number: int) -> None:
        window = self.real.get(number)
        if window is not None and window.buffer is not None:
            self.alive.add(window.buffer)
            self.report(FrameReady(number, window.buffer, [(0, 0, window.buffer.width, 1)]))

    @precondition(lambda self: self.connected)
    @rule(number=_IDS, widths=st.lists(_SIZES, min_size=2, max_size=4))
    def drag(self, number: int, widths: list[int]) -> None:
        """The user drags an edge: sizes follow each other faster than acknowledgements."""
        for width in widths:
            self.configure(number, 1, width)
            self.frame(number)
            self.read_all()

    # --- the daemon ---

    @precondition(lambda self: not self.connected)
    @rule(stacking=st.permutations([1, 2, 3, 4]))
    def connect(self, stacking: list[int]) -> None:
        self.connected = True
        self.tracker.connected(8, stacking)

    @precondition(lambda self: self.connected)
    @rule()
    def disconnect(self) -> None:
        self.connected = False
        self.seen.clear()
        self.to_acknowledge.clear()
        self.to_echo.clear()
        self.to_answer.clear()
        self.perform(self.tracker.disconnected())

    @rule()
    def read_some(self) -> None:
        for message in self.tracker.take():
            self.understand(message)

    @rule()
    def read_all(self) -> None:
        while messages := self.tracker.take():
            for message in messages:
                self.understand(message)

    @precondition(lambda self: self.to_acknowledge)
    @rule()
    def acknowledge(self) -> None:
        number, buffer = self.to_acknowledge.popleft()
        if number in self.seen and self.seen[number].shown and buffer not in self.dropped:
            self.seen[number].shows = buffer
        self.perform(self.tracker.receive(WindowDumpAck(number)))

    @rule(number=_IDS)
    def acknowledge_too_much(self, number: int) -> None:
        if all(number != waiting for waiting, _ in self.to_acknowledge):
            assert self.tracker.receive(WindowDumpAck(number)) == ()

    @precondition(lambda self: self.to_echo)
    @rule()
    def echo(self) -> None:
        self.perform(self.tracker.receive(Destroy(self.to_echo.popleft())))

    @rule(number=_IDS, x=_SIZES, width=_SIZES)
    def order(self, number: int, x: int, width: int) -> None:
        if number in self.seen:
            # The window may be gone, or another one by now: then nobody answers.
            if number in self.real and number not in self.to_echo and self.tracker.windows[number].announced:
                self.to_answer[number] = self.to_answer.get(number, 0) + 1
            self.perform(self.tracker.receive(Configure(number, x, 0, width, 1, 0)))

    def understand(self, message: Message) -> None:
        assert self.connected
        number = message.window
        if isinstance(message, Create):
            assert number not in self.seen, "created twice"
            assert number not in self.to_echo, "an id is not used again before its echo"
            self.seen[number] = _Seen(message.x, message.width)
            return
        assert number in self.seen, f"{message} is about a window that the daemon does not know"
        window = self.seen[number]
        match message:
            case Destroy():
                del self.seen[number]
                self.to_echo.append(number)
                self.to_answer.pop(number, None)
            case Map():
                assert not window.shown or self.real[number].owned, "told twice that it is shown"
                assert message.transient_for == 0 or message.transient_for in self.seen
                window.shown = True
            case Unmap():
                assert window.shown
                window.shown, window.dump, window.shows, window.painted = False, None, None, False
                self.dropped.update(buffer for other, buffer in self.to_acknowledge if other == number)
            case Configure():
                window.x, window.width = message.x, message.width
                self.to_answer.pop(number, None)
            case WmName():
                window.title = message.data.rstrip(b"\0").decode()
            case WindowDump():
                assert window.shown
                buffer = self.buffers[int(message.refs[0])]
                assert buffer in self.alive, "a buffer that was given back is dumped"
                assert message.width == buffer.width
                window.dump, window.painted = buffer, False
                self.to_acknowledge.append((number, buffer))
            case ShmImage():
                assert window.dump is not None, "damage without a buffer"
                assert message.x + message.width <= window.dump.width
                window.painted = True

    @invariant()
    def few_buffers_wait(self) -> None:
        for number in self.seen:
            waiting = sum(number == other for other, _ in self.to_acknowledge)
            assert waiting <= MAX_UNACKNOWLEDGED + 1

    def teardown(self) -> None:
        """Once everybody has caught up, the daemon sees what is, and no memory is lost."""
        if not self.connected:
            self.connect([])
        for _ in range(4):
            self.read_all()
            while self.to_acknowledge:
                self.acknowledge()
            while self.to_echo:
                self.echo()
            for number in self.real:
                self.frame(number)
        self.read_all()
        assert not self.to_answer, "an order was not answered"
        assert self.seen.keys() == self.real.keys()
        for number, real in self.real.items():
            seen = self.seen[number]
            assert (seen.x, seen.width, seen.shown, seen.title) == (real.x, real.width, real.mapped, real.title)
            assert seen.dump is real.buffer
            assert seen.painted is real.mapped
            assert seen.dump is None or seen.dump.width == real.width
        assert self.alive == {real.buffer for real in self.real.values() if real.buffer is not None}


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
