"""What the user copies in one VM can be neither read nor wiped by another, whatever that says and whenever."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from guid.core import clipboard
from guiproto import messages as wire
from guiproto.limits import CLIPBOARD_OVERSIZE
from tests.e2e.rig import wait_for
from tests.hostile.agent import WINDOW, Agent
from tests.hostile.attacks import raw
from tests.hostile.served import Served

SECRET: Final = b"correct horse battery staple"
_KIND: Final = 140
COPY: Final = ("Control_L", "Shift_L", "c")
PASTE: Final = ("Control_L", "Shift_L", "v")


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipboard, "ANSWER_SECONDS", 1.0)  # of workers that begin now


@pytest.fixture
def desk(_impatience: None, served: Served) -> Served:
    """Three VMs with a window each."""
    for name, x in (("work", 1700), ("bad", 50), ("mail", 900)):
        served.show(name, x, 500)
    return served


def held(desk: Served) -> dict[str, Any] | None:
    """What `guid clipboard status` says."""
    rows = desk.request("clipboard")["clipboards"]
    return rows[0] if rows else None


def ask(desk: Served, name: str) -> Agent:
    """The user presses the key to copy in that VM; its agent, which has been asked."""
    agent = desk.agents[name]
    before = len(agent.told(wire.ClipboardReq))
    desk.press(name, *COPY)
    wait_for("the question", lambda: len(agent.told(wire.ClipboardReq)) > before)
    return agent


def copy(desk: Served) -> None:
    """The user copies the secret in work."""
    ask(desk, "work").tell(wire.ClipboardData(WINDOW, SECRET))
    wait_for("the text", lambda: (found := held(desk)) and found["source"] == "work")


def say(desk: Served, *texts: bytes) -> None:
    """The attacker gives these, for whatever window, and is heard."""
    bad = desk.agents["bad"]
    for number, text in enumerate(texts):
        bad.send(raw(_KIND, (0, WINDOW, 0xDEAD)[number % 3], text))
    bad.settle()


TEXTS: Final = (b"evil", b"", bytes(CLIPBOARD_OVERSIZE), b"x" * 64_001, b"\xff\x00")


def _unasked(desk: Served) -> None:
    copy(desk)
    say(desk, *TEXTS * 3)


def _asked_before(desk: Served) -> None:
    """It was asked, let the user copy elsewhere, and answers then."""
    ask(desk, "bad")
    copy(desk)
    say(desk, *TEXTS)


def _asked_and_answered(desk: Served) -> None:
    """Its one answer is used up, by too much."""
    ask(desk, "bad")
    say(desk, bytes(CLIPBOARD_OVERSIZE))
    desk.said("bad: nothing was copied: it is more than")
    copy(desk)
    say(desk, *TEXTS)


def _too_late(desk: Served) -> None:
    ask(desk, "bad")
    desk.said("bad: nothing was copied: this VM did not answer within 1 s")
    say(desk, b"evil")
    assert held(desk) is None
    copy(desk)
    say(desk, *TEXTS)


def _while_another_is_asked(desk: Served) -> None:
    """Words for work, which is slow to answer."""
    work = ask(desk, "work")
    say(desk, *TEXTS)
    assert held(desk) is None
    work.tell(wire.ClipboardData(WINDOW, SECRET))
    wait_for("the text", lambda: held(desk))


def _gone_while_another_is_asked(desk: Served) -> None:
    """It was asked, and hangs up when work is asked."""
    ask(desk, "bad")
    work = ask(desk, "work")
    desk.agents.pop("bad").close()
    wait_for("its end", lambda: desk.rows()["bad"]["state"] == "waiting")
    work.tell(wire.ClipboardData(WINDOW, SECRET))
    wait_for("the text", lambda: held(desk))
    wait_for("the attacker's window", lambda: desk.show("bad", 50, 500))


def _daemons_words(desk: Served) -> None:
    """It says what only a daemon says, and its session ends."""
    copy(desk)
    desk.agents["bad"].send(raw(139, WINDOW, b""))
    desk.said("bad: session ended: unknown message type")
    desk.show("bad", 50, 500)


WIPERS: Final[Mapping[str, Callable[[Served], None]]] = {
    "texts that nobody asked for": _unasked,
    "an answer after another copy": _asked_before,
    "more after the one answer": _asked_and_answered,
    "an answer after the time limit": _too_late,
    "texts while another VM is asked": _while_another_is_asked,
    "hanging up while another VM is asked": _gone_while_another_is_asked,
    "a request of its own": _daemons_words,
}


@pytest.mark.parametrize("wipe", WIPERS.values(), ids=WIPERS)
def test_nothing_is_lost_and_nothing_is_read(desk: Served, wipe: Callable[[Served], None]) -> None:
    wipe(desk)
    found = held(desk)
    assert found is not None
    assert (found["source"], found["size"]) == ("work", len(SECRET))
    desk.press("mail", *PASTE)
    say(desk, *TEXTS)  # at the moment of pasting
    mail, bad = desk.agents["mail"], desk.agents["bad"]
    wait_for("the text", lambda: mail.told(wire.ClipboardData))
    mail.settle()
    assert [said.data for said in mail.told(wire.ClipboardData)] == [SECRET]
    assert bad.told(wire.ClipboardData) == []
    assert held(desk) is None, "it is given once"
    rows = desk.rows()
    assert all(rows[name]["restarts"] == 0 for name in ("work", "mail"))
    assert len([line for line in desk.log().splitlines() if line.startswith("bad: ")]) < 10


def test_no_key_of_another_vm_pastes_into_it(desk: Served) -> None:
    """The key counts where it is pressed: the attacker's window is over the pointer, and everywhere."""
    bad = desk.agents["bad"]
    copy(desk)
    bad.tell(wire.Create(99, 600, 300, 900, 700, 0, 1), wire.Map(99, 0, 1))
    bad.settle()
    desk.screen.move_pointer(900, 500)
    desk.press("mail", *PASTE)
    wait_for("the text", lambda: desk.agents["mail"].told(wire.ClipboardData))
    bad.settle()
    assert bad.told(wire.ClipboardData) == []
