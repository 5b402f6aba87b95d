"""Conversations: what the source reports, what the daemon hears of it, and what the daemon makes the source do."""

import numpy as np
import pytest

from guiagent.core.buffers import Buffer
from guiagent.core.operations import Capture, Forget, Operation, ReleaseAll
from guiagent.core.source_events import (
    Configured,
    Created,
    CursorShown,
    Destroyed,
    Docked,
    FrameReady,
    Hinted,
    Mapped,
    SizeHints,
    SourceEvent,
    StateWished,
    Titled,
    TransientFor,
    Unmapped,
)
from guiagent.core.tracker import Tracker
from guiproto.messages import (
    Close,
    Configure,
    Create,
    Cursor,
    Destroy,
    Dock,
    Focus,
    KeymapNotify,
    KeyPress,
    Map,
    Message,
    ShmImage,
    Unmap,
    WindowDump,
    WindowDumpAck,
    WindowFlag,
    WindowFlags,
    WindowHints,
    WmName,
)


def _buffer(width: int = 100, height: int = 50) -> Buffer:
    return Buffer(width, height, np.arange(5, dtype=np.uint32), 0)


class Talk:
    """A tracker with a daemon of version 1.`minor` that listens."""

    def __init__(self, minor: int | None = 8) -> None:
        self.tracker = Tracker()
        if minor is not None:
            self.tracker.connected(minor, [])

    def source(self, *events: SourceEvent) -> list[Operation]:
        return [operation for event in events for operation in self.tracker.handle(event)]

    def daemon(self, *messages: Message) -> list[Operation]:
        return [operation for message in messages for operation in self.tracker.receive(message)]

    def heard(self) -> list[Message]:
        messages = []
        while more := self.tracker.take():
            messages += more
        return messages

    def kinds(self) -> list[type[Message]]:
        return [type(message) for message in self.heard()]

    def window(self, number: int = 1, *, x: int = 0) -> Buffer:
        """A mapped window of 100 x 50 with a buffer that the daemon has acknowledged."""
        buffer = _buffer()
        self.source(Created(number, x, 0, 100, 50, False), Mapped(number, False), FrameReady(number, buffer, [_ALL]))
        self.heard()
        self.daemon(WindowDumpAck(number))
        return buffer


_ALL = (0, 0, 100, 50)


def test_a_window_appears() -> None:
    talk = Talk()
    assert talk.source(Created(1, 3, 4, 100, 50, False), Hinted(1, SizeHints(16, 5, 5)), Titled(1, "t")) == []
    assert talk.kinds() == [Create, WindowHints, WmName, Configure]
    assert talk.source(Mapped(1, False)) == [Capture(1)]
    assert talk.heard() == [WindowFlags(1, 0, 0), Map(1, 0, 0)]
    buffer = _buffer()
    assert talk.source(FrameReady(1, buffer, [_ALL])) == []
    dump, image = talk.heard()
    assert isinstance(dump, WindowDump)
    assert (dump.width, dump.height, dump.kind, dump.bpp) == (100, 50, 0, 32)
    assert dump.refs is buffer.refs
    assert image == ShmImage(1, 0, 0, 100, 50)


def test_later_damage_is_only_painted() -> None:
    talk = Talk()
    buffer = talk.window()
    talk.source(FrameReady(1, buffer, [(1, 2, 3, 4)]), FrameReady(1, buffer, [(50, 2, 3, 4)]))
    assert talk.heard() == [ShmImage(1, 1, 2, 3, 4), ShmImage(1, 50, 2, 3, 4)]


def test_a_window_disappears_and_its_buffer_is_free_at_once_if_nobody_reads_it() -> None:
    talk = Talk()
    buffer = talk.window()
    assert talk.source(Unmapped(1)) == [Forget(buffer)]
    assert talk.heard() == [Unmap(1)]
    assert talk.source(Destroyed(1)) == []
    assert talk.heard() == [Destroy(1)]
    assert talk.daemon(Destroy(1)) == []


def test_a_buffer_that_may_be_read_lives_until_its_acknowledgement() -> None:
    talk = Talk()
    buffer = _buffer()
    talk.source(Created(1, 0, 0, 100, 50, False), Mapped(1, False), FrameReady(1, buffer, [_ALL]))
    talk.heard()
    assert talk.source(Destroyed(1)) == []
    assert talk.heard() == [Unmap(1), Destroy(1)]
    assert talk.daemon(WindowDumpAck(1)) == [Forget(buffer)]
    assert talk.daemon(WindowDumpAck(1)) == []


def test_a_daemon_older_than_acknowledgements_holds_no_buffer() -> None:
    talk = Talk(minor=6)
    buffer = _buffer()
    talk.source(Created(1, 0, 0, 100, 50, False), Mapped(1, False), FrameReady(1, buffer, [_ALL]))
    talk.heard()
    assert talk.source(Unmapped(1)) == [Forget(buffer)]


def test_a_resized_window_gets_a_new_buffer_and_gives_the_old_one_back() -> None:
    talk = Talk()
    old, new = talk.window(), _buffer(200, 60)
    assert talk.source(Configured(1, 0, 0, 200, 60, False)) == [Capture(1)]
    assert talk.heard() == [Configure(1, 0, 0, 200, 60, 0)]
    assert talk.source(FrameReady(1, new, [(0, 0, 200, 60)])) == [], "the daemon still shows it"
    assert talk.kinds() == [WindowDump, ShmImage]
    assert talk.daemon(WindowDumpAck(1)) == [Forget(old)]


def test_a_resized_window_keeps_an_old_buffer_that_is_still_being_mapped() -> None:
    talk = Talk()
    old, new = _buffer(), _buffer(200, 60)
    talk.source(Created(1, 0, 0, 100, 50, False), Mapped(1, False), FrameReady(1, old, [_ALL]))
    talk.heard()
    talk.source(Configured(1, 0, 0, 200, 60, False))
    assert talk.source(FrameReady(1, new, [(0, 0, 200, 60)])) == []
    talk.heard()
    assert talk.daemon(WindowDumpAck(1)) == [], "now the daemon shows it"
    assert talk.daemon(WindowDumpAck(1)) == [Forget(old)]


def test_two_sizes_before_the_daemon_hears_of_either_leave_it_the_buffer_it_shows() -> None:
    talk = Talk()
    shown, skipped, new = talk.window(), _buffer(200, 60), _buffer(300, 70)
    talk.source(Configured(1, 0, 0, 200, 60, False))
    assert talk.source(FrameReady(1, skipped, [(0, 0, 200, 60)])) == []
    talk.source(Configured(1, 0, 0, 300, 70, False))
    assert talk.source(FrameReady(1, new, [(0, 0, 300, 70)])) == [Forget(skipped)]
    talk.heard()
    assert talk.daemon(WindowDumpAck(1)) == [Forget(shown)]


def test_a_daemon_that_is_late_with_acknowledgements_stops_new_buffers_not_the_window() -> None:
    talk = Talk()
    buffers = [_buffer(), _buffer(101, 50), _buffer(103, 50)]
    talk.source(Created(1, 0, 0, 100, 50, False), Mapped(1, False), FrameReady(1, buffers[0], [_ALL]))
    talk.heard()
    assert talk.source(Configured(1, 0, 0, 101, 50, False)) == [Capture(1)]
    talk.source(FrameReady(1, buffers[1], [(0, 0, 101, 50)]))
    talk.heard()
    assert talk.source(Configured(1, 0, 0, 102, 50, False)) == []
    assert talk.source(Configured(1, 0, 0, 103, 50, False)) == []
    assert talk.heard() == [Configure(1, 0, 0, 103, 50, 0)]
    assert talk.daemon(WindowDumpAck(1)) == [Capture(1)]
    assert talk.daemon(WindowDumpAck(1)) == [Forget(buffers[0])]


def test_a_move_needs_no_new_buffer() -> None:
    talk = Talk()
    talk.window()
    assert talk.source(Configured(1, 7, 8, 100, 50, False)) == []
    assert talk.heard() == [Configure(1, 7, 8, 100, 50, 0)]


def test_a_restacked_window_is_no_news() -> None:
    talk = Talk()
    talk.window()
    assert talk.source(Configured(1, 0, 0, 100, 50, False)) == []
    assert talk.heard() == []


def test_an_order_of_the_daemons_is_answered_when_it_is_carried_out() -> None:
    talk = Talk()
    talk.window()
    assert talk.daemon(Configure(1, 5, 6, 100, 50, 0)) == [Configure(1, 5, 6, 100, 50, 0)]
    assert talk.heard() == []
    talk.source(Configured(1, 5, 6, 100, 50, False))
    assert talk.heard() == [Configure(1, 5, 6, 100, 50, 0)]
    talk.source(Configured(1, 5, 6, 100, 50, False))
    assert talk.heard() == []


def test_an_order_that_changes_nothing_is_answered_too() -> None:
    talk = Talk()
    talk.window()
    assert talk.daemon(Configure(1, 0, 0, 100, 50, 0)) == [Configure(1, 0, 0, 100, 50, 0)]
    assert talk.heard() == [Configure(1, 0, 0, 100, 50, 0)]


def test_an_order_that_is_not_obeyed_is_answered_with_what_is() -> None:
    talk = Talk()
    talk.window()
    talk.daemon(Configure(1, 5, 6, 100, 50, 0))
    talk.source(Configured(1, 0, 0, 100, 50, False))
    assert talk.heard() == [Configure(1, 0, 0, 100, 50, 0)]


@pytest.mark.parametrize("size", [(0, 0), (2**32 - 1, 2**32 - 1), (16385, 6145)])
def test_impossible_sizes_are_made_possible(size: tuple[int, int]) -> None:
    talk = Talk()
    talk.window()
    (order,) = talk.daemon(Configure(1, 2**31 - 1, -(2**31), *size, 0))
    assert isinstance(order, Configure)
    assert 1 <= order.width <= 16384
    assert 1 <= order.height <= 6144
    assert (order.x, order.y) == (32767, -32767)


def test_input_reaches_known_windows_only() -> None:
    talk = Talk()
    talk.window()
    key, focus, close = KeyPress(1, 2, 0, 0, 0, 38), Focus(1, 9, 0, 0), Close(1)
    assert talk.daemon(key, focus, close) == [key, focus, close]
    assert talk.daemon(KeyPress(2, 2, 0, 0, 0, 38), Focus(2, 9, 0, 0), Close(2)) == []
    keymap = KeymapNotify(0, bytes(32))
    assert talk.daemon(keymap) == [keymap]


def test_states_that_the_desktop_gave_are_told_to_the_next_daemon() -> None:
    talk = Talk()
    talk.window()
    message = WindowFlags(1, WindowFlag.FULLSCREEN, 0)
    assert talk.daemon(message) == [message]
    assert talk.heard() == []
    talk.tracker.disconnected()
    talk.tracker.connected(8, [1])
    assert WindowFlags(1, WindowFlag.FULLSCREEN, 0) in talk.heard()


def test_a_restored_window_is_not_minimised_any_more() -> None:
    talk = Talk()
    talk.window()
    talk.source(StateWished(1, WindowFlag.MINIMIZE, WindowFlag(0)))
    assert talk.heard() == [WindowFlags(1, WindowFlag.MINIMIZE, 0)]
    assert talk.daemon(Map(1, 12345, 0)) == [Map(1, 12345, 0)]
    assert talk.tracker.windows[1].state == WindowFlag(0)


def test_a_transient_parent_is_announced_before_its_dialog_is_shown() -> None:
    talk = Talk()
    talk.source(Created(1, 0, 0, 9, 9, False), TransientFor(1, 2), Mapped(1, False), Created(2, 0, 0, 9, 9, False))
    messages = talk.heard()
    assert messages.index(Create(2, 0, 0, 9, 9, 0, 0)) < messages.index(Map(1, 2, 0))


def test_a_parent_that_is_no_window_of_ours_is_not_named() -> None:
    talk = Talk()
    talk.source(Created(1, 0, 0, 9, 9, False), TransientFor(1, 77), Mapped(1, False))
    assert Map(1, 0, 0) in talk.heard()


def test_a_shown_window_tells_of_another_owner_once() -> None:
    talk = Talk()
    talk.window(1)
    talk.window(2)
    talk.heard()
    talk.source(TransientFor(1, 2), TransientFor(1, 2))
    assert talk.heard() == [Map(1, 2, 0)]
    talk.source(TransientFor(1, 2))
    assert talk.heard() == []


def test_windows_that_are_each_others_parents_do_no_harm() -> None:
    talk = Talk()
    count = 500
    for number in range(1, count + 1):
        talk.source(Created(number, 0, 0, 9, 9, False), TransientFor(number, number % count + 1), Mapped(number, False))
    messages = talk.heard()
    assert sum(isinstance(message, Create) for message in messages) == count


def test_windows_are_shown_in_the_order_in_which_they_came_up() -> None:
    talk = Talk()
    talk.source(Created(1, 0, 0, 9, 9, False), Created(2, 0, 0, 9, 9, False))
    talk.heard()
    talk.source(Titled(2, "changed first"), Mapped(1, False), Mapped(2, False))
    assert [message.window for message in talk.heard() if isinstance(message, Map)] == [1, 2]


def test_a_reused_id_waits_for_the_echo_of_its_destruction() -> None:
    talk = Talk()
    talk.window()
    talk.source(Destroyed(1), Created(1, 5, 5, 20, 20, False))
    assert talk.heard() == [Unmap(1), Destroy(1)]
    assert talk.daemon(Close(1)) == []
    talk.source(Mapped(1, True))
    assert talk.heard() == []
    talk.daemon(Destroy(1))
    assert Create(1, 5, 5, 20, 20, 0, 1) in talk.heard()


def test_a_daemon_without_echoes_is_not_waited_for() -> None:
    talk = Talk(minor=4)
    talk.window()
    talk.source(Destroyed(1), Created(1, 5, 5, 20, 20, False))
    assert talk.heard()[:3] == [Unmap(1), Destroy(1), Create(1, 5, 5, 20, 20, 0, 0)]


def test_cursors_and_the_notification_area() -> None:
    talk = Talk()
    talk.source(Created(1, 0, 0, 9, 9, False), Docked(1), Mapped(1, False), CursorShown(1, 152))
    messages = talk.heard()
    assert Dock(1) in messages
    assert Cursor(1, 0x100 + 152) in messages
    assert not any(isinstance(message, Map) for message in messages)
    talk.source(CursorShown(1, None), CursorShown(1, None))
    assert talk.heard() == [Cursor(1, 0)]


def test_nobody_listens() -> None:
    talk = Talk(minor=None)
    assert talk.source(Created(1, 0, 0, 100, 50, False), Mapped(1, False)) == [Capture(1)]
    assert talk.heard() == []


def test_a_new_daemon_hears_everything_bottom_to_top() -> None:
    talk = Talk()
    talk.window(1)
    buffer = talk.window(2)
    talk.window(3)
    assert talk.tracker.disconnected() == [ReleaseAll()]
    assert talk.heard() == []
    talk.tracker.connected(8, [3, 1, 99])
    messages = talk.heard()
    assert [message.window for message in messages if isinstance(message, Create)] == [3, 1, 2]
    assert [type(message) for message in messages if message.window == 2] == [
        Create, Configure, WindowFlags, Map, WindowDump, ShmImage
    ]  # fmt: skip
    assert talk.source(Unmapped(2)) == []
    assert talk.daemon(WindowDumpAck(2)) == [Forget(buffer)]


def test_at_a_disconnect_everything_unacknowledged_is_free() -> None:
    talk = Talk()
    old, new = _buffer(), _buffer(200, 60)
    talk.source(Created(1, 0, 0, 100, 50, False), Mapped(1, False), FrameReady(1, old, [_ALL]))
    talk.heard()
    talk.source(Configured(1, 0, 0, 200, 60, False), FrameReady(1, new, [(0, 0, 200, 60)]))
    talk.heard()
    talk.source(Configured(1, 0, 0, 300, 60, False))
    assert talk.tracker.disconnected() == [ReleaseAll(), Forget(old), Capture(1)]


def test_frames_that_come_too_late_are_given_back() -> None:
    talk = Talk()
    talk.window()
    late = _buffer()
    talk.source(Unmapped(1))
    assert talk.source(FrameReady(1, late, [_ALL])) == [Forget(late)]
    assert talk.source(FrameReady(9, late, [_ALL])) == [Forget(late)]


def test_a_window_that_flickers_while_nobody_reads_owes_little() -> None:
    talk = Talk()
    talk.window()
    for number in range(1000):
        talk.source(Unmapped(1), Titled(1, str(number)), Configured(1, number, 0, 100, 50, False), Mapped(1, False))
    assert talk.kinds() == [WmName, Configure, WindowFlags, Unmap, Map]


def test_a_thousand_windows_that_come_and_go_unseen_are_not_mentioned() -> None:
    talk = Talk()
    for number in range(1, 1001):
        talk.source(Created(number, 0, 0, 9, 9, False), Mapped(number, True), Destroyed(number))
    assert talk.heard() == []


def test_unknown_messages_are_ignored() -> None:
    talk = Talk()
    talk.window()
    assert talk.daemon(ShmImage(1, 0, 0, 1, 1)) == []
