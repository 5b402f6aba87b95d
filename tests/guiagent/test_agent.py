"""The windows of a running agent move from one GUI domain to another, and nothing is lost or leaks on the way."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from Xlib import X

from backends.base import MachineCannot, VchanState
from backends.local import LocalBackend
from guiagent import link
from guiagent.agent import Agent
from guiagent.link import Meeting
from guiagent.sources.x11.source import X11Source
from guiproto import limits
from guiproto.limits import GUI_PORT
from guiproto.messages import (
    HEADER,
    Button,
    ClipboardData,
    ClipboardReq,
    Configure,
    Crossing,
    Focus,
    KeyPress,
    Message,
    MessageType,
    ShmImage,
    WindowDump,
    WmName,
)
from guiproto.ports import ICON_PORT
from tests.conformance.sources.copying import Copier, Paster
from tests.conformance.sources.guest import Program
from tests.guiagent.daemon import RawDaemon
from tests.xserver import XServer, wait_until

T = TypeVar("T")
Daemons = Callable[[int], RawDaemon]
DOMID, OLD, NEW = 7, 0, 9
KEYS = range(38, 48)


class Running:
    """An agent in a thread of its own, which carries out what a test wants of it."""

    def __init__(self, directory: Path, display: str) -> None:
        backend = LocalBackend(directory)

        def meet(gui_domid: int) -> Meeting:
            sharer = backend.sharer(DOMID, gui_domid)
            return Meeting(
                gui_domid,
                sharer,
                lambda: backend.server(DOMID, gui_domid, GUI_PORT),
                lambda: backend.server(DOMID, gui_domid, ICON_PORT),
            )

        first = meet(OLD)
        self._agent = Agent(meet, first, X11Source(display, first.sharer))
        self._jobs: list[Callable[[], None]] = []
        self._bell = os.eventfd(0, os.EFD_NONBLOCK)
        self._end, self._stop = os.pipe()
        self._agent.watch(self._bell, self._work)
        self._thread = threading.Thread(target=self._agent.run, args=(self._end,))
        self._thread.start()

    def call(self, what: Callable[[Agent], T]) -> T:
        """Its result, or what it raises."""
        future: Future[T] = Future()

        def job() -> None:
            try:
                future.set_result(what(self._agent))
            except BaseException as error:
                future.set_exception(error)

        self._jobs.append(job)
        os.eventfd_write(self._bell, 1)
        return future.result(20)

    def _work(self) -> None:
        os.eventfd_read(self._bell)
        while self._jobs:
            self._jobs.pop(0)()

    def close(self) -> None:
        os.close(self._stop)
        self._thread.join(20)
        self._agent.close()
        os.close(self._end)
        os.close(self._bell)
        assert not self._thread.is_alive()


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="agent") as name:
        yield Path(name)


@pytest.fixture
def server() -> Iterator[XServer]:
    with XServer(800, 600) as server:
        yield server


@pytest.fixture
def program(server: XServer) -> Iterator[Program]:
    program = Program(server.display)
    yield program
    program.close()


@pytest.fixture
def running(directory: Path, server: XServer) -> Iterator[Running]:
    running = Running(directory, server.display)
    yield running
    running.close()


def _window(program: Program, title: str = "one") -> int:
    mask = X.KeyPressMask | X.KeyReleaseMask | X.ButtonPressMask | X.ButtonReleaseMask
    window = program.window(10, 20, 200, 100, background_pixel=0x102030, event_mask=mask)
    window.set_wm_name(title)
    window.map()
    program.sync()
    return int(window.id)


@pytest.fixture
def daemon(directory: Path, running: Running) -> Iterator[Daemons]:  # noqa: ARG001 - it must be there
    """Daemons of a GUI domain."""
    made: list[RawDaemon] = []

    def make(gui_domid: int) -> RawDaemon:
        made.append(RawDaemon(directory, DOMID, gui_domid=gui_domid))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _key(window: int, kind: int, keycode: int) -> KeyPress:
    return KeyPress(window, kind, 5, 5, 0, keycode)


def _entered(window: int) -> list[Message]:
    return [Crossing(window, 7, 5, 5, 0, 0, 0, 1), Focus(window, 9, 0, 0)]


def _keycodes(program: Program, kind: int, count: int) -> list[int]:
    events = program.wait_events(lambda seen: sum(event.type == kind for event in seen) >= count)
    return [event.detail for event in events if event.type == kind]


def _picture(daemon: RawDaemon, window: int) -> NDArray[np.uint8]:
    dump, pages = daemon._buffers[window]
    assert pages.region is not None
    return np.frombuffer(pages.region.view(), np.uint8)[
        pages.offset : pages.offset + dump.width * dump.height * 4
    ].copy()


def test_the_next_daemon_has_painted_everything_before_the_first_is_cut_off(
    daemon: Daemons, running: Running, program: Program
) -> None:
    window = _window(program)
    old = daemon(OLD)
    old.wait_window("one")
    running.call(lambda agent: agent.prepare(NEW))
    new = daemon(NEW)
    assert new.wait_window("one") == window
    assert old.vchan.update() is VchanState.CONNECTED
    assert (_picture(new, window) == _picture(old, window)).all()
    running.call(lambda agent: agent.move(NEW))
    old.until(lambda: old.vchan.update() is VchanState.DISCONNECTED, "the end of its line")
    assert new.vchan.update() is VchanState.CONNECTED
    assert running.call(lambda agent: agent.gui_domid) == NEW


def test_what_is_painted_after_the_move_is_not_in_the_memory_that_the_first_has_still_mapped(
    daemon: Daemons, running: Running, program: Program
) -> None:
    window = _window(program)
    old = daemon(OLD)
    old.wait_window("one")
    running.call(lambda agent: agent.prepare(NEW))
    new = daemon(NEW)
    new.wait_window("one")
    running.call(lambda agent: agent.move(NEW))
    before, images = _picture(old, window), len(new.of(ShmImage, window))
    program.fill(program.display.create_resource_object("window", window), 0xABCDEF, 0, 0, 200, 100)
    program.sync()
    new.until(lambda: len(new.of(ShmImage, window)) > images, "the new picture")
    assert (_picture(new, window).view(np.uint32) & 0xFFFFFF == 0xABCDEF).all()
    assert (_picture(old, window) == before).all()


def test_the_first_cannot_come_back(directory: Path, daemon: Daemons, running: Running, program: Program) -> None:
    _window(program)
    running.call(lambda agent: agent.move(NEW))
    late = LocalBackend(directory).client(OLD, DOMID, GUI_PORT)
    new = daemon(NEW)
    new.wait_window("one")
    assert late.update() is VchanState.WAITING
    late.close()


def test_no_key_is_lost_and_their_order_is_kept(daemon: Daemons, running: Running, program: Program) -> None:
    window = _window(program)
    old = daemon(OLD)
    old.wait_window("one")
    running.call(lambda agent: agent.prepare(NEW))
    new = daemon(NEW)
    new.wait_window("one")
    first, second = list(KEYS)[:5], list(KEYS)[5:]
    new.say(*_entered(window), *(_key(window, kind, key) for key in second for kind in (2, 3)))
    new.until(lambda: running.call(lambda agent: len(agent._reserve._waiting)) == 12, "what waits")  # type: ignore[union-attr] # there is one
    old.say(*_entered(window), *(_key(window, kind, key) for key in first for kind in (2, 3)))
    running.call(lambda agent: agent.move(NEW))
    assert _keycodes(program, X.KeyPress, 10) == list(KEYS)


def test_what_the_first_held_down_is_released(daemon: Daemons, running: Running, program: Program) -> None:
    window = _window(program)
    old = daemon(OLD)
    old.wait_window("one")
    old.say(*_entered(window), _key(window, 2, 40), Button(window, 4, 5, 5, 0, 1))
    program.wait_events(lambda seen: {event.type for event in seen} >= {X.KeyPress, X.ButtonPress})
    running.call(lambda agent: agent.move(NEW))
    program.wait_events(lambda seen: {event.type for event in seen} >= {X.KeyRelease, X.ButtonRelease})


def test_a_domain_that_does_not_get_the_windows_after_all(daemon: Daemons, running: Running, program: Program) -> None:
    window = _window(program)
    old = daemon(OLD)
    old.wait_window("one")
    old.say(*_entered(window), _key(window, 2, 40))
    _keycodes(program, X.KeyPress, 1)
    running.call(lambda agent: agent.prepare(NEW))
    new = daemon(NEW)
    new.wait_window("one")
    new.say(_key(window, 2, 41))
    running.call(lambda agent: agent.withdraw())
    new.until(lambda: new.vchan.update() is VchanState.DISCONNECTED, "the end of its line")
    old.say(_key(window, 2, 42))
    seen = program.wait_events(lambda seen: any(e.type == X.KeyPress and e.detail == 42 for e in seen))
    assert [(event.type, event.detail) for event in seen if event.type in (X.KeyPress, X.KeyRelease)] == [
        (X.KeyPress, 42)
    ], "what it typed never arrives, and what the first holds stays held"


def test_windows_that_come_change_and_go_meanwhile(daemon: Daemons, running: Running, program: Program) -> None:
    gone = _window(program, "gone")
    old = daemon(OLD)
    old.wait_window("gone")
    running.call(lambda agent: agent.prepare(NEW))
    program.display.create_resource_object("window", gone).destroy()
    moved = _window(program, "moved")
    program.display.create_resource_object("window", moved).configure(x=50, y=60, width=80, height=90)
    program.sync()
    new = daemon(NEW)
    assert new.wait_window("moved") == moved
    new.wait_geometry(moved, (50, 60, 80, 90))
    assert not [message for message in new.of(WmName) if message.data.startswith(b"gone")]


def test_an_order_to_a_window_waits_too(daemon: Daemons, running: Running, program: Program) -> None:
    window = _window(program)
    old = daemon(OLD)
    old.wait_window("one")
    running.call(lambda agent: agent.prepare(NEW))
    new = daemon(NEW)
    new.wait_window("one")
    new.say(Configure(window, 70, 80, 210, 110, 0))
    new.until(lambda: running.call(lambda agent: len(agent._reserve._waiting)) == 1, "what waits")  # type: ignore[union-attr] # there is one
    assert old.geometry(window) == (10, 20, 200, 100)
    running.call(lambda agent: agent.move(NEW))
    new.wait_geometry(window, (70, 80, 210, 110))
    new.until(lambda: new.of(WindowDump, window)[-1].width == 210, "the larger buffer")


def test_nothing_large_waits(daemon: Daemons, running: Running, program: Program) -> None:
    """Nor what was asked of the clipboard before its turn: that is nobody's later."""
    _window(program)
    running.call(lambda agent: agent.prepare(NEW))
    new = daemon(NEW)
    window = new.wait_window("one")
    new.say(*(ClipboardData(window, bytes(60_000)) for _ in range(3)), ClipboardReq(window))
    new.say(_key(window, 2, 40))
    new.until(lambda: running.call(lambda agent: agent._reserve._waiting), "what waits")  # type: ignore[union-attr] # there is one
    assert [type(event) for event in running.call(lambda agent: agent._reserve._waiting)] == [KeyPress]  # type: ignore[union-attr] # as above


@pytest.mark.parametrize("flood", [False, True], ids=["nonsense", "flood"])
def test_a_domain_that_misbehaves_before_its_turn_disturbs_nobody(
    daemon: Daemons, running: Running, program: Program, flood: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "MAX_WAITING", 20)
    window = _window(program)
    old = daemon(OLD)
    old.wait_window("one")
    old.say(*_entered(window), _key(window, 2, 40))
    _keycodes(program, X.KeyPress, 1)
    running.call(lambda agent: agent.prepare(NEW))
    new = daemon(NEW)
    new.wait_window("one")
    if flood:
        new.say(*(_key(window, 2, 50) for _ in range(21)))
    else:
        new.write(HEADER.pack(MessageType.KEYPRESS, window, 3) + b"abc")
    new.until(lambda: new.vchan.update() is VchanState.DISCONNECTED, "the end of its line")
    old.say(_key(window, 2, 42))
    seen = program.wait_events(lambda seen: any(e.type == X.KeyPress and e.detail == 42 for e in seen))
    assert not [event for event in seen if event.type == X.KeyRelease]


def test_a_domain_that_cannot_be_met(directory: Path, daemon: Daemons, running: Running, program: Program) -> None:
    window = _window(program)
    old = daemon(OLD)
    old.wait_window("one")
    taken = LocalBackend(directory).sharer(DOMID, NEW)
    with pytest.raises(MachineCannot, match="in use"):
        running.call(lambda agent: agent.prepare(NEW))
    taken.close()
    taken_vchan = LocalBackend(directory).server(DOMID, NEW, GUI_PORT)
    with pytest.raises(MachineCannot, match="in use"):
        running.call(lambda agent: agent.move(NEW))
    taken_vchan.close()
    images = len(old.of(ShmImage, window))
    program.fill(program.display.create_resource_object("window", window), 5, 0, 0, 50, 50)
    program.sync()
    old.until(lambda: len(old.of(ShmImage, window)) > images, "a picture")
    running.call(lambda agent: agent.move(NEW))
    daemon(NEW).wait_window("one")


def test_there_and_back_many_times(daemon: Daemons, running: Running, program: Program) -> None:
    window = _window(program)
    here, there = OLD, NEW
    serving = daemon(OLD)
    serving.wait_window("one")
    for round_ in range(8):
        color = 0x10000 * round_ + 0x77
        running.call(lambda agent, there=there: agent.prepare(there))  # type: ignore[misc] # mypy infers no lambda defaults
        following = daemon(there)
        following.wait_window("one")
        program.fill(program.display.create_resource_object("window", window), color, 0, 0, 200, 100)
        program.sync()
        running.call(lambda agent, there=there: agent.move(there))  # type: ignore[misc] # as above

        def painted(one: RawDaemon = following, color: int = color) -> bool:
            return bool((_picture(one, window).view(np.uint32) & 0xFFFFFF == color).all())

        following.until(painted, "the colour")
        serving.until(lambda serving=serving: serving.vchan.update() is VchanState.DISCONNECTED, "the end")  # type: ignore[misc] # as above
        serving, here, there = following, there, here
    wait_until(lambda: running.call(lambda agent: len(agent._source._capture._captures)) == 1)  # type: ignore[attr-defined] # it is an X11Source


# --- the clipboard ---


def _answers(daemon: RawDaemon, copier: Copier, count: int = 1) -> list[bytes]:
    def look() -> bool:
        copier.turn()
        return len(daemon.of(ClipboardData)) >= count

    daemon.until(look, f"{count} answers")
    return [message.data for message in daemon.of(ClipboardData)]


@pytest.mark.parametrize("size", [0, 5, 200_000, 256_000, 256_001, 260_000])
def test_the_clipboard_is_given_to_the_daemon_that_asks(
    server: XServer, daemon: Daemons, running: Running, program: Program, size: int
) -> None:
    _window(program)
    copier = Copier(server.display, {"UTF8_STRING": b"x" * size})
    one = daemon(OLD)
    window = one.wait_window("one")
    copier.turn()
    assert not one.of(ClipboardData)
    one.say(ClipboardReq(window))
    assert _answers(one, copier) == [b"x" * min(size, 256_001)]
    one.say(ClipboardReq(window), ClipboardReq(window))
    assert len(_answers(one, copier, 3)) == 3
    assert {message.window for message in one.of(ClipboardData)} == {window}
    running.call(lambda _: None)
    one.turn(0.0)
    assert len(one.of(ClipboardData)) == 3
    copier.close()


def test_a_daemon_of_an_older_version_gets_what_it_can_take(
    server: XServer, daemon: Daemons, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "VERSION_MINOR", 7)
    _window(program)
    copier = Copier(server.display, {"UTF8_STRING": b"x" + "é".encode() * 40_000})
    one = daemon(OLD)
    one.say(ClipboardReq(one.wait_window("one")))
    assert _answers(one, copier) == [b"x" + "é".encode() * 32_499]
    copier.close()


def test_an_answer_is_not_for_the_next_daemon(server: XServer, daemon: Daemons, program: Program) -> None:
    window = _window(program)
    copier = Copier(server.display, {"UTF8_STRING": b"text"})
    one = daemon(OLD)
    one.wait_window("one")
    one.say(ClipboardReq(window))
    program.sync()
    one.close()
    two = daemon(OLD)
    two.wait_window("one")

    def asked() -> bool:
        copier.turn()
        return "UTF8_STRING" in copier.asked

    wait_until(asked, "the first question")
    two.say(*_entered(window), _key(window, 2, 40))
    _keycodes(program, X.KeyPress, 1)
    two.turn(0.0)
    assert not two.of(ClipboardData)
    two.say(ClipboardReq(window))
    assert _answers(two, copier) == [b"text"]
    copier.close()


def test_programs_paste_what_the_daemon_gives(server: XServer, daemon: Daemons, program: Program) -> None:
    _window(program)
    paster = Paster(server.display)
    one = daemon(OLD)
    one.say(ClipboardData(one.wait_window("one"), b"from elsewhere"))
    wait_until(lambda: paster.display.get_selection_owner(paster.atom("PRIMARY")), "the agent to own it")
    paster.want("UTF8_STRING")

    def answered() -> bool:
        paster.turn()
        return paster.answered

    wait_until(answered, "the text")
    assert paster.value == b"from elsewhere"
    one.say(ClipboardReq(0))
    one.until(lambda: one.of(ClipboardData), "the answer")
    assert one.of(ClipboardData)[-1].data == b"from elsewhere", "it is this VM's now"
    paster.close()
