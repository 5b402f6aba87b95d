"""A text moves from the VM where the user pressed copy to the one where he pressed paste, at most once: nothing else.

Two sessions and the exchange between them, as the worker and the supervisor put them together, driven at random.
"""

from collections.abc import Iterable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from guid.core.commands import BeginCopy, Command, Copied, NotCopied, Paint, SendToAgent, WantPaste
from guid.core.exchange import Content, Exchange
from guid.core.host_events import KeyEvent
from guiproto.messages import ClipboardData, ClipboardReq
from tests.guid.core.playbook import WINDOW
from tests.guid.core.test_clipboard import C, V, book

VMS = ("a", "b")
names = st.sampled_from(VMS)


def content(source: str, parcel: bytes) -> Content[bytes]:
    return Content(parcel, len(parcel), source, "red", 0.0)


# --- one by one ---


def exchange() -> tuple[Exchange[bytes], list[bytes]]:
    discarded: list[bytes] = []
    return Exchange(discarded.append), discarded


def test_a_text_comes_in_once_for_each_key() -> None:
    made, discarded = exchange()
    assert not made.put(content("a", b"unasked"))
    made.begin("a")
    first = content("a", b"1")
    assert made.put(first)
    assert not made.put(content("a", b"2"))
    assert discarded == [b"unasked", b"2"]
    assert made.content is first


def test_a_later_key_wins_over_an_earlier_one_whose_answer_is_slow() -> None:
    made, discarded = exchange()
    made.begin("a")
    made.begin("b")
    assert not made.put(content("a", b"slow"))
    assert made.put(content("b", b"new"))
    assert not made.put(content("a", b"slower"))
    assert discarded == [b"slow", b"slower"]


def test_the_key_empties_it_whatever_comes_then() -> None:
    made, discarded = exchange()
    made.begin("a")
    made.put(content("a", b"old"))
    made.begin("b")
    assert made.content is None
    made.give_up("b")
    assert (made.content, made.awaited, discarded) == (None, None, [b"old"])


def test_a_vm_gives_up_for_itself_only() -> None:
    made, _ = exchange()
    made.begin("a")
    made.give_up("b")
    assert made.awaited == "a"


def test_it_is_given_once_and_only_if_it_is_still_the_same() -> None:
    made, discarded = exchange()
    made.begin("a")
    first = content("a", b"1")
    made.put(first)
    made.begin("b")
    assert made.take(first) is None
    second = content("b", b"1")
    made.put(second)
    assert made.take(first) is None
    assert made.take(second) == b"1"
    assert made.take(second) is None
    assert discarded == [b"1"], "what was given is the receiver's"


def test_a_vm_that_leaves_takes_its_text_and_its_turn_with_it() -> None:
    made, discarded = exchange()
    made.begin("a")
    made.leaves("a")
    assert not made.put(content("a", b"1"))
    made.begin("a")
    made.put(content("a", b"2"))
    made.leaves("b")
    assert discarded == [b"1"]
    made.leaves("a")
    assert made.content is None
    assert discarded == [b"1", b"2"]


# --- at random ---


class Keys(RuleBasedStateMachine):
    """Texts are numbered, so that each is known by its source and is in one place only."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.made = 0
        self.books = {name: book(size=1000) for name in VMS}
        self.discarded: list[bytes] = []
        self.exchange: Exchange[bytes] = Exchange(self.discarded.append)
        self.presses: list[str] = []
        """Of the key to copy, by VM."""
        self.source: dict[bytes, str] = {}
        self.copied_at: dict[bytes, int] = {}
        self.pasted: list[tuple[bytes, str]] = []
        self.pasting: str | None = None

    def do(self, name: str, commands: Iterable[Command | Paint]) -> None:
        """As worker and supervisor do."""
        for command in commands:
            match command:
                case BeginCopy():
                    self.exchange.begin(name)
                case Copied(text):
                    if self.exchange.put(content(name, text)):
                        self.copied_at[text] = len(self.presses)
                case NotCopied():
                    self.exchange.give_up(name)
                case WantPaste():
                    assert self.pasting == name, "only the user wants to paste"
                    found = self.exchange.content
                    if found is not None:
                        parcel = self.exchange.take(found)
                        assert parcel is not None
                        self.do(name, self.books[name].session.paste(parcel))
                case SendToAgent(ClipboardData(_, data)):
                    self.pasted.append((data, name))
                case SendToAgent(ClipboardReq()):
                    assert self.presses[-1] == name, "only the user asks for a text"

    def press(self, name: str, code: int) -> None:
        self.books[name].at(self.now)
        self.now += 1.0
        self.do(name, self.books[name].at(self.now).commands)
        for pressed in (True, False):
            self.do(name, self.books[name].host(KeyEvent(WINDOW, pressed, code, 0, 0, 5)).commands)

    @rule(name=names)
    def copy(self, name: str) -> None:
        self.presses.append(name)
        self.press(name, C)

    @rule(name=names)
    def paste(self, name: str) -> None:
        self.pasting = name
        self.press(name, V)
        self.pasting = None

    @rule(name=names, size=st.sampled_from([0, 1, 1, 1, 1001, 256001]))
    def says(self, name: str, size: int) -> None:
        self.made += 1
        text = f"{name}{self.made}".encode().ljust(size)[: max(size, 8) if size else 0]
        self.source[text] = name
        self.do(name, self.books[name].agent(ClipboardData(0, text)).commands)

    @rule(name=names, code=st.sampled_from([C, V, 38]), state=st.sampled_from([0, 1, 4, 13]))
    def types(self, name: str, code: int, state: int) -> None:
        for pressed in (True, False):
            self.do(name, self.books[name].host(KeyEvent(WINDOW, pressed, code, 0, 0, state)).commands)

    @rule(name=names, seconds=st.sampled_from([0.1, 5.0, 11.0]))
    def waits(self, name: str, seconds: float) -> None:
        self.do(name, self.books[name].at(self.now).commands)
        self.now += seconds
        self.do(name, self.books[name].at(self.now).commands)

    @rule(name=names)
    def agent_restarts(self, name: str) -> None:
        self.books[name] = book(size=1000)
        self.exchange.give_up(name)

    @invariant()
    def texts_are_in_one_place(self) -> None:
        held: list[Any] = [] if self.exchange.content is None else [self.exchange.content.parcel]
        everywhere = [*(text for text, _ in self.pasted), *held, *self.discarded]
        assert len(everywhere) == len(set(everywhere))

    @invariant()
    def a_text_is_that_of_the_latest_press(self) -> None:
        for text, press in self.copied_at.items():
            assert self.presses[press - 1] == self.source[text]
        if self.exchange.content is not None:
            parcel = self.exchange.content.parcel
            assert self.copied_at[parcel] == len(self.presses)
            assert self.exchange.content.source == self.source[parcel] == self.presses[-1]

    @invariant()
    def each_press_brings_one_text_at_most(self) -> None:
        presses = list(self.copied_at.values())
        assert len(presses) == len(set(presses))


TestKeys = Keys.TestCase
TestKeys.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
