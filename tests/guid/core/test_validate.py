"""Every rule about a single message: which values pass, which are clamped, which end the session."""

from contextlib import AbstractContextManager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.core import validate
from guid.core.trusted import CursorName, Geometry, HintFlags, SizeHints, StateFlags, Title, WindowClass
from guiproto.errors import PeerMisbehaved
from guiproto.messages import (
    ClipboardData,
    Configure,
    Create,
    Cursor,
    MfnDump,
    WindowDump,
    WindowFlags,
    WindowHints,
    WmClass,
    WmName,
)

I32 = st.integers(-(2**31), 2**31 - 1)
U32 = st.one_of(st.integers(0, 2**32 - 1), st.integers(0, 20000))


def violated(rule: str) -> AbstractContextManager[object]:
    return pytest.raises(PeerMisbehaved, match=f"^{rule}")


@given(I32, I32, U32, U32)
def test_create_is_clamped(x: int, y: int, width: int, height: int) -> None:
    message = Create(1, x, y, width, height, 77, 0)
    if max(width, height) >= 2**31:
        with violated("CREATE size"):
            validate.create(message)
        return
    place = validate.create(message)
    assert place == Geometry(
        min(max(x, -16384), 16384), min(max(y, -6144), 6144), min(max(width, 1), 16384), min(max(height, 1), 6144)
    )


@given(I32, I32, U32, U32)
def test_configure_is_clamped_and_not_empty(x: int, y: int, width: int, height: int) -> None:
    message = Configure(1, x, y, width, height, 1)
    if 0 in (width, height):
        with violated("CONFIGURE size"):
            validate.configure(message)
        return
    place = validate.configure(message)
    assert place == Geometry(min(max(x, -16384), 16384), min(max(y, -6144), 6144), min(width, 16384), min(height, 6144))


def test_title_byte_127_is_nul() -> None:
    assert validate.title(WmName(1, b"x" * 128)) == Title("x" * 127)


def test_title_is_ascii_unless_utf8_is_allowed() -> None:
    message = WmName(1, "Gr\u00fcn".encode().ljust(128, b"\0"))
    assert validate.title(message) == Title("Gr__n")
    assert validate.title(message, utf8=True) == Title("Gr\u00fcn")


def test_class_ends_at_63_and_is_ascii() -> None:
    message = WmClass(1, b"C" * 64, b"n\xff\n".ljust(64, b"\0"))
    assert validate.window_class(message) == WindowClass(name="n__", class_="C" * 63)


def hints(flags: int, **fields: int) -> WindowHints:
    return WindowHints(1, flags, *[0] * 8)._replace(**fields)


def test_hints_in_bounds_pass() -> None:
    message = WindowHints(1, 0xFFFFFFFF, 10, 20, 300, 400, 5, 6, 7, 8)
    assert validate.hints(message) == SizeHints(
        HintFlags.US_POSITION | HintFlags.P_POSITION | HintFlags.P_MIN_SIZE | HintFlags.P_MAX_SIZE
        | HintFlags.P_RESIZE_INC | HintFlags.P_BASE_SIZE,
        10, 20, 300, 400, 5, 6, 7, 8,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("flag", "fields"),
    [
        (HintFlags.P_MIN_SIZE, {"min_width": 16385, "min_height": 1}),
        (HintFlags.P_MIN_SIZE, {"min_width": 1, "min_height": 6145}),
        (HintFlags.P_MAX_SIZE, {"max_width": 0, "max_height": 1}),
        (HintFlags.P_MAX_SIZE, {"max_width": 1, "max_height": 0}),
        (HintFlags.P_MAX_SIZE, {"max_width": 16385, "max_height": 1}),
        (HintFlags.P_MAX_SIZE, {"max_width": 1, "max_height": 6145}),
        (HintFlags.P_RESIZE_INC, {"width_inc": 16384, "height_inc": 1}),
        (HintFlags.P_RESIZE_INC, {"width_inc": 1, "height_inc": 6144}),
        (HintFlags.P_RESIZE_INC, {"width_inc": 0, "height_inc": 1}),
        (HintFlags.P_BASE_SIZE, {"base_width": 16385}),
        (HintFlags.P_BASE_SIZE, {"base_height": 2**32 - 1}),
    ],
)
def test_a_hint_out_of_bounds_is_left_out_alone(flag: HintFlags, fields: dict[str, int]) -> None:
    message = hints(flag | HintFlags.P_POSITION, **fields)
    kept = validate.hints(message)
    assert kept == SizeHints(HintFlags.P_POSITION)
    assert validate.dropped_hints(message, kept) == flag


@given(st.tuples(*[U32] * 9))
def test_hints_never_carry_a_field_without_its_flag(values: tuple[int, ...]) -> None:
    kept = validate.hints(WindowHints(1, *values))
    assert not kept.flags & ~sum(HintFlags)
    pairs = {
        HintFlags.P_MIN_SIZE: (kept.min_width, kept.min_height),
        HintFlags.P_MAX_SIZE: (kept.max_width, kept.max_height),
        HintFlags.P_RESIZE_INC: (kept.width_inc, kept.height_inc),
        HintFlags.P_BASE_SIZE: (kept.base_width, kept.base_height),
    }
    for flag, pair in pairs.items():
        assert pair == (0, 0) or flag in kept.flags
        assert pair[0] <= 16384
        assert pair[1] <= 6144


def test_flags_both_set_and_unset_end_the_session() -> None:
    with violated("WINDOW_FLAGS"):
        validate.flags(WindowFlags(1, 3, 2))


def test_flags_are_masked_and_minimise_beats_fullscreen() -> None:
    state = StateFlags
    assert validate.flags(WindowFlags(1, 0xFFFFFF00, 0xFF & ~0x7)) == (state(0), state(0))
    assert validate.flags(WindowFlags(1, 0, 7)) == (state(0), state.FULLSCREEN | state.DEMANDS_ATTENTION)
    assert validate.flags(WindowFlags(1, 5, 0)) == (state.MINIMIZE, state(0))
    assert validate.flags(WindowFlags(1, 3, 0)) == (state.FULLSCREEN | state.DEMANDS_ATTENTION, state(0))


@pytest.mark.parametrize(
    ("number", "cursor"),
    [
        (0, None),
        (0x100, CursorName(0)),
        (0x198, CursorName(0x98)),
        (0x199, None),
        (0x101, None),
        (0x144, CursorName(0x44)),
    ],
)
def test_cursors_of_the_font_pass(number: int, cursor: CursorName | None) -> None:
    assert validate.cursor(Cursor(1, number)) == cursor


@pytest.mark.parametrize("number", [1, 0xFF, 0x19A, 0x200, 0x1100, 0xFFFFFFFF])
def test_other_cursors_end_the_session(number: int) -> None:
    with violated("CURSOR"):
        validate.cursor(Cursor(1, number))


def window_dump(width: int, height: int, count: int, kind: int = 0) -> WindowDump:
    return WindowDump(1, kind, width, height, 99, np.arange(count, dtype=np.uint32))


@pytest.mark.parametrize(("width", "height", "pages"), [(1, 1, 1), (1024, 1, 1), (1025, 1, 2), (1920, 1080, 2025)])
def test_dump_needs_enough_references_and_takes_no_more(width: int, height: int, pages: int) -> None:
    for count in (pages, pages + 1, pages + 500):
        buffer = validate.dump(window_dump(width, height, count))
        assert (buffer.width, buffer.height, buffer.offset) == (width, height, 0)
        assert buffer.refs.tolist() == list(range(pages))
    with violated("WINDOW_DUMP references"):
        validate.dump(window_dump(width, height, pages - 1))


def test_dump_of_the_largest_window() -> None:
    assert len(validate.dump(window_dump(16384, 6144, 98304)).refs) == 98304


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (16385, 1), (1, 6145), (2**32 - 1, 1), (2**16, 2**16)])
def test_dump_size(size: tuple[int, int]) -> None:
    with violated("WINDOW_DUMP size"):
        validate.dump(window_dump(*size, 10))


def test_dump_type() -> None:
    with violated("WINDOW_DUMP type"):
        validate.dump(window_dump(1, 1, 1, kind=1))


def mfn_dump(width: int, height: int, count: int, off: int = 0, num: int | None = None) -> MfnDump:
    return MfnDump(1, 0, width, height, 24, off, count if num is None else num, 5, np.arange(count, dtype=np.uint32))


def test_frames_count_the_offset() -> None:
    buffer = validate.frames(mfn_dump(1024, 1, 3, off=1))
    assert (buffer.offset, buffer.refs.tolist()) == (1, [0, 1])
    with violated("MFNDUMP references"):
        validate.frames(mfn_dump(1024, 1, 1, off=1))


def test_frames_offset_is_within_a_page() -> None:
    assert validate.frames(mfn_dump(1, 1, 2, off=4095)).offset == 4095
    with violated("MFNDUMP offset"):
        validate.frames(mfn_dump(1, 1, 2, off=4096))


def test_frames_count_matches() -> None:
    with violated("MFNDUMP references"):
        validate.frames(mfn_dump(1, 1, 2, num=3))


def test_frames_size() -> None:
    with violated("MFNDUMP size"):
        validate.frames(mfn_dump(16385, 1, 20))


def test_clipboard_sizes() -> None:
    assert validate.clipboard(ClipboardData(1, b"text")) == b"text"
    assert validate.clipboard(ClipboardData(1, b"")) == b""
    assert validate.clipboard(ClipboardData(1, bytes(256000))) == bytes(256000)
    assert validate.clipboard(ClipboardData(1, bytes(256001))) is None
    with violated("CLIPBOARD_DATA size"):
        validate.clipboard(ClipboardData(1, bytes(256002)))
