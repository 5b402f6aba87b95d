"""A window owes at most one message of each kind, in the order that the protocol knows."""

import numpy as np

from guiagent.core.buffers import Buffer
from guiagent.core.source_events import SizeHints
from guiagent.core.window import DAMAGE_LIMIT, Due, Window
from guiproto.messages import (
    Configure,
    Create,
    Cursor,
    Dock,
    Map,
    ShmImage,
    Unmap,
    WindowDump,
    WindowFlag,
    WindowFlags,
    WindowHints,
    WmClass,
    WmName,
)


def _window() -> Window:
    return Window(5, 10, 20, 300, 200, override_redirect=False)


def _buffer(width: int = 300, height: int = 200) -> Buffer:
    return Buffer(width, height, np.arange(-(-width * height * 4 // 4096), dtype=np.uint32), 0)


def test_a_new_window_is_only_created() -> None:
    assert _window().messages(0) == [
        Create(5, 10, 20, 300, 200, 0, 0),
        Configure(5, 10, 20, 300, 200, 0),
    ]


def test_a_complete_window_is_told_in_order() -> None:
    window = _window()
    window.mapped = True
    window.title, window.class_, window.hints = "t", ("name", "Class"), SizeHints(flags=16, min_width=3)
    window.cursor, window.state, window.buffer = 68, WindowFlag.FULLSCREEN, _buffer()
    messages = window.messages(parent=4)
    assert [type(message) for message in messages] == [
        Create, WindowHints, WmName, WmClass, Configure, WindowFlags, Cursor, Map, WindowDump, ShmImage
    ]  # fmt: skip
    assert WindowFlags(5, WindowFlag.FULLSCREEN, 0) in messages
    assert Cursor(5, 0x100 + 68) in messages
    assert Map(5, 4, 0) in messages
    assert messages[-1] == ShmImage(5, 0, 0, 300, 200)
    assert window.messages(0) == []


def test_what_changes_twice_is_said_once() -> None:
    window = _window()
    window.messages(0)
    for number in range(1000):
        window.title = str(number)
        window.due |= Due.NAME
    (message,) = window.messages(0)
    assert isinstance(message, WmName)
    assert message.data.rstrip(b"\0") == b"999"


def test_opposite_wishes_cancel() -> None:
    window = _window()
    window.messages(0)
    window.wishes(WindowFlag.FULLSCREEN, WindowFlag(0))
    window.wishes(WindowFlag.DEMANDS_ATTENTION, WindowFlag.FULLSCREEN)
    assert window.messages(0) == [WindowFlags(5, WindowFlag.DEMANDS_ATTENTION, WindowFlag.FULLSCREEN)]


def test_a_window_that_was_hidden_and_shown_again_is_said_to_be() -> None:
    window = _window()
    window.mapped, window.buffer = True, _buffer()
    window.messages(0)
    window.due |= Due.UNMAP | Due.MAP
    window.override_redirect = True
    window.buffer = _buffer()
    messages = window.messages(0)
    assert [type(message) for message in messages] == [Unmap, Map, WindowDump, ShmImage]
    assert messages[1] == Map(5, 0, 1)


def test_a_docked_window_is_docked_instead_of_mapped() -> None:
    window = _window()
    window.mapped = window.docked = True
    assert Dock(5) in window.messages(0)
    assert window.shown


def test_damage_of_a_buffer_that_was_not_dumped_is_covered_by_the_dump() -> None:
    window = _window()
    window.mapped = True
    window.messages(0)
    window.buffer = _buffer()
    window.damaged(window.buffer, [(1, 1, 5, 5)])
    messages = window.messages(0)
    assert [type(message) for message in messages] == [WindowDump, ShmImage]
    assert messages[1] == ShmImage(5, 0, 0, 300, 200)


def test_damage_is_bounded_and_still_covers_everything() -> None:
    window = _window()
    window.mapped, buffer = True, _buffer()
    window.buffer = buffer
    window.messages(0)
    painted = np.zeros((200, 300), bool)
    wanted = np.zeros((200, 300), bool)
    for number in range(500):
        x, y = number * 37 % 290, number * 53 % 190
        window.damaged(buffer, [(x, y, 7, 5)])
        wanted[y : y + 5, x : x + 7] = True
        assert len(window.damage) <= DAMAGE_LIMIT
    for message in window.messages(0):
        assert isinstance(message, ShmImage)
        painted[message.y : message.y + message.height, message.x : message.x + message.width] = True
    assert (painted | ~wanted).all()
