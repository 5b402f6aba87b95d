"""Frames stay where the user can see whose they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.core.desk import Desk
from guid.core.host_events import ScreenInfo
from guid.core.trusted import Geometry

DESK = Desk(ScreenInfo(1000, 800, 24, Geometry(50, 30, 900, 700)), 3, True)
PLACES = st.builds(
    Geometry, st.integers(-16384, 16384), st.integers(-6144, 6144), st.integers(1, 16384), st.integers(1, 6144)
)
DESKS = st.builds(
    lambda width, height, x, y, border, managed: Desk(
        ScreenInfo(width, height, 24, Geometry(x, y, max(1, width - x), max(1, height - y))), border, managed
    ),
    st.integers(100, 4000),
    st.integers(100, 3000),
    st.integers(0, 90),
    st.integers(0, 90),
    st.integers(0, 10),
    st.booleans(),
)


@given(DESKS, PLACES, st.booleans())
def test_an_override_redirect_frame_is_inside_the_work_area_or_off_the_screen(
    desk: Desk, wish: Geometry, mapped: bool
) -> None:
    kept, border, area = desk.keep_override(wish, mapped=mapped), desk.border_width, desk.screen.work_area
    left, top = kept.x - border, kept.y - border
    right, bottom = kept.x + kept.width + border, kept.y + kept.height + border
    if right <= 0 or bottom <= 0 or left >= desk.screen.width or top >= desk.screen.height:
        assert (kept.x, kept.y) == (wish.x, wish.y), "parked there by its program"
    else:
        assert left >= area.x
        assert top >= area.y
        if area.width > 2 * border:
            assert right <= area.x + area.width
        if area.height > 2 * border:
            assert bottom <= area.y + area.height
    assert 1 <= kept.width <= wish.width
    assert 1 <= kept.height <= wish.height
    assert desk.keep_override(kept, mapped=mapped) == kept, "keeping twice changes nothing"


@given(DESKS, PLACES)
def test_one_that_is_mapped_never_covers_nine_tenths(desk: Desk, wish: Geometry) -> None:
    kept = desk.keep_override(wish, mapped=True)
    assert desk.may_override(kept) or kept.height == 1


@given(DESKS, PLACES, st.lists(PLACES, max_size=4))
def test_none_that_is_mapped_covers_it_together_with_others(desk: Desk, wish: Geometry, others: list[Geometry]) -> None:
    kept = desk.keep_override(wish, mapped=True, others=others)
    assert desk.may_override(kept, others) or kept.height == 1
    assert desk.keep_override(kept, mapped=True, others=others) == kept


def test_one_that_moves_beside_others_is_shrunk_to_what_they_leave() -> None:
    others = [Geometry(53, 33, 444, 694)]
    kept = DESK.keep_override(Geometry(503, 33, 444, 694), mapped=True, others=others)
    assert (kept.x, kept.y, kept.width) == (503, 33, 444)
    assert DESK.may_override(kept, others)
    assert not DESK.may_override(Geometry(503, 33, 444, kept.height + 1), others)


def test_windows_above_each_other_count_once() -> None:
    half = Geometry(53, 33, 444, 694)
    assert DESK.may_override(half, [half, half])
    assert not DESK.may_override(half, [Geometry(503, 33, 444, 694)])


def test_without_protection_they_may_cover_everything() -> None:
    desk = Desk(DESK.screen, 3, True, protected=False)
    everything = Geometry(53, 33, 894, 694)
    assert desk.may_override(everything, [everything])
    assert desk.keep_override(everything, mapped=True) == everything


def test_a_menu_in_its_place_stays() -> None:
    assert DESK.keep_override(Geometry(100, 100, 200, 300), mapped=False) == Geometry(100, 100, 200, 300)


def test_a_menu_over_the_edge_is_moved_and_one_too_large_shrunk() -> None:
    assert DESK.keep_override(Geometry(900, 10, 200, 300), mapped=False) == Geometry(747, 33, 200, 300)
    assert DESK.keep_override(Geometry(0, 0, 200, 3000), mapped=False) == Geometry(53, 33, 200, 694)


@pytest.mark.parametrize("parked", [(-300, 100), (1100, 100), (100, -400), (100, 900), (-203, 100), (1003, 100)])
def test_a_menu_wholly_beyond_any_edge_stays_there(parked: tuple[int, int]) -> None:
    assert DESK.keep_override(Geometry(*parked, 200, 300), mapped=False) == Geometry(*parked, 200, 300)


@pytest.mark.parametrize("showing", [(-202, 100), (1002, 100), (100, -302), (100, 802)])
def test_a_menu_of_which_a_corner_of_the_border_shows_is_brought_in(showing: tuple[int, int]) -> None:
    kept = DESK.keep_override(Geometry(*showing, 200, 300), mapped=False)
    assert 53 <= kept.x <= 747
    assert 33 <= kept.y <= 427


def test_nine_tenths_are_counted_with_the_border() -> None:
    assert DESK.may_override(Geometry(0, 0, 894, 624))
    assert not DESK.may_override(Geometry(0, 0, 894, 625))


@given(DESKS, PLACES)
def test_the_corner_of_a_managed_frame_is_inside_the_work_area(desk: Desk, wish: Geometry) -> None:
    kept, area = desk.keep_managed(wish), desk.screen.work_area
    border = desk.border(override_redirect=False)
    assert area.x <= kept.x - border < area.x + area.width
    assert area.y <= kept.y - border < area.y + area.height
    assert (kept.width, kept.height) == (wish.width, wish.height)
    assert desk.keep_managed(kept) == kept


def test_without_a_border_of_ours_a_managed_window_may_touch_the_edge() -> None:
    desk = Desk(DESK.screen, 3, False)
    assert desk.keep_managed(Geometry(50, 30, 10, 10)) == Geometry(50, 30, 10, 10)
    assert DESK.keep_managed(Geometry(50, 30, 10, 10)) == Geometry(53, 33, 10, 10)
