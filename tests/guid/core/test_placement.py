"""Moving and resizing from either side ends with both sides equal, with any timing, and always ends."""

from collections import deque
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from guid.core.placement import ANSWER_SECONDS, NOTHING, Placement, Step
from guid.core.trusted import Geometry

A, B, C, D = (Geometry(10 * n, 10, 100, 50) for n in range(1, 5))
FEW = st.sampled_from([A, B, C, D, Geometry(0, 0, 90, 45), Geometry(-20, 5, 101, 51)])


def anywhere(wish: Geometry) -> Geometry:
    return wish


def right_of_ten(wish: Geometry) -> Geometry:
    return at(wish, max(10, wish.x))


def at(geometry: Geometry, x: int) -> Geometry:
    return Geometry(x, geometry.y, geometry.width, geometry.height)


# --- one step at a time ---


def test_a_wish_moves_the_window() -> None:
    place = Placement(A, A)
    assert place.agent_says(B, anywhere) == Step(host=B)
    assert place.deadline() is None


def test_a_wish_that_policy_alters_is_answered() -> None:
    place = Placement(A, A)
    off = at(A, -50)
    assert place.agent_says(off, right_of_ten) == Step(agent=A)
    assert place.agent_says(A, right_of_ten) == NOTHING


def test_what_the_user_does_is_told_and_answered() -> None:
    place = Placement(A, A)
    assert place.host_says(B) == Step(agent=B)
    assert place.agent_says(B, anywhere) == NOTHING
    assert place.asked is None


def test_what_the_agent_has_is_not_sent() -> None:
    place = Placement(A, A)
    place.agent_says(B, anywhere)
    assert place.host_says(B) == NOTHING


def test_one_configure_at_a_time_and_the_newest_next() -> None:
    place = Placement(A, A)
    assert place.host_says(B) == Step(agent=B)
    assert place.host_says(C) == NOTHING
    assert place.host_says(D) == NOTHING
    assert place.agent_says(B, anywhere) == Step(agent=D)
    assert place.agent_says(D, anywhere) == NOTHING


def test_a_drag_that_ends_where_it_began_ends_there() -> None:
    place = Placement(A, A)
    assert place.host_says(B) == Step(agent=B)
    assert place.host_says(A) == NOTHING
    assert place.agent_says(B, anywhere) == Step(agent=A)


def test_a_wish_that_crossed_with_ours_gives_way() -> None:
    place = Placement(A, A)
    assert place.host_says(B) == Step(agent=B)
    assert place.agent_says(C, anywhere) == Step(agent=B), "sent again, once"
    assert place.agent_says(B, anywhere) == NOTHING
    assert place.agent_says(B, anywhere) == NOTHING, "the answer to the second one"
    assert place.shown == B


def test_a_size_that_crossed_with_a_place_is_kept() -> None:
    place = Placement(A, A)
    moved, grown = at(A, 77), Geometry(A.x, A.y, 300, 200)
    both = Geometry(77, A.y, 300, 200)
    assert place.host_says(moved) == Step(agent=moved)
    assert place.agent_says(grown, anywhere) == Step(host=both, agent=both)
    assert place.agent_says(moved, anywhere) == NOTHING, "the answer to the first"
    assert place.agent_says(both, anywhere) == NOTHING
    assert (place.shown, place.asked) == (both, None)


def test_a_place_that_crossed_with_a_size_is_kept() -> None:
    place = Placement(A, A)
    moved, grown = at(A, 77), Geometry(A.x, A.y, 300, 200)
    place.host_says(grown)
    both = Geometry(77, A.y, 300, 200)
    assert place.agent_says(moved, anywhere) == Step(host=both, agent=both)


def test_an_agent_that_cannot_do_it_gets_its_way_after_one_more_try() -> None:
    place = Placement(A, A)
    assert place.host_says(B) == Step(agent=B)
    assert place.agent_says(C, anywhere) == Step(agent=B)
    assert place.agent_says(C, anywhere) == Step(host=C)
    assert place.asked is None


def test_an_agent_that_cannot_do_it_is_not_asked_again_for_what_is_out_of_date() -> None:
    place = Placement(A, A)
    place.host_says(B)
    place.host_says(D)
    assert place.agent_says(C, anywhere) == Step(agent=D)
    assert place.agent_says(C, anywhere) == Step(agent=D), "the newest has been sent once more"
    assert place.agent_says(C, anywhere) == Step(host=C)


def test_without_an_answer_in_time_the_newest_goes_out() -> None:
    place = Placement(A, A)
    place.host_says(B)
    place.host_says(C)
    assert place.deadline() == 0.0, "it does not know the time yet"
    assert place.tick(100.0, anywhere) == NOTHING
    assert place.deadline() == 100.0 + ANSWER_SECONDS
    assert place.tick(100.9, anywhere) == NOTHING
    assert place.tick(101.0, anywhere) == Step(agent=C)


def test_without_an_answer_in_time_the_agent_is_taken_to_have_obeyed() -> None:
    place = Placement(A, A)
    place.host_says(B)
    place.tick(100.0, anywhere)
    assert place.tick(101.0, anywhere) == NOTHING
    assert place.deadline() is None
    assert place.agent_says(C, anywhere) == Step(host=C), "its wishes count again"


def test_an_agent_that_contradicts_and_then_is_silent_gets_its_way_in_time() -> None:
    place = Placement(A, A)
    place.host_says(B)
    assert place.agent_says(C, anywhere) == Step(agent=B)
    place.tick(100.0, anywhere)
    assert place.tick(101.0, anywhere) == Step(host=C)


def test_the_daemons_own_decision_moves_both() -> None:
    place = Placement(A, A)
    assert place.place(B) == Step(host=B, agent=B)
    assert place.place(B) == NOTHING


# --- disputes end ---


def argue(place: Placement, wish: Geometry, allow: Callable[[Geometry], Geometry], host: Geometry | None) -> int:
    """An agent that says `wish` whatever it is told, and a window manager that says `host` whatever it is told."""
    said = 0
    now = 0.0
    inbox = [wish]
    while inbox:
        step = place.agent_says(inbox.pop(), allow)
        told = int(step.agent is not None)
        if step.host is not None and host is not None:
            told += place.host_says(host).agent is not None
        said += told
        assert said < 100, "they argue for ever"
        inbox += [wish] * told
        while not inbox and (deadline := place.deadline()) is not None:
            now = max(now, deadline)
            step = place.tick(now, allow)
            if step.host is not None and host is not None and place.host_says(host).agent is not None:
                inbox.append(wish)
                said += 1
            if step.agent is not None:
                inbox.append(wish)
                said += 1
    return said


def test_an_agent_that_insists_on_what_policy_forbids_is_let_alone_in_the_end() -> None:
    place = Placement(A, A)
    assert 3 <= argue(place, at(A, -50), right_of_ten, None) <= 30
    assert place.shown == A
    assert place.deadline() is None


def test_an_agent_that_insists_on_what_the_window_manager_refuses_is_let_alone_in_the_end() -> None:
    place = Placement(A, A)
    assert 3 <= argue(place, B, anywhere, A) <= 60
    assert place.shown == A
    assert place.deadline() is None


def test_an_agent_that_obeys_and_then_wishes_again_is_let_alone_in_the_end() -> None:
    place = Placement(A, A)
    corrections = [now for now in range(200) if _obey_then_wish(place, float(now))]
    assert len(corrections) < 20
    assert corrections[-1] < 150
    waits = [later - sooner for sooner, later in pairwise(corrections)]
    assert waits[-1] >= 32


def _obey_then_wish(place: Placement, now: float) -> bool:
    step = place.tick(now, anywhere)
    if step.agent is None:
        step = place.agent_says(B, anywhere)
        if step.host is not None:
            step = place.host_says(A)
    if step.agent is None:
        return False
    place.agent_says(step.agent, anywhere)
    return True


def test_a_dispute_is_forgotten_when_the_agent_obeys() -> None:
    place = Placement(A, A)
    off = at(A, -50)
    for _ in range(5):
        place.agent_says(off, right_of_ten)
        place.agent_says(A, right_of_ten)
    for now in range(0, 40, 4):
        place.tick(float(now), right_of_ten)
    assert place.deadline() is None
    assert place.agent_says(off, right_of_ten) == Step(agent=A)


# --- any timing at all ---


class TwoSides(RuleBasedStateMachine):
    """An agent and a desktop around a Placement, with a queue in each of the four directions."""

    @initialize(
        always_answers=st.booleans(),
        allow=st.sampled_from([anywhere, right_of_ten]),
        wm=st.sampled_from([None, lambda wish: at(wish, min(wish.x, 30))]),
    )
    def start(
        self,
        always_answers: bool,
        allow: Callable[[Geometry], Geometry],
        wm: Callable[[Geometry], Geometry] | None,
    ) -> None:
        self.always_answers, self.allow, self.wm = always_answers, allow, wm
        self.place = Placement(A, A)
        self.agent = self.window = A
        self.now = 0.0
        self.to_agent: deque[Geometry] = deque()
        self.from_agent: deque[Geometry] = deque()
        self.to_host: deque[Geometry] = deque()
        self.from_host: deque[Geometry] = deque()

    def do(self, step: Step) -> None:
        if step.host is not None:
            self.to_host.append(step.host)
        if step.agent is not None:
            self.to_agent.append(step.agent)

    @rule(wish=FEW)
    def program_moves_its_window(self, wish: Geometry) -> None:
        if wish != self.agent:
            self.agent = wish
            self.from_agent.append(wish)

    @rule(wish=FEW)
    def user_moves_the_window(self, wish: Geometry) -> None:
        if wish != self.window:
            self.window = wish
            self.from_host.append(wish)

    @precondition(lambda self: self.to_agent)
    @rule()
    def agent_obeys(self) -> None:
        told = self.to_agent.popleft()
        if self.always_answers or told != self.agent:
            self.from_agent.append(told)
        self.agent = told

    @precondition(lambda self: self.from_agent)
    @rule()
    def core_hears_the_agent(self) -> None:
        self.do(self.place.agent_says(self.from_agent.popleft(), self.allow))

    @precondition(lambda self: self.to_host)
    @rule()
    def host_obeys(self) -> None:
        told = self.to_host.popleft()
        place = told if self.wm is None else self.wm(told)
        if place != self.window or self.wm is not None:  # ICCCM 4.1.5: a window manager says so even if nothing changed
            self.from_host.append(place)
        self.window = place

    @precondition(lambda self: self.from_host)
    @rule()
    def core_hears_the_host(self) -> None:
        self.do(self.place.host_says(self.from_host.popleft()))

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.1, 2.1, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.do(self.place.tick(self.now, self.allow))

    def teardown(self) -> None:
        if not hasattr(self, "place"):
            return
        for _ in range(500):
            for queue, deliver in (
                (self.to_agent, self.agent_obeys),
                (self.from_agent, self.core_hears_the_agent),
                (self.to_host, self.host_obeys),
                (self.from_host, self.core_hears_the_host),
            ):
                if queue:
                    deliver()
                    break
            else:
                deadline = self.place.deadline()
                if deadline is None:
                    break
                self.now = max(self.now, deadline)
                self.do(self.place.tick(self.now, self.allow))
        else:
            raise AssertionError("it never comes to rest")
        assert self.agent == self.window == self.place.agent == self.place.shown
        assert self.place.asked is None


TwoSides.TestCase.settings = settings(max_examples=300, stateful_step_count=40)
TestTwoSides = TwoSides.TestCase


@pytest.mark.parametrize("increments", [2, 7, 10])
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=10))
def test_a_terminal_that_only_has_whole_rows_settles_at_whole_rows(increments: int, sizes: list[int]) -> None:
    """It does as it is told, and then resizes itself: the user drags its edge, at rest between the steps."""
    start = Geometry(50, 50, 100, 10 * increments)
    place, window = Placement(start, start), start
    for seconds, height in enumerate(sizes):
        for now in (5.0 * seconds, 5.0 * seconds + 3):
            assert place.tick(now, anywhere) == NOTHING
        window = Geometry(50, 50, 100, height)
        inbox = [place.host_says(window).agent]
        rounds = 0
        while inbox:
            told = inbox.pop(0)
            if told is None:
                continue
            rounds += 1
            assert rounds < 10
            whole = Geometry(50, 50, 100, max(1, told.height // increments) * increments)
            for said in (told, whole):
                step = place.agent_says(said, anywhere)
                window = step.host or window
                inbox.append(step.agent)
        assert place.agent == place.shown == window
        assert window.height % increments == 0
