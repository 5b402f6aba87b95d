"""The user's two keys, and one answer of the agent that counts."""

from pathlib import Path

import pytest

from guid.core.clipboard import ANSWER_SECONDS, REPEAT_SECONDS, ClipboardKeys
from guid.core.commands import BeginCopy, Command, Copied, NotCopied, Notify, WantPaste
from guid.core.host_events import KeyboardEvent, KeyEvent
from guid.core.key_sequence import KeySequence
from guid.core.session import Session
from guid.core.trusted import WindowId
from guiproto.connection import DaemonConnection
from guiproto.messages import ClipboardData, ClipboardReq, KeyPress
from tests.guid.core.playbook import CONFIG, SCREEN, WINDOW, Playbook, tell

C, V, A = 54, 55, 38
CONTROL_SHIFT = 5
NUM_LOCK = 0x10
KEYS = ClipboardKeys(frozenset({C}), frozenset({V}))
RECORDING = Path(__file__).parents[2] / "data" / "xterm-with-menu.hex"


def book(*, minor: int = 8, size: int = 1000) -> Playbook:
    made = Playbook(
        copy_keys=KeySequence.parse("Ctrl-Shift-c"), paste_keys=KeySequence.parse("Ctrl-Shift-v"),
        max_clipboard_size=size,
    )  # fmt: skip
    made.session = Session(made.session._config, SCREEN, KEYS, minor)
    return made.with_window()


def key(code: int, state: int = CONTROL_SHIFT, *, pressed: bool = True) -> KeyEvent:
    return KeyEvent(WINDOW, pressed, code, 5, 6, state)


def told(code: int, kind: int, state: int) -> Command:
    return tell(KeyPress(WINDOW, kind, 5, 6, state, code))


REQUEST = tell(ClipboardReq(WINDOW))


def copying(*, minor: int = 8, size: int = 1000) -> Playbook:
    made = book(minor=minor, size=size)
    made.host(key(C)).does(BeginCopy(), REQUEST)
    made.host(key(C, pressed=False)).does()
    return made


# --- keys ---


@pytest.mark.parametrize("state", [CONTROL_SHIFT, CONTROL_SHIFT | NUM_LOCK, CONTROL_SHIFT | 2, CONTROL_SHIFT | 0x2000])
def test_the_keys_are_ours_whatever_the_locks_are(state: int) -> None:
    made = book()
    made.host(key(C, state)).does(BeginCopy(), REQUEST)
    made.host(key(C, state, pressed=False)).does()
    made.host(key(V, state)).does(WantPaste())
    made.host(key(V, state, pressed=False)).does()


@pytest.mark.parametrize("state", [0, 1, 4, CONTROL_SHIFT | 8, CONTROL_SHIFT | 0x40])
def test_with_other_modifiers_they_are_the_vms(state: int) -> None:
    made = book()
    made.host(key(C, state)).does(told(C, 2, state))
    made.host(key(C, state, pressed=False)).does(told(C, 3, state))


def test_the_release_is_ours_also_when_modifiers_went_up_before() -> None:
    made = book()
    made.host(key(C)).does(BeginCopy(), REQUEST)
    made.host(key(C, 0, pressed=False)).does()
    made.host(key(C, 0)).does(told(C, 2, 0))
    made.host(key(C, 0, pressed=False)).does(told(C, 3, 0))


def test_a_key_whose_release_went_elsewhere_is_the_vms_again() -> None:
    made = book()
    made.host(key(C)).does(BeginCopy(), REQUEST)
    made.host(key(C, 0)).does(told(C, 2, 0))
    made.host(key(C, 0, pressed=False)).does(told(C, 3, 0))


def test_a_press_after_a_lost_release_counts() -> None:
    made = book()
    made.host(key(V)).does(WantPaste())
    made.host(key(V)).does(WantPaste())


def test_a_held_key_means_one_thing_however_often_it_repeats() -> None:
    made = book()
    made.host(key(V)).does(WantPaste())
    for now in range(5):
        made.host(key(V, pressed=False), key(V)).does()
        made.at(10.0 + now).does()
    made.host(key(V, pressed=False)).does()
    assert made.session.deadline() == 0.0
    made.at(20.0).does()
    assert made.session.deadline() == 20.0 + REPEAT_SECONDS
    made.at(20.0 + REPEAT_SECONDS).does()
    assert made.session.deadline() is None
    made.host(key(V)).does(WantPaste())


def test_keys_that_are_switched_off_or_elsewhere_are_the_vms() -> None:
    made = book()
    made.session.set_keys(ClipboardKeys(copy=frozenset({A})))
    made.host(KeyboardEvent()).does()
    made.host(key(C), key(V)).does(told(C, 2, CONTROL_SHIFT), told(V, 2, CONTROL_SHIFT))
    made.host(key(A)).does(BeginCopy(), REQUEST)
    off = Playbook().with_window()
    off.session.set_keys(KEYS)
    off.host(key(C)).does(told(C, 2, CONTROL_SHIFT))


def test_keys_in_windows_that_are_gone_are_nobodys() -> None:
    made = book()
    made.host(KeyEvent(WindowId(9), True, C, 0, 0, CONTROL_SHIFT)).does()


# --- the answer ---


def test_one_answer_counts() -> None:
    made = copying()
    made.agent(ClipboardData(WINDOW, b"text")).does(Copied(b"text"))
    made.agent(ClipboardData(WINDOW, b"more"), ClipboardData(WINDOW, b"")).does()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "nothing was copied: this VM's clipboard has no text"),
        (bytes(1001), "nothing was copied: it is more than the 1000 bytes that this VM may give"),
        (bytes(256001), "nothing was copied: it is more than the 1000 bytes that this VM may give"),
    ],
    ids=["empty", "more than this VM may", "more than any may"],
)
def test_an_answer_that_is_none_is_used_up_as_well(data: bytes, why: str) -> None:
    made = copying()
    made.agent(ClipboardData(0, data)).does(NotCopied(), Notify(why))
    made.agent(ClipboardData(WINDOW, b"secret"), ClipboardData(WINDOW, data)).does()


def test_an_answer_that_comes_too_late_does_not_count() -> None:
    made = copying()
    made.at(100.0).does()
    assert made.session.deadline() == 100.0 + REPEAT_SECONDS
    made.at(100.0 + ANSWER_SECONDS - 0.1).does()
    assert made.session.deadline() == 100.0 + ANSWER_SECONDS
    made.at(100.0 + ANSWER_SECONDS).does(NotCopied(), Notify("nothing was copied: this VM did not answer within 10 s"))
    assert made.session.deadline() is None
    made.agent(ClipboardData(WINDOW, b"late")).does()


def test_the_key_again_while_an_answer_is_awaited_asks_nothing_more() -> None:
    made = copying()
    made.at(0.0).does()
    made.at(1.0).does()
    made.host(key(C)).does(BeginCopy())
    made.agent(ClipboardData(WINDOW, b"text")).does(Copied(b"text"))


def test_too_much_even_when_asked_for_ends_the_session() -> None:
    copying().agent(ClipboardData(0, bytes(256002))).breaks("CLIPBOARD_DATA size")


def test_the_answer_of_another_program_that_was_recorded_counts() -> None:
    daemon, made = DaemonConnection(), copying(size=256000)
    lines = [line.split() for line in RECORDING.read_text().splitlines() if not line.startswith("#")]
    answers = []
    for sender, data in lines:
        if sender == "agent":
            daemon.feed(bytes.fromhex(data))
            answers += [event for event in daemon.events() if isinstance(event, ClipboardData)]
    (answer,) = answers
    command = made.agent(answer).commands[0]
    assert isinstance(command, Copied if answer.data else NotCopied)


# --- pasting ---


def test_what_was_copied_is_given_to_the_vm_that_waits_for_it() -> None:
    made = book()
    made.host(key(V)).does(WantPaste())
    assert made.session.paste(b"text") == [tell(ClipboardData(WINDOW, b"text"))]
    assert made.session.paste(b"text") == [Notify("nothing was pasted: this VM's agent has begun anew")]


@pytest.mark.parametrize(("minor", "longest"), [(4, 65000), (7, 65000), (8, 256000)])
def test_no_agent_gets_more_than_its_version_takes(minor: int, longest: int) -> None:
    made = book(minor=minor)
    made.host(key(V)).does(WantPaste())
    assert made.session.paste(bytes(longest)) == [tell(ClipboardData(WINDOW, bytes(longest)))]
    made.session.tick(0.0)
    made.host(key(V)).does(WantPaste())
    (said,) = made.session.paste(bytes(longest + 1))
    assert said == Notify(f"nothing was pasted: it is more than the {longest} bytes that this VM's agent can take")


def test_what_the_agent_says_pastes_nothing() -> None:
    made = book()
    made.host(key(V)).does(WantPaste())
    made.agent(ClipboardData(WINDOW, b"text")).does()


def test_the_defaults_have_no_keys_and_the_limit_of_qubes() -> None:
    assert (CONFIG.copy_keys, CONFIG.paste_keys, CONFIG.max_clipboard_size) == (None, None, 64000)
