"""What is particular about windows of an X server."""

import random
import select
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from Xlib import X, Xatom
from Xlib.protocol import event

from guiagent.core.source_events import Created, Destroyed, Mapped, SourceEvent
from guiagent.sources.x11.source import X11Source
from tests.conformance.sources.guest import Program
from tests.guiagent.fakes import MemorySharer
from tests.xserver import XServer, wait_until


@contextmanager
def _source(server: XServer, *, keep_screen: bool = False) -> Iterator[X11Source]:
    source = X11Source(server.display, MemorySharer(), keep_screen=keep_screen)
    try:
        yield source
    finally:
        source.close()


def _until(source: X11Source, kind: type[SourceEvent], window: int) -> list[SourceEvent]:
    seen: list[SourceEvent] = []

    def look() -> bool:
        source.flush()
        seen.extend(source.events())
        return any(isinstance(event, kind) and event.window == window for event in seen)

    wait_until(look, f"{kind.__name__} of {window:#x}")
    return seen


@pytest.mark.parametrize("keep_screen", [True, False])
def test_whether_the_guests_own_screen_shows_windows(x_server: XServer, program: Program, keep_screen: bool) -> None:
    with _source(x_server, keep_screen=keep_screen) as source:
        window = program.window(50, 60, 20, 20, background_pixel=0xABCDEF)
        window.map()
        program.sync()
        _until(source, Mapped, window.id)
        image = program.root.get_image(55, 65, 1, 1, X.ZPixmap, 0xFFFFFFFF)
        assert (image.data[:3] == b"\xef\xcd\xab") is keep_screen


def test_ends_that_a_program_made_up_are_not_believed(x_server: XServer, program: Program) -> None:
    with _source(x_server) as source:
        window = program.window(0, 0, 20, 20)
        window.map()
        program.sync()
        _until(source, Mapped, window.id)
        for fake in (
            event.DestroyNotify(event=program.root, window=window),
            event.UnmapNotify(event=program.root, window=window, from_configure=0),
        ):
            program.root.send_event(fake, event_mask=X.SubstructureNotifyMask)
        marker = program.window(0, 0, 1, 1)
        program.sync()
        seen = _until(source, Created, marker.id)
        assert not [event for event in seen if event.window == window.id and not isinstance(event, Created)]
        window.destroy()
        program.sync()
        _until(source, Destroyed, window.id)


def test_answers_that_a_program_made_up_are_not_believed(x_server: XServer, program: Program) -> None:
    with _source(x_server) as source:
        believed: list[bytes] = []
        codes = list(source._raw)
        source._raw = dict.fromkeys(codes, believed.append)
        manager = program.root.get_full_property(program.atom("_NET_SUPPORTING_WM_CHECK"), Xatom.WINDOW).value[0]
        for code in codes:
            program.connection.send_raw(struct.pack("=BBHIIB31x", 25, 0, 11, manager, 0, code), 1)
        marker = program.window(0, 0, 1, 1)
        program.sync()
        _until(source, Created, marker.id)
        assert not believed


def test_events_of_any_content_do_no_harm(x_server: XServer, program: Program) -> None:
    dice = random.Random(5)
    with _source(x_server) as source:
        window = program.window(0, 0, 20, 20)
        window.map()
        program.sync()
        _until(source, Mapped, window.id)
        manager = program.root.get_full_property(program.atom("_NET_SUPPORTING_WM_CHECK"), Xatom.WINDOW).value[0]
        kinds = [X.ClientMessage] * 20 + list(range(2, 128))
        for number in range(4000):
            body = bytearray(dice.randbytes(32))
            body[0] = dice.choice(kinds)
            body[1] = dice.choice([8, 16, 32, body[1]])
            if number % 2:
                body[4:8] = dice.choice([0, window.id, program.root.id]).to_bytes(4, "little")
                body[8:12] = program.atom(dice.choice(["_NET_WM_STATE", "WM_CHANGE_STATE"])).to_bytes(4, "little")
            to, mask = dice.choice([(program.root.id, X.SubstructureNotifyMask), (manager, 0)])
            program.connection.send_raw(struct.pack("=BBHII", 25, 0, 11, to, mask) + body, 1)
            if number % 100 == 0:
                program.sync()
                source.events()
                source.flush()
        marker = program.window(0, 0, 1, 1)
        program.sync()
        _until(source, Created, marker.id)


def test_another_window_manager_is_left_in_place(x_server: XServer, program: Program) -> None:
    check = program.atom("_NET_SUPPORTING_WM_CHECK")
    theirs = program.window(0, 0, 1, 1)
    for owner in (program.root, theirs):
        owner.change_property(check, Xatom.WINDOW, 32, [theirs.id])
    program.sync()
    with _source(x_server):
        assert list(program.root.get_full_property(check, Xatom.WINDOW).value) == [theirs.id]
    theirs.destroy()
    program.sync()
    with _source(x_server):
        assert list(program.root.get_full_property(check, Xatom.WINDOW).value) != [theirs.id]


def test_a_program_that_draws_for_ever_does_not_wake_a_source_that_is_held(x_server: XServer, program: Program) -> None:
    """Once all of a window is known to be damaged, drawing into it is no news while nobody takes frames."""
    with _source(x_server) as source:
        window = program.window(0, 0, 100, 100, background_pixel=0)
        window.map()
        program.fill(window, 1, 0, 0, 100, 100)
        program.sync()
        _until(source, Mapped, window.id)
        source.events()
        for color in range(50):
            program.fill(window, color, 0, 0, 100, 100)
        program.sync()
        assert select.select([source.fileno()], [], [], 0) == ([], [], [])
