"""Programs that never answer, never take, destroy what is ours or send what nobody asked for, and time that passes."""

import random
import select
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from Xlib import X

from guiagent.sources.x11.clipboard import FETCH_SECONDS, WIPE_SECONDS, X11Clipboard
from guiagent.sources.x11.transfers import MOST_TRANSFERS, PATIENCE_SECONDS
from tests.conformance.sources.copying import Copier, Paster, fetched, pasted, pump
from tests.conformance.sources.guest import Program
from tests.xserver import XServer

LONG = b"long " * 30_000


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    with XServer(400, 300) as server:
        yield server


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clipboard(server: XServer, clock: Clock) -> Iterator[X11Clipboard]:
    made = X11Clipboard(server.display, clock)
    yield made
    made.close()


def offered(clipboard: X11Clipboard, paster: Paster, text: bytes) -> None:
    clipboard.offer(text)
    pump(clipboard, paster, until=lambda: owner(paster))


def owner(program: Program) -> int:
    found = program.display.get_selection_owner(program.atom("PRIMARY"))
    return int(found.id) if found else 0


def test_it_rests_until_it_is_used(clipboard: X11Clipboard) -> None:
    clipboard.proceed()
    assert clipboard.patience() is None
    assert not select.select([clipboard.fileno()], [], [], 0)[0]


def test_a_program_that_has_grabbed_the_server_is_not_waited_for(server: XServer, clipboard: X11Clipboard) -> None:
    """The clock is the real one here: what waits for the program waits until the end of the test."""
    program = Copier(server.display, {"UTF8_STRING": b"theirs"})
    program.display.grab_server()
    program.sync()
    clipboard.offer(b"ours")
    pump(clipboard, program, until=lambda: program.lost)
    assert fetched(clipboard) == b"ours"
    program.display.ungrab_server()
    program.close()


@pytest.mark.parametrize("how", ["mute", "stops"])
def test_a_program_that_never_answers(server: XServer, clipboard: X11Clipboard, clock: Clock, how: str) -> None:
    texts = {"UTF8_STRING": LONG}
    program = Copier(server.display, texts, part=1000, mute=how == "mute", patience=3)
    answers: list[bytes] = []
    clipboard.fetch(256_000, answers.append)
    clipboard.fetch(256_000, answers.append)
    if how == "stops":
        pump(clipboard, program, until=lambda: not program._patience)
    clock.now += FETCH_SECONDS - 0.1
    assert clipboard.patience() in (pytest.approx(0.1), 0.0)
    clipboard.proceed()
    assert not answers
    clock.now += 0.1
    assert clipboard.patience() == 0.0
    clipboard.proceed()
    assert answers == [b"", b""]
    program.close()
    other = Copier(server.display, {"UTF8_STRING": b"next"})
    assert fetched(clipboard, other) == b"next"
    other.close()


def test_an_answer_that_comes_too_late_is_no_answer_to_the_next_question(
    server: XServer, clipboard: X11Clipboard, clock: Clock
) -> None:
    slow = Copier(server.display, {"UTF8_STRING": b"slow"}, knows_targets=False)
    answers: list[bytes] = []
    clipboard.fetch(256_000, answers.append)
    clock.now += FETCH_SECONDS
    clipboard.proceed()
    assert answers == [b""]
    other = Copier(server.display, {"UTF8_STRING": b"quick"}, part=2)
    clipboard.fetch(256_000, answers.append)
    slow.turn()
    pump(clipboard, slow, other, until=lambda: len(answers) == 2)
    assert answers[1] == b"quick"
    slow.close()
    other.close()


def test_what_nobody_wants_any_more_is_forgotten(server: XServer, clipboard: X11Clipboard, clock: Clock) -> None:
    paster = Paster(server.display)
    offered(clipboard, paster, b"text")
    clock.now += WIPE_SECONDS - 1
    assert pasted(clipboard, paster, "UTF8_STRING") == b"text"
    clock.now += WIPE_SECONDS - 1
    assert pasted(clipboard, paster, "TARGETS") is not None, "which is no use of the text"
    clipboard.proceed()
    assert owner(paster)
    clock.now += 1
    assert clipboard.patience() == 0.0
    clipboard.proceed()
    assert not owner(paster)
    assert clipboard._offer is None
    assert pasted(clipboard, paster, "UTF8_STRING") is None
    assert clipboard.patience() is None
    paster.close()


def test_programs_that_take_nothing_are_bounded_and_given_up(
    server: XServer, clipboard: X11Clipboard, clock: Clock
) -> None:
    idlers = [Paster(server.display, takes=False) for _ in range(MOST_TRANSFERS)]
    paster = Paster(server.display)
    offered(clipboard, paster, LONG)
    for idler in idlers:
        idler.want("UTF8_STRING")
    pump(clipboard, *idlers, until=lambda: all(idler.kind == "INCR" for idler in idlers))
    assert pasted(clipboard, paster, "UTF8_STRING") is None
    offered(clipboard, paster, b"short")
    assert pasted(clipboard, paster, "UTF8_STRING") == b"short"
    clock.now += PATIENCE_SECONDS
    clipboard.proceed()
    offered(clipboard, paster, LONG)
    assert pasted(clipboard, paster, "UTF8_STRING") == LONG
    for program in (*idlers, paster):
        program.close()


def test_a_text_that_is_being_taken_is_given_whole_when_another_is_offered(
    server: XServer, clipboard: X11Clipboard
) -> None:
    paster = Paster(server.display)
    offered(clipboard, paster, LONG)
    paster.want("UTF8_STRING")
    pump(clipboard, paster, until=lambda: paster.kind == "INCR")
    clipboard.offer(b"short")
    pump(clipboard, paster, until=lambda: paster.answered)
    assert paster.value == LONG
    paster.close()


def test_windows_of_ours_that_somebody_destroys(server: XServer, clipboard: X11Clipboard, clock: Clock) -> None:
    paster = Paster(server.display)
    offered(clipboard, paster, b"text")
    paster.display.create_resource_object("window", owner(paster)).destroy()
    paster.sync()
    assert pasted(clipboard, paster, "UTF8_STRING") is None
    mute = Copier(server.display, {}, mute=True)
    answers: list[bytes] = []
    clipboard.fetch(256_000, answers.append)
    pump(clipboard, paster, until=lambda: len(paster.root.query_tree().children) >= 3)
    for window in paster.root.query_tree().children:
        if window.id not in (paster.own.id, mute.owner.id):
            window.destroy()
    paster.sync()
    clock.now += FETCH_SECONDS
    clipboard.proceed()
    assert answers == [b""]
    mute.close()
    offered(clipboard, paster, b"again")
    assert pasted(clipboard, paster, "UTF8_STRING") == b"again"
    paster.close()


def test_events_that_programs_make_up_do_no_harm(server: XServer, clipboard: X11Clipboard) -> None:
    """Floods of them, with every number that means something here, do not stop the clipboard nor end it."""
    dice = random.Random(4)
    paster = Paster(server.display)
    stranger = Copier(server.display, {"UTF8_STRING": b"theirs"}, knows_targets=False)
    for number in range(30):
        if number % 2:
            offered(clipboard, paster, LONG)
        else:
            clipboard.fetch(256_000, lambda _: None)
        windows = [window.id for window in paster.root.query_tree().children]
        atoms = [paster.atom(name) for name in (
            "CLIPBOARD", "PRIMARY", "UTF8_STRING", "STRING", "TARGETS", "MULTIPLE", "INCR", "_ODYSSEY_CLIPBOARD", "X",
        )]  # fmt: skip
        words = [0, 1, 0xFFFFFFFF, *windows, *atoms]
        for _ in range(40):
            code = dice.choice([X.SelectionNotify, X.SelectionRequest, X.SelectionClear, X.PropertyNotify, 35, 0x7F])
            values = [dice.choice(words) for _ in range(7)]
            data = struct.pack("=BBH7I", code, dice.randrange(2), 0, *values)
            for window in set(windows) - {paster.own.id, stranger.owner.id}:
                _send(paster, window, data)
        paster.sync()
        clipboard.proceed()
        paster.turn()
        stranger.turn()
    pump(clipboard, paster, stranger, until=lambda: not clipboard._events)
    stranger.close()
    offered(clipboard, paster, b"text")
    quiet = Paster(server.display)
    assert pasted(clipboard, quiet, "UTF8_STRING") == b"text"
    quiet.close()
    paster.close()


def _send(program: Program, window: int, data: bytes) -> None:
    wire: Any = program.connection
    wire.send_raw(struct.pack("=BBHII", 25, 0, 11, window, 0) + data, 1)


def test_an_x_server_that_is_gone(clock: Clock) -> None:
    with XServer(400, 300) as server:
        clipboard = X11Clipboard(server.display, clock)
        program = Copier(server.display, {}, mute=True)
        answers: list[bytes] = []
        clipboard.fetch(256_000, answers.append)
        clipboard.proceed()
        program.close()
        server.kill()
    clipboard.proceed()
    assert answers == [b""]
    clipboard.offer(b"text")
    clipboard.fetch(256_000, answers.append)
    assert answers == [b"", b""]
    clipboard.close()
