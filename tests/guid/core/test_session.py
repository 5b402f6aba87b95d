"""The rules about messages and windows, one conversation each, in the order of protocol.md's table of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from guid.core.commands import (
    AttachBuffer,
    Command,
    ConfigureWindow,
    CreateWindow,
    DestroyWindow,
    DetachBuffer,
    DockWindow,
    LimitReached,
    Log,
    MapWindow,
    Notify,
    Paint,
    SendToAgent,
    SetClass,
    SetCursor,
    SetHints,
    SetState,
    SetTitle,
    SetTransientFor,
    UnmapWindow,
)
from guid.core.config import Limit
from guid.core.host_events import CloseEvent, ConfiguredEvent, MappedEvent, ScreenEvent, ScreenInfo, StateEvent
from guid.core.trusted import (
    CursorName,
    Geometry,
    HintFlags,
    SizeHints,
    StateFlags,
    Title,
    WindowClass,
    WindowId,
)
from guiproto.connection import AgentHello, DaemonConnection
from guiproto.errors import PeerMisbehaved
from guiproto.messages import (
    ClipboardData,
    Close,
    Configure,
    Create,
    Cursor,
    DamageBatch,
    Destroy,
    Dock,
    Map,
    Message,
    MfnDump,
    Motion,
    ShmImage,
    Unmap,
    WindowDumpAck,
    WindowFlags,
    WindowHints,
    WmClass,
    WmName,
)
from tests.guid.core.playbook import CONFIG, PLACE, SMALL, WINDOW, Playbook, dump, tell

OTHER = WindowId(2)
RECORDING = Path(__file__).parents[2] / "data" / "xterm-with-menu.hex"


def rects(*rows: tuple[int, int, int, int]) -> NDArray[np.int32]:
    return np.array(rows, np.int32).reshape(-1, 4)


# --- window lookup ---


def test_window_lookup_second_create_of_an_id() -> None:
    Playbook().with_window().agent(Create(WINDOW, 0, 0, 5, 5, 0, 0)).breaks("window exists already")


@pytest.mark.parametrize(
    "message",
    [
        Destroy(9), Map(9, 0, 0), Unmap(9), Configure(9, 0, 0, 5, 5, 0), dump(9, 5, 5), ShmImage(9, 0, 0, 5, 5),
        WmName(9, bytes(128)), WmClass(9, bytes(64), bytes(64)), WindowHints(9, *[0] * 9), WindowFlags(9, 0, 0),
        Cursor(9, 0), Dock(9),
    ],
    ids=lambda message: type(message).__name__,
)  # fmt: skip
def test_window_lookup_unknown_id(message: Message) -> None:
    Playbook().with_window().agent(message).breaks("unknown window")


def test_window_lookup_after_destroy() -> None:
    book = Playbook().with_window()
    book.agent(Destroy(WINDOW)).does(DestroyWindow(WINDOW), tell(Destroy(WINDOW)))
    book.agent(Unmap(WINDOW)).breaks("unknown window")


def test_an_id_can_be_used_again_after_destroy() -> None:
    book = Playbook().with_window()
    book.agent(Destroy(WINDOW), Create(WINDOW, 50, 50, 5, 5, 0, 0)).does(
        DestroyWindow(WINDOW), tell(Destroy(WINDOW)), CreateWindow(WINDOW, Geometry(50, 50, 5, 5), False)
    )
    assert book.window()["mapped"] is False


# --- unknown type ---


@pytest.mark.parametrize("message", [Close(1), Motion(1, 0, 0, 0, 0), WindowDumpAck(1)])
def test_unknown_type_is_what_only_a_daemon_says(message: Message) -> None:
    Playbook().with_window().agent(message).breaks("unknown message type")


# --- CREATE ---


def test_create_ignores_the_parent() -> None:
    Playbook().agent(Create(WINDOW, 100, 100, 200, 100, 77, 0)).does(CreateWindow(WINDOW, PLACE, False))


def test_create_of_no_size_is_of_one_pixel() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 0, 0, 0, 0)).does(CreateWindow(WINDOW, Geometry(100, 100, 1, 1), False))


def test_create_of_a_negative_size() -> None:
    Playbook().agent(Create(WINDOW, 0, 0, 2**31, 5, 0, 0)).breaks("CREATE size")


def test_create_is_where_the_program_tries_places_and_map_is_where_they_count() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 0, 0, 1, 1, 0, 0)).does(CreateWindow(WINDOW, Geometry(0, 0, 1, 1), False))
    book.agent(Configure(WINDOW, 0, 0, 200, 100, 0)).does(ConfigureWindow(WINDOW, Geometry(0, 0, 200, 100)))
    book.agent(Map(WINDOW, 0, 0)).does(
        ConfigureWindow(WINDOW, Geometry(3, 33, 200, 100)),
        tell(Configure(WINDOW, 3, 33, 200, 100, 0)),
        MapWindow(WINDOW, False, None),
    )


def test_create_override_redirect_is_kept_on_screen_whole_before_it_shows() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 950, 780, 200, 100, 0, 1)).does(CreateWindow(WINDOW, Geometry(950, 780, 200, 100), True))
    book.agent(Map(WINDOW, 0, 1)).does(
        ConfigureWindow(WINDOW, Geometry(797, 697, 200, 100)),
        tell(Configure(WINDOW, 797, 697, 200, 100, 1)),
        MapWindow(WINDOW, True, None),
    )


# --- DESTROY ---


def test_destroy_is_echoed_and_clears_transient_for() -> None:
    book = Playbook().with_window()
    book.agent(Create(OTHER, 200, 200, 50, 50, 0, 0), Map(OTHER, WINDOW, 0))
    assert book.window(OTHER)["transient_for"] == WINDOW
    book.agent(Destroy(WINDOW)).does(DestroyWindow(WINDOW), tell(Destroy(WINDOW)))
    assert book.window(OTHER)["transient_for"] is None


def test_damage_of_a_destroyed_window_is_not_painted() -> None:
    book = Playbook().with_window()
    book.agent(ShmImage(WINDOW, 0, 0, 5, 5), Destroy(WINDOW))
    book.painted().does()


# --- MAP ---


def test_map_is_ignored_if_mapped() -> None:
    Playbook().with_window().agent(Map(WINDOW, 0, 1)).does()


def test_map_of_a_mapped_window_changes_its_owner_only() -> None:
    book = Playbook().with_window().with_window(OTHER)
    book.agent(Map(OTHER, WINDOW, 1)).does(SetTransientFor(OTHER, WINDOW))
    book.agent(Map(OTHER, WINDOW, 0), Map(WINDOW, OTHER, 0), Map(WINDOW, 77, 0)).does()
    book.agent(Map(OTHER, 0, 0)).does(SetTransientFor(OTHER, None))


def test_map_is_ignored_if_docked() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 24, 24, 0, 0), Dock(WINDOW))
    book.agent(Map(WINDOW, 0, 0)).does()


def test_map_transient_only_for_a_window_of_this_vm() -> None:
    book = Playbook().with_window()
    book.agent(Create(OTHER, 200, 200, 50, 50, 0, 0))
    book.agent(Map(OTHER, 77, 0)).does(MapWindow(OTHER, False, None))
    book.agent(Unmap(OTHER), Map(OTHER, WINDOW, 0)).does(UnmapWindow(OTHER), MapWindow(OTHER, False, WINDOW))


def test_map_transient_never_in_circles() -> None:
    book = Playbook().with_window()
    book.agent(Unmap(WINDOW), Map(WINDOW, WINDOW, 0)).does(
        UnmapWindow(WINDOW), DetachBuffer(WINDOW), MapWindow(WINDOW, False, None)
    )
    book.agent(Create(OTHER, 200, 200, 50, 50, 0, 0), Map(OTHER, WINDOW, 0))
    book.agent(Unmap(WINDOW), Map(WINDOW, OTHER, 0)).does(UnmapWindow(WINDOW), MapWindow(WINDOW, False, None))


def test_map_revalidates_override_redirect() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 200, 100, 0, 0)).does(CreateWindow(WINDOW, PLACE, False))
    book.agent(Map(WINDOW, 0, 1)).does(MapWindow(WINDOW, True, None))
    book.agent(Unmap(WINDOW), Map(WINDOW, 0, 0)).does(UnmapWindow(WINDOW), MapWindow(WINDOW, False, None))


def test_map_brings_a_window_that_becomes_override_redirect_on_screen_first() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 900, 100, 200, 100, 0, 0)).of(CreateWindow)
    book.agent(Map(WINDOW, 0, 1)).does(
        ConfigureWindow(WINDOW, Geometry(797, 100, 200, 100)),
        tell(Configure(WINDOW, 797, 100, 200, 100, 1)),
        MapWindow(WINDOW, True, None),
    )


# --- UNMAP ---


def test_unmap_detaches_the_buffer_and_drops_damage() -> None:
    book = Playbook().with_window()
    book.agent(ShmImage(WINDOW, 0, 0, 5, 5))
    book.agent(Unmap(WINDOW)).does(UnmapWindow(WINDOW), DetachBuffer(WINDOW))
    book.painted().does()
    assert book.window()["buffer_width"] is None


def test_unmap_is_ignored_if_docked() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 24, 24, 0, 0), Dock(WINDOW))
    book.agent(Unmap(WINDOW)).does()


def test_unmap_reaches_a_minimised_window() -> None:
    book = Playbook().with_window(buffer=False)
    book.host(MappedEvent(WINDOW, False))
    book.agent(Unmap(WINDOW)).does(UnmapWindow(WINDOW))


# --- CONFIGURE ---


def test_configure_moves_and_resizes() -> None:
    book = Playbook().with_window()
    book.agent(Configure(WINDOW, 150, 160, 170, 180, 1)).does(ConfigureWindow(WINDOW, Geometry(150, 160, 170, 180)))
    assert book.window()["override_redirect"] is False, "CONFIGURE cannot change that"


def test_configure_to_where_it_is_needs_nothing() -> None:
    Playbook().with_window().agent(Configure(WINDOW, 100, 100, 200, 100, 0)).does()


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_configure_of_no_size(size: tuple[int, int]) -> None:
    Playbook().with_window().agent(Configure(WINDOW, 0, 0, *size, 0)).breaks("CONFIGURE size")


def test_configure_is_clamped() -> None:
    book = Playbook().with_window()
    book.agent(Configure(WINDOW, 100, 100, 2**32 - 1, 2**32 - 1, 0)).does(
        ConfigureWindow(WINDOW, Geometry(100, 100, 16384, 6144))
    )


def test_configure_of_a_docked_window_is_refused_and_answered() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 24, 24, 0, 0), Dock(WINDOW))
    book.agent(Configure(WINDOW, 100, 100, 500, 500, 0)).does(tell(Configure(WINDOW, 100, 100, 24, 24, 0)))


def test_configure_by_the_agent_keeps_the_border_visible() -> None:
    book = Playbook().with_window()
    book.agent(Configure(WINDOW, -50, 0, 200, 100, 0)).does(
        ConfigureWindow(WINDOW, Geometry(3, 33, 200, 100)), tell(Configure(WINDOW, 3, 33, 200, 100, 0))
    )


def test_configure_by_the_user_is_free() -> None:
    book = Playbook().with_window()
    book.host(ConfiguredEvent(WINDOW, Geometry(-50, 0, 200, 100))).does(tell(Configure(WINDOW, -50, 0, 200, 100, 0)))
    book.agent(Configure(WINDOW, -50, 0, 200, 100, 0)).does()
    book.agent(Configure(WINDOW, -50, 0, 250, 100, 0)).does(ConfigureWindow(WINDOW, Geometry(-50, 0, 250, 100)))


# --- MFNDUMP ---


def mfn_dump(count: int, off: int = 0) -> MfnDump:
    return MfnDump(WINDOW, 0, 32, 32, 24, off, count, 7, np.arange(count, dtype=np.uint32))


def test_mfndump_is_refused_where_frames_are_not_allowed() -> None:
    Playbook().with_window().agent(mfn_dump(1)).breaks("MFNDUMP")


def test_mfndump_is_attached_where_they_are() -> None:
    Playbook(allow_frames=True).with_window(buffer=False).agent(mfn_dump(3, off=8)).does(
        AttachBuffer(WINDOW, 32, 32, np.arange(2, dtype=np.uint32), frames=True, offset=8), tell(WindowDumpAck(WINDOW))
    )


def test_mfndump_offset() -> None:
    Playbook(allow_frames=True).with_window().agent(mfn_dump(3, off=4096)).breaks("MFNDUMP offset")


# --- WINDOW_DUMP ---


def test_dump_is_attached_with_as_many_references_as_needed_then_acknowledged() -> None:
    Playbook().with_window(buffer=False).agent(dump(WINDOW, 64, 64, pages=9)).does(
        AttachBuffer(WINDOW, 64, 64, np.arange(4, dtype=np.uint32)), tell(WindowDumpAck(WINDOW))
    )


def test_dump_of_an_unmapped_window_is_acknowledged_and_two_in_a_row_are() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 32, 32, 0, 0))
    one = AttachBuffer(WINDOW, 32, 32, np.arange(1, dtype=np.uint32))
    ack = tell(WindowDumpAck(WINDOW))
    book.agent(dump(WINDOW, 32, 32), dump(WINDOW, 32, 32)).does(one, ack, one, ack)


def test_dump_with_too_few_references() -> None:
    Playbook().with_window().agent(dump(WINDOW, 64, 64, pages=3)).breaks("WINDOW_DUMP references")
    Playbook().with_window().agent(dump(WINDOW, 64, 64, pages=0)).breaks("WINDOW_DUMP references")


def test_dump_type() -> None:
    Playbook().with_window().agent(dump(WINDOW, 64, 64, kind=1)).breaks("WINDOW_DUMP type")


def test_dump_size() -> None:
    Playbook().with_window().agent(dump(WINDOW, 16385, 1)).breaks("WINDOW_DUMP size")


def test_a_buffer_that_could_not_be_attached_leaves_the_window_empty() -> None:
    book = Playbook().with_window()
    book.agent(ShmImage(WINDOW, 0, 0, 5, 5))
    book.session.buffer_failed(WINDOW)
    book.painted().does()
    book.agent(ShmImage(WINDOW, 0, 0, 5, 5))
    book.painted().does()


# --- SHMIMAGE ---


def test_shmimage_is_painted_once_per_batch() -> None:
    book = Playbook().with_window()
    book.agent(ShmImage(WINDOW, 1, 2, 30, 40)).does()
    book.agent(ShmImage(WINDOW, 1, 2, 30, 40)).does()
    book.painted().does(Paint(WINDOW, rects((1, 2, 30, 40))))
    book.painted().does()
    assert book.window()["damage_rects"] == 1


def test_shmimage_is_dropped_before_map_and_without_buffer() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 32, 32, 0, 0), dump(WINDOW, 32, 32), ShmImage(WINDOW, 0, 0, 5, 5))
    book.agent(Map(WINDOW, 0, 0))
    book.painted().does()
    book = Playbook().with_window(buffer=False)
    book.agent(ShmImage(WINDOW, 0, 0, 5, 5), dump(WINDOW, 32, 32))
    book.painted().does()


def test_shmimage_of_a_docked_window_is_painted() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 24, 24, 0, 0), Dock(WINDOW), dump(WINDOW, 24, 24), ShmImage(WINDOW, 0, 0, 5, 5))
    book.painted().does(Paint(WINDOW, rects((0, 0, 5, 5))))


@pytest.mark.parametrize("bad", [(-1, 0, 5, 5), (0, -1, 5, 5), (0, 0, 2**31, 5), (0, 0, 5, 2**32 - 1)])
def test_shmimage_with_a_negative_number_is_dropped(bad: tuple[int, int, int, int]) -> None:
    book = Playbook().with_window()
    book.agent(ShmImage(WINDOW, *bad))
    book.painted().does()


def test_shmimage_is_clipped_to_the_buffer() -> None:
    book = Playbook().with_window()
    book.agent(ShmImage(WINDOW, 190, 90, 2**31 - 1, 2**31 - 1))
    book.painted().does(Paint(WINDOW, rects((190, 90, 10, 10))))


def test_shmimage_is_clipped_to_the_buffer_of_the_moment_it_is_painted() -> None:
    book = Playbook().with_window()
    book.agent(ShmImage(WINDOW, 0, 0, 200, 100), dump(WINDOW, 32, 16))
    book.painted().does(Paint(WINDOW, rects((0, 0, 32, 16))))


# --- WMNAME, WMCLASS, WINDOW_HINTS, WINDOW_FLAGS, CURSOR ---


def test_wmname_is_cleaned_and_told_once() -> None:
    book = Playbook().with_window()
    book.agent(WmName(WINDOW, b"a\x1b[1m\0zzz".ljust(128, b"\0"))).does(SetTitle(WINDOW, Title("a_[1m")))
    book.agent(WmName(WINDOW, b"a\x1b[1m".ljust(128, b"\0"))).does()
    assert book.window()["title"] == "a_[1m"


def test_wmname_in_utf8_where_allowed() -> None:
    name = WmName(WINDOW, "\u00fc\u202e".encode().ljust(128, b"\0"))
    Playbook(utf8_titles=True).with_window().agent(name).does(SetTitle(WINDOW, Title("\u00fc")))


def test_wmclass_is_ignored_when_mapped() -> None:
    message = WmClass(WINDOW, b"XTerm".ljust(64, b"\0"), b"xterm".ljust(64, b"\0"))
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 200, 100, 0, 0))
    book.agent(message).does(SetClass(WINDOW, WindowClass(name="xterm", class_="XTerm")))
    book.agent(Map(WINDOW, 0, 0), message).does(MapWindow(WINDOW, False, None))


def test_window_hints_bad_ones_are_dropped_with_one_line_in_the_log() -> None:
    book = Playbook().with_window()
    message = WindowHints(WINDOW, 16 | 32, 10, 10, 0, 0, 0, 0, 0, 0)
    kept = SetHints(WINDOW, SizeHints(HintFlags.P_MIN_SIZE, 10, 10))
    book.agent(message).does(Log("a size hint out of bounds was left out (P_MAX_SIZE)"), kept)
    book.agent(message).does(kept)


def test_window_flags_disjoint() -> None:
    Playbook().with_window().agent(WindowFlags(WINDOW, 2, 2)).breaks("WINDOW_FLAGS")


def test_window_flags_masks() -> None:
    book = Playbook().with_window()
    book.agent(WindowFlags(WINDOW, 0xFFFFFFF8, 4)).does()
    book.agent(WindowFlags(WINDOW, 4, 0)).does(SetState(WINDOW, StateFlags.MINIMIZE, StateFlags(0)))


def test_window_flags_attention_is_not_withdrawn_while_mapped() -> None:
    book = Playbook().with_window()
    book.agent(WindowFlags(WINDOW, 2, 0)).does(SetState(WINDOW, StateFlags.DEMANDS_ATTENTION, StateFlags(0)))
    book.agent(WindowFlags(WINDOW, 0, 2)).does()


def test_window_flags_are_nothing_for_override_redirect_windows() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 200, 100, 0, 1), Map(WINDOW, 0, 1))
    book.agent(WindowFlags(WINDOW, 1, 0)).does()


def test_cursor_of_the_font() -> None:
    book = Playbook().with_window()
    book.agent(Cursor(WINDOW, 0x100 + 68)).does(SetCursor(WINDOW, CursorName(68)))
    book.agent(Cursor(WINDOW, 0)).does(SetCursor(WINDOW, None))


@pytest.mark.parametrize("number", [5, 0x19A])
def test_cursor_out_of_bounds(number: int) -> None:
    Playbook().with_window().agent(Cursor(WINDOW, number)).breaks("CURSOR")


# --- DOCK ---


def test_dock_clears_override_redirect() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 24, 24, 0, 1))
    book.agent(Dock(WINDOW)).does(DockWindow(WINDOW))
    assert book.window()["docked"] is True
    assert book.window()["override_redirect"] is False
    book.agent(Dock(WINDOW)).does()


def test_dock_is_ignored_if_mapped() -> None:
    Playbook().with_window().agent(Dock(WINDOW)).does()


# --- CLIPBOARD_DATA ---


@pytest.mark.parametrize("window", [WINDOW, 0, 99])
def test_clipboard_data_nobody_asked_for_is_dropped(window: int) -> None:
    book = Playbook().with_window()
    book.agent(
        ClipboardData(window, b"secret"), ClipboardData(window, b""), ClipboardData(window, bytes(256001))
    ).does()


def test_clipboard_data_over_the_limit() -> None:
    Playbook().agent(ClipboardData(0, bytes(256002))).breaks("CLIPBOARD_DATA size")


# --- windows count, pages ---


def test_windows_over_the_quota_are_not_shown_and_what_is_said_about_them_is_moot() -> None:
    book = Playbook(quotas=SMALL)
    for number in (1, 2, 3):
        book.agent(Create(number, 100, 100, 5, 5, 0, 0))
    book.agent(Create(4, 100, 100, 5, 5, 0, 0), Create(5, 100, 100, 5, 5, 0, 0)).does(LimitReached(Limit.WINDOWS))
    book.agent(
        Map(4, 0, 0), Configure(4, 1, 1, 5, 5, 0), ShmImage(4, 0, 0, 5, 5), WmName(4, bytes(128)), Unmap(4), Dock(4),
        WmClass(4, bytes(64), bytes(64)), WindowHints(4, *[0] * 9), WindowFlags(4, 1, 0), Cursor(4, 0),
    ).does()  # fmt: skip
    book.agent(dump(4, 5, 5)).does(tell(WindowDumpAck(4)))
    book.agent(Map(1, 4, 0)).does(MapWindow(WINDOW, False, None))
    book.agent(Create(4, 100, 100, 5, 5, 0, 0)).breaks("window exists already")
    book.agent(Destroy(4)).does(tell(Destroy(4)))
    book.agent(Map(4, 0, 0)).breaks("unknown window")


def test_windows_refused_without_end_end_the_session() -> None:
    book = Playbook(quotas=SMALL)
    book.agent(*[Create(number, 100, 100, 5, 5, 0, 0) for number in range(6)]).breaks("quota: windows")


def test_a_destroyed_window_makes_room() -> None:
    book = Playbook(quotas=SMALL)
    book.agent(*[Create(number, 100, 100, 5, 5, 0, 0) for number in (1, 2, 3)], Destroy(2))
    book.agent(Create(4, 100, 100, 5, 5, 0, 0)).does(CreateWindow(WindowId(4), Geometry(100, 100, 5, 5), False))


def test_ten_thousand_windows_leave_the_others_alone() -> None:
    book = Playbook().with_window()
    reply = book.agent(*[Create(number, 100, 100, 5, 5, 0, 0) for number in range(2, 10002)])
    assert len(reply.of(CreateWindow)) == 1999
    assert len(reply.of(LimitReached)) == 1
    book.agent(ShmImage(WINDOW, 0, 0, 5, 5))
    book.painted().does(Paint(WINDOW, rects((0, 0, 5, 5))))


def test_buffers_over_the_quota_are_left_out_but_acknowledged() -> None:
    said = LimitReached(Limit.WINDOW_MEMORY)
    book = Playbook(quotas=SMALL).with_window(buffer=False)
    book.agent(Create(OTHER, 100, 100, 5, 5, 0, 0), dump(WINDOW, 128, 128), dump(OTHER, 64, 64))
    book.agent(dump(OTHER, 64, 128)).does(said, DetachBuffer(OTHER), tell(WindowDumpAck(OTHER)))
    assert book.window(OTHER)["buffer_width"] is None
    book.agent(dump(OTHER, 64, 128)).does(tell(WindowDumpAck(OTHER)))
    book.agent(Destroy(WINDOW), dump(OTHER, 64, 128)).does(
        DestroyWindow(WINDOW),
        tell(Destroy(WINDOW)),
        AttachBuffer(OTHER, 64, 128, np.arange(8, dtype=np.uint32)),
        tell(WindowDumpAck(OTHER)),
    )


def test_a_new_buffer_does_not_count_on_top_of_the_one_it_replaces() -> None:
    book = Playbook(quotas=SMALL).with_window(buffer=False)
    for _ in range(5):
        assert len(book.agent(dump(WINDOW, 128, 128)).of(AttachBuffer)) == 1


def test_pages_of_magnified_windows_count_more() -> None:
    book = Playbook(quotas=replace(SMALL, page_weight=4)).with_window(buffer=False)
    assert len(book.agent(dump(WINDOW, 64, 80)).of(AttachBuffer)) == 1
    assert len(book.agent(dump(WINDOW, 64, 96)).of(LimitReached)) == 1
    assert book.agent(dump(WINDOW, 64, 80)).violation is None
    assert book.session.usage()[Limit.WINDOW_MEMORY] == 1


def test_icons_over_the_quota_are_not_docked_until_another_one_goes() -> None:
    book = Playbook(quotas=replace(SMALL, tray_icons=2))
    book.agent(*[Create(number, 100, 100, 22, 22, 0, 0) for number in (1, 2, 3)])
    assert len(book.agent(Dock(1), Dock(2), Dock(2)).of(DockWindow)) == 2
    book.agent(Dock(3), Dock(3)).does(LimitReached(Limit.TRAY_ICONS))
    assert book.session.usage() == {Limit.WINDOWS: 3, Limit.WINDOW_MEMORY: 0, Limit.TRAY_ICONS: 2}
    book.agent(Destroy(1))
    book.agent(Dock(3)).does(DockWindow(WindowId(3)))


def test_limits_that_change_count_at_once_and_are_told_of_again() -> None:
    book = Playbook(quotas=SMALL)
    book.agent(*[Create(number, 100, 100, 5, 5, 0, 0) for number in (1, 2, 3)])
    book.session.reconfigure(replace(CONFIG, quotas=replace(SMALL, windows=2)))
    assert book.session.usage()[Limit.WINDOWS] == 3, "what is there stays"
    book.agent(Create(4, 100, 100, 5, 5, 0, 0)).does(LimitReached(Limit.WINDOWS))
    book.session.reconfigure(replace(CONFIG, quotas=replace(SMALL, windows=4)))
    assert len(book.agent(Create(5, 100, 100, 5, 5, 0, 0)).of(CreateWindow)) == 1
    book.agent(Create(6, 100, 100, 5, 5, 0, 0)).does(LimitReached(Limit.WINDOWS))
    book.session.reconfigure(replace(CONFIG, quotas=replace(SMALL, windows=4), border_width=9))
    book.agent(Destroy(6))
    book.agent(Create(6, 100, 100, 5, 5, 0, 0)).does()


# --- what the desktop reports ---


def test_events_of_windows_that_are_gone_are_dropped() -> None:
    Playbook().host(CloseEvent(WINDOW), ConfiguredEvent(WINDOW, PLACE), MappedEvent(WINDOW, True)).does()


def test_close() -> None:
    Playbook().with_window().host(CloseEvent(WINDOW)).does(tell(Close(WINDOW)))


def test_a_window_that_the_window_manager_shows_again_is_mapped_in_the_vm() -> None:
    book = Playbook().with_window()
    book.host(MappedEvent(WINDOW, True)).does()
    book.host(MappedEvent(WINDOW, False)).does()
    book.agent(ShmImage(WINDOW, 0, 0, 5, 5))
    book.painted().does()
    book.host(MappedEvent(WINDOW, True)).does(tell(Map(WINDOW, 0, 0)))
    book.agent(ShmImage(WINDOW, 0, 0, 5, 5))
    book.painted().does(Paint(WINDOW, rects((0, 0, 5, 5))))


def test_the_agent_can_restore_a_minimised_window_where_the_user_had_it() -> None:
    book = Playbook().with_window()
    there = Geometry(-50, 100, 200, 100)
    book.host(ConfiguredEvent(WINDOW, there), MappedEvent(WINDOW, False))
    book.agent(Configure(WINDOW, -50, 100, 200, 100, 0)).does()
    book.agent(Configure(WINDOW, -90, 100, 200, 100, 0)).does(
        ConfigureWindow(WINDOW, Geometry(3, 100, 200, 100)), tell(Configure(WINDOW, 3, 100, 200, 100, 0))
    )
    book.host(ConfiguredEvent(WINDOW, there))
    book.agent(Map(WINDOW, 0, 0)).does(MapWindow(WINDOW, False, None))


def test_a_smaller_screen_moves_menus_and_leaves_the_rest_to_the_window_manager() -> None:
    book = Playbook().with_window()
    book.agent(Create(OTHER, 600, 400, 200, 100, 0, 1), Map(OTHER, 0, 1))
    book.host(ScreenEvent(ScreenInfo(640, 480, 24, Geometry(0, 0, 640, 480)))).does(
        ConfigureWindow(OTHER, Geometry(437, 377, 200, 100)), tell(Configure(OTHER, 437, 377, 200, 100, 1))
    )


# --- override-redirect ---


def test_override_redirect_gained_while_minimised_is_kept_on_screen() -> None:
    book = Playbook().with_window()
    book.host(MappedEvent(WINDOW, False), ConfiguredEvent(WINDOW, Geometry(-50, 100, 200, 100)))
    book.agent(Map(WINDOW, 0, 1)).does(
        ConfigureWindow(WINDOW, Geometry(3, 100, 200, 100)), MapWindow(WINDOW, True, None)
    )


def test_override_redirect_windows_cover_no_work_area_together() -> None:
    book, third = Playbook(), WindowId(3)
    half, rest = Geometry(3, 33, 494, 764), Geometry(503, 33, 494, 764)
    for number, place in ((WINDOW, half), (OTHER, half), (third, rest)):
        book.agent(Create(number, place.x, place.y, place.width, place.height, 0, 1)).does(
            CreateWindow(number, place, True)
        )
    book.agent(Map(WINDOW, 0, 1), Map(OTHER, 0, 1)).does(MapWindow(WINDOW, True, None), MapWindow(OTHER, True, None))
    said = Notify("a window that would cover the work area is not override-redirect")
    book.agent(Map(third, 0, 1)).does(said, MapWindow(third, False, None))
    again = book.agent(Unmap(WINDOW), Unmap(OTHER), Unmap(third), Map(third, 0, 1))
    assert again.of(MapWindow) == [MapWindow(third, True, None)]


def test_override_redirect_windows_may_cover_it_where_the_user_says_so() -> None:
    book = Playbook(override_redirect_protection=False)
    book.agent(Create(WINDOW, 3, 33, 994, 764, 0, 1), Map(WINDOW, 0, 1)).does(
        CreateWindow(WINDOW, Geometry(3, 33, 994, 764), True), MapWindow(WINDOW, True, None)
    )


def test_override_redirect_windows_past_a_number_are_managed() -> None:
    book = Playbook()
    for number in range(1, 66):
        book.agent(Create(number, 9, 40, 5, 5, 0, 1))
    maps = book.agent(*(Map(number, 0, 1) for number in range(1, 66))).of(MapWindow)
    assert [command.override_redirect for command in maps] == [True] * 64 + [False]


def test_a_smaller_screen_leaves_room_between_override_redirect_windows() -> None:
    book = Playbook()
    for number, x in ((WINDOW, 3), (OTHER, 403)):
        book.agent(Create(number, x, 33, 394, 764, 0, 1), Map(number, 0, 1))
    book.host(ScreenEvent(ScreenInfo(800, 800, 24, Geometry(0, 0, 800, 800))))
    assert book.window(WINDOW)["height"] == 764
    assert book.window(OTHER)["height"] < 764


def test_override_redirect_over_nearly_the_whole_work_area_is_lost_with_one_line_in_the_log() -> None:
    book = Playbook()
    said = Notify("a window that would cover the work area is not override-redirect")
    book.agent(Create(1, 3, 33, 990, 700, 0, 1)).does(said, CreateWindow(WINDOW, Geometry(3, 33, 990, 700), False))
    book.agent(Map(1, 0, 1)).does(MapWindow(WINDOW, False, None))


def test_override_redirect_that_grows_while_mapped_stays_below_nine_tenths() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 200, 100, 0, 1), Map(WINDOW, 0, 1))
    (command,) = book.agent(Configure(WINDOW, 0, 0, 5000, 5000, 0)).of(ConfigureWindow)
    place = command.geometry
    assert (place.x, place.y, place.width) == (3, 33, 994)
    assert (place.width + 6) * (place.height + 6) <= 0.9 * 1000 * 770
    assert book.window()["override_redirect"] is True


def test_override_redirect_that_somebody_moves_off_the_work_area_is_put_back() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 200, 100, 0, 1), Map(WINDOW, 0, 1))
    book.host(ConfiguredEvent(WINDOW, Geometry(100, 0, 200, 100))).does(
        ConfigureWindow(WINDOW, Geometry(100, 33, 200, 100)), tell(Configure(WINDOW, 100, 33, 200, 100, 1))
    )


def test_override_redirect_wholly_off_the_screen_is_left_there() -> None:
    Playbook().agent(Create(WINDOW, -300, -300, 200, 100, 0, 1)).does(
        CreateWindow(WINDOW, Geometry(-300, -300, 200, 100), True)
    )


def test_override_redirect_can_be_disabled() -> None:
    book = Playbook(override_redirect=False)
    book.agent(Create(WINDOW, 100, 100, 200, 100, 0, 1), Map(WINDOW, 0, 1)).does(
        CreateWindow(WINDOW, PLACE, False), MapWindow(WINDOW, False, None)
    )


# --- a whole session ---


def test_a_recorded_session_is_carried_out_and_leaves_nothing() -> None:
    """An xterm and its menu, as an existing agent sent them."""
    book, wire = Playbook(screen=ScreenInfo(2048, 1280, 24, Geometry(0, 0, 2048, 1280))), DaemonConnection()
    commands: list[Command | Paint] = []
    for line in RECORDING.read_text().splitlines():
        if line.startswith("agent"):
            wire.feed(bytes.fromhex(line.split()[1]))
            for event in wire.events():
                if not isinstance(event, AgentHello):
                    reply = book.agent(event)
                    assert reply.violation is None
                    commands += reply.commands + book.painted().commands
    counts = {kind: sum(isinstance(c, kind) for c in commands) for kind in (CreateWindow, DestroyWindow, AttachBuffer)}
    acknowledged = sum(isinstance(c, SendToAgent) and isinstance(c.message, WindowDumpAck) for c in commands)
    assert counts[CreateWindow] == counts[DestroyWindow] == 3
    assert counts[AttachBuffer] == acknowledged > 3
    assert any(isinstance(c, MapWindow) and c.override_redirect for c in commands), "the menu"
    assert any(isinstance(c, SetTitle) and c.title == Title("xterm") for c in commands)
    assert sum(isinstance(c, Paint) for c in commands) > 100
    assert book.session.snapshot() == []


# --- anything at all ---

NUMBER = st.one_of(st.integers(0, 5), st.integers(0, 2**32 - 1))
SIGNED = st.one_of(st.integers(-5, 300), st.integers(-(2**31), 2**31 - 1))
ANY_MESSAGE: st.SearchStrategy[Message | DamageBatch] = st.one_of(
    st.builds(Create, NUMBER, SIGNED, SIGNED, NUMBER, NUMBER, NUMBER, NUMBER),
    st.builds(Destroy, NUMBER),
    st.builds(Map, NUMBER, NUMBER, NUMBER),
    st.builds(Unmap, NUMBER),
    st.builds(Dock, NUMBER),
    st.builds(Configure, NUMBER, SIGNED, SIGNED, NUMBER, NUMBER, NUMBER),
    st.builds(dump, NUMBER, st.integers(0, 70), st.integers(0, 70), st.one_of(st.none(), st.integers(0, 9))),
    st.builds(ShmImage, NUMBER, SIGNED, SIGNED, NUMBER, NUMBER),
    st.builds(WmName, NUMBER, st.binary(min_size=128, max_size=128)),
    st.builds(WindowFlags, NUMBER, NUMBER, NUMBER),
    st.builds(Cursor, NUMBER, NUMBER),
    st.builds(
        lambda rows: DamageBatch(
            np.array([row[0] for row in rows], np.uint32), np.array([row[1:] for row in rows], np.int32)
        ),
        st.lists(st.tuples(NUMBER, SIGNED, SIGNED, SIGNED, SIGNED), min_size=1, max_size=20),
    ),
)


@given(st.lists(ANY_MESSAGE, max_size=40))
@settings(max_examples=200)
def test_whatever_an_agent_says_is_carried_out_in_bounds_or_ends_the_session(
    messages: list[Message | DamageBatch],
) -> None:
    book = Playbook(quotas=SMALL)
    exists: set[int] = set()
    for number, message in enumerate(messages):
        reply = book.agent(message)
        commands = reply.commands + book.at(float(number)).commands + book.painted().commands
        for command in commands:
            window = getattr(command, "window", None)
            if isinstance(command, CreateWindow):
                assert window not in exists
                exists.add(command.window)
                assert len(exists) <= SMALL.windows
            elif window is not None:
                assert window in exists, command
            if isinstance(command, DestroyWindow):
                exists.remove(command.window)
            if isinstance(command, Paint):
                row = book.window(command.window)
                rects = np.array(command.rects)
                assert (rects[:, :2] >= 0).all()
                assert (rects[:, 2:] > 0).all()
                assert (rects[:, :2] + rects[:, 2:] <= (row["buffer_width"], row["buffer_height"])).all()
            if isinstance(command, CreateWindow | ConfigureWindow):
                place = command.geometry
                assert 1 <= place.width <= 16384
                assert 1 <= place.height <= 6144
                assert abs(place.x) <= 16384
                assert abs(place.y) <= 6144
        if reply.violation is not None:
            assert isinstance(reply.violation, PeerMisbehaved)
            return


# --- the user changes the settings ---


def test_settings_that_change_count_from_then_on_and_titles_are_said_again() -> None:
    book = Playbook().with_window()
    book.agent(WmName(WINDOW, b"caf\xc3\xa9".ljust(128, b"\0")))
    book.agent(Create(OTHER, 100, 100, 5, 5, 0, 0))
    changed = replace(CONFIG, utf8_titles=True, allow_fullscreen=True, override_redirect=False)
    title = book.window()["title"]
    assert book.session.reconfigure(changed) == [SetTitle(WINDOW, Title(title)), SetTitle(OTHER, Title(""))]
    book.agent(WmName(WINDOW, b"caf\xc3\xa9".ljust(128, b"\0"))).does(SetTitle(WINDOW, Title("caf\u00e9")))
    book.agent(WindowFlags(WINDOW, 1, 0)).does(SetState(WINDOW, StateFlags.FULLSCREEN, StateFlags(0)))
    book.agent(Create(9, 100, 100, 5, 5, 0, 1)).does(CreateWindow(WindowId(9), Geometry(100, 100, 5, 5), False))


def test_a_wider_border_moves_a_menu_that_it_would_put_off_the_screen() -> None:
    book = Playbook()
    menu = Geometry(3, 33, 200, 100)
    book.agent(Create(WINDOW, 3, 33, 200, 100, 0, 1), Map(WINDOW, 0, 1)).does(
        CreateWindow(WINDOW, menu, True), MapWindow(WINDOW, True, None)
    )
    commands = book.session.reconfigure(replace(CONFIG, border_width=10))
    assert ConfigureWindow(WINDOW, Geometry(10, 40, 200, 100)) in commands
    assert tell(Configure(WINDOW, 10, 40, 200, 100, 1)) in commands


def test_a_vm_that_may_not_hide_its_border_any_more_shows_it_at_once() -> None:
    book = Playbook(allow_fullscreen=True).with_window().with_window(OTHER)
    forbidden = replace(CONFIG, allow_fullscreen=False)
    leave = SetState(WINDOW, StateFlags(0), StateFlags.FULLSCREEN)
    book.agent(WindowFlags(WINDOW, 1, 0))
    book.host(StateEvent(OTHER, StateFlags.FULLSCREEN, StateFlags(0)))  # the user's own wish
    assert [c for c in book.session.reconfigure(forbidden) if isinstance(c, SetState)] == [leave]
    book.host(StateEvent(WINDOW, StateFlags(0), StateFlags.FULLSCREEN)).does(tell(WindowFlags(WINDOW, 0, 1)))
    assert not [c for c in book.session.reconfigure(forbidden) if isinstance(c, SetState)]


def test_a_vm_that_has_left_fullscreen_is_not_told_to() -> None:
    book = Playbook(allow_fullscreen=True).with_window()
    book.agent(WindowFlags(WINDOW, 1, 0), WindowFlags(WINDOW, 0, 1))
    assert not [c for c in book.session.reconfigure(CONFIG) if isinstance(c, SetState)]


# --- icons of the notification area are small ---

_TOO_LARGE = Log("an icon for the notification area is too large and not shown")


def test_dock_of_a_large_window_is_refused() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 0, 0, 257, 10, 0, 0), Dock(WINDOW)).does(
        CreateWindow(WINDOW, Geometry(0, 0, 257, 10), False), _TOO_LARGE
    )
    assert not book.window()["docked"]
    book.agent(Create(OTHER, 0, 0, 256, 256, 0, 0), Dock(OTHER)).of(DockWindow)
    assert book.window(OTHER)["docked"]


def test_dock_of_a_window_with_a_large_buffer_is_refused() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 0, 0, 22, 22, 0, 0), dump(WINDOW, 22, 257))
    book.agent(Dock(WINDOW)).does(_TOO_LARGE)


def test_a_large_buffer_for_an_icon_is_acknowledged_and_not_shown() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 0, 0, 22, 22, 0, 0), Dock(WINDOW), dump(WINDOW, 22, 22))
    book.agent(dump(WINDOW, 300, 10)).does(
        Log("an icon in the notification area grew too large and is not shown"),
        DetachBuffer(WINDOW),
        tell(WindowDumpAck(WINDOW)),
    )
