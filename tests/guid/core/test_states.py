"""Fullscreen is by consent, and programs are told what they wait for."""

import pytest

from guid.core.commands import Maximize, SetState
from guid.core.host_events import MaximizedEvent, StateEvent
from guid.core.trusted import StateFlags
from guiproto.messages import Create, Dock, Map, WindowFlags
from tests.guid.core.playbook import WINDOW, Playbook, tell

NONE, FULLSCREEN, MINIMIZE = StateFlags(0), StateFlags.FULLSCREEN, StateFlags.MINIMIZE
ENTER, LEAVE = WindowFlags(WINDOW, 1, 0), WindowFlags(WINDOW, 0, 1)


def test_fullscreen_where_it_is_allowed_is_done_once_the_window_manager_says_so() -> None:
    book = Playbook(allow_fullscreen=True).with_window()
    book.agent(ENTER).does(SetState(WINDOW, FULLSCREEN, NONE))
    book.host(StateEvent(WINDOW, FULLSCREEN, NONE)).does(tell(ENTER))
    book.agent(LEAVE).does(SetState(WINDOW, NONE, FULLSCREEN))
    book.host(StateEvent(WINDOW, NONE, FULLSCREEN)).does(tell(LEAVE))


def test_elsewhere_the_window_is_maximised_and_its_program_told_that_it_is_done() -> None:
    book = Playbook().with_window()
    book.agent(ENTER).does(Maximize(WINDOW, True), tell(ENTER))
    book.host(MaximizedEvent(WINDOW, True)).does()
    book.agent(ENTER).does(tell(ENTER))
    book.agent(LEAVE).does(Maximize(WINDOW, False), tell(LEAVE), SetState(WINDOW, NONE, FULLSCREEN))
    book.host(MaximizedEvent(WINDOW, False)).does()


def test_a_wish_from_before_the_mapping_counts() -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 0, 0, 200, 100, 0, 0))
    book.agent(ENTER).does(Maximize(WINDOW, True), tell(ENTER))


def test_who_restores_the_window_ends_its_programs_fullscreen() -> None:
    book = Playbook().with_window()
    book.agent(ENTER)
    book.host(MaximizedEvent(WINDOW, True)).does()
    book.host(MaximizedEvent(WINDOW, False)).does(tell(LEAVE))
    book.agent(ENTER).does(Maximize(WINDOW, True), tell(ENTER))


def test_a_window_that_was_maximised_before_stays_so() -> None:
    book = Playbook().with_window()
    book.host(MaximizedEvent(WINDOW, True)).does()
    book.agent(ENTER).does(tell(ENTER))
    book.agent(LEAVE).does(tell(LEAVE), SetState(WINDOW, NONE, FULLSCREEN))


def test_the_user_may_make_any_window_fullscreen_and_end_it() -> None:
    book = Playbook().with_window()
    book.host(StateEvent(WINDOW, FULLSCREEN, NONE)).does(tell(ENTER))
    book.host(StateEvent(WINDOW, NONE, FULLSCREEN)).does(tell(LEAVE))
    book.host(StateEvent(WINDOW, FULLSCREEN, NONE))
    book.agent(LEAVE).does(SetState(WINDOW, NONE, FULLSCREEN))


def test_a_program_whose_window_is_maximised_instead_stays_fullscreen_when_the_user_ends_his_own() -> None:
    book = Playbook().with_window()
    book.agent(ENTER)
    book.host(StateEvent(WINDOW, FULLSCREEN, NONE), StateEvent(WINDOW, NONE, FULLSCREEN)).does(tell(ENTER))


def test_states_are_reported_as_far_as_the_wire_knows_them() -> None:
    book = Playbook().with_window()
    book.host(StateEvent(WINDOW, MINIMIZE, FULLSCREEN)).does(tell(WindowFlags(WINDOW, 4, 1)))
    book.host(StateEvent(WINDOW, NONE, NONE), StateEvent(WINDOW, StateFlags(8), NONE)).does()


def test_minimising_beats_fullscreen() -> None:
    Playbook().with_window().agent(WindowFlags(WINDOW, 5, 0)).does(SetState(WINDOW, MINIMIZE, NONE))


@pytest.mark.parametrize("shown", [Map(WINDOW, 0, 1), Dock(WINDOW)])
def test_menus_and_icons_have_no_states(shown: Map | Dock) -> None:
    book = Playbook()
    book.agent(Create(WINDOW, 100, 100, 200, 100, 0, int(isinstance(shown, Map))), shown)
    book.agent(ENTER, LEAVE).does()
