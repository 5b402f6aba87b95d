"""The question whether a text may be pasted is answered by the user at the desktop, by nobody else, or with no."""

import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from guid.spec import ViewSpec, VmSpec
from guid.supervisor.question import HEIGHT, NO, SETTLE_SECONDS, WIDTH, YES, Button
from guid.supervisor.questions import ANSWER_SECONDS, Questions
from guiproto.errors import MachineCannot
from tests.e2e.rig import Screen, wait_for
from tests.xserver import XServer

PAPER = 0xF4F4F4


class Asked:
    """A supervisor's questions, and a user before the screen."""

    def __init__(self, display: str) -> None:
        self.display = display
        self.screen = Screen(display)
        self.now = 100.0
        self.poll = select.epoll()
        self.questions = Questions(self.poll, lambda: self.now)
        self.answers: list[tuple[bool, str]] = []

    def ask(self, target: str = "untrusted", **fields: Any) -> None:
        fields.setdefault("view", ViewSpec(display=self.display))
        spec = VmSpec(target, 7, "red", **fields)
        self.questions.ask(spec, "vault", "black", lambda yes, why: self.answers.append((yes, why)))

    def turn(self) -> None:
        for fd, _ in self.poll.poll(0.02):
            self.questions.ready(fd)

    def place(self) -> tuple[int, int] | None:
        """Where the question is, once it is drawn."""
        self.turn()
        for window in self.screen.root.query_tree().children:
            if window.get_wm_name() == "guid: paste?":
                x, y = (size := window.get_geometry()).x + size.border_width, size.y + size.border_width
                if (self.screen.pixels(x, y, WIDTH, HEIGHT) == 0x202020).sum() > 1000:
                    return x, y
        return None

    def shown(self) -> tuple[int, int]:
        return wait_for("the question", self.place)

    def click(self, button: Button) -> None:
        x, y = self.shown()
        self.screen.move_pointer(x + button.x + 10, y + button.y + 10)
        self.screen.button(1)

    def click_until_answered(self, button: Button) -> tuple[bool, str]:
        """Clicks do not count at first."""

        def look() -> bool:
            if not self.answers and self.place() is not None:
                self.click(button)
            self.turn()
            return bool(self.answers)

        wait_for("an answer", look)
        return self.answers[0]

    def close(self) -> None:
        self.questions.close()
        self.poll.close()
        self.screen.close()


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    with XServer(1000, 700) as server:
        yield server


@pytest.fixture
def asked(server: XServer) -> Iterator[Asked]:
    made = Asked(server.display)
    yield made
    made.close()


@pytest.mark.parametrize("yes", [True, False])
def test_the_user_answers(asked: Asked, yes: bool) -> None:
    asked.ask()
    answer = asked.click_until_answered(YES if yes else NO)
    assert answer == ((True, "yes") if yes else (False, "you did not allow it"))
    wait_for("the question to go", lambda: asked.place() is None)
    asked.ask()
    asked.shown()


def test_it_names_both_vms_with_their_colours(asked: Asked, tmp_path: Path) -> None:
    asked.ask()
    x, y = asked.shown()
    pixels = asked.screen.pixels(x, y, WIDTH, HEIGHT)
    Image.fromarray(pixels.astype("<u4").view("u1").reshape(HEIGHT, WIDTH, 4)[:, :, 2::-1].copy()).save(
        tmp_path / "question.png"
    )
    assert (pixels == 0x000000).sum() >= 14 * 14
    assert (pixels == 0xCC0000).sum() >= 14 * 14


def test_a_click_that_was_on_its_way_does_not_count(asked: Asked) -> None:
    asked.ask()
    asked.click(YES)
    asked.turn()
    assert not asked.answers, f"within {SETTLE_SECONDS} s"


def test_what_covers_it_does_not_stay_above_and_clicks_count_anew(asked: Asked) -> None:
    """As an AppVM's menus do, which no window manager minds."""
    asked.ask()
    x, y = asked.shown()
    cover = asked.screen.root.create_window(x, y, WIDTH, HEIGHT, 0, 24, override_redirect=True, background_pixel=0xFF)
    for _ in range(3):
        cover.unmap()
        cover.map()
        asked.screen.sync()
        wait_for("the question above it", asked.place)
        asked.click(YES)
        asked.turn()
        assert not asked.answers
    cover.destroy()
    assert asked.click_until_answered(YES)[0]


def test_nobody_answers(asked: Asked) -> None:
    asked.ask()
    asked.shown()
    (deadline,) = asked.questions.deadlines()
    assert deadline == asked.now + ANSWER_SECONDS
    asked.questions.due(deadline - 0.1)
    assert not asked.answers
    asked.questions.due(deadline)
    assert asked.answers == [(False, "nobody answered within 30 s")]
    wait_for("the question to go", lambda: asked.place() is None)


def test_a_question_that_is_withdrawn_is_answered_to_nobody(asked: Asked) -> None:
    asked.ask()
    asked.shown()
    asked.questions.withdraw("another")
    asked.questions.withdraw("untrusted")
    wait_for("the question to go", lambda: asked.place() is None)
    assert not asked.answers
    assert asked.questions.deadlines() == []


def test_one_question_about_a_vm(asked: Asked) -> None:
    asked.ask()
    with pytest.raises(MachineCannot, match="open already"):
        asked.ask()
    asked.ask("another")
    assert len(asked.questions.deadlines()) == 2


@pytest.mark.parametrize(
    "fields",
    [{"view": ViewSpec(host="headless")}, {"gui_vm": "sys-gui", "gui_domain": "sys-gui", "gui_domid": 9}],
    ids=["headless", "an AppVM"],
)
def test_where_there_is_no_way_to_ask(asked: Asked, fields: dict[str, Any]) -> None:
    with pytest.raises(MachineCannot, match="wants you to be asked"):
        asked.ask(**fields)


def test_a_display_that_is_not_there(asked: Asked) -> None:
    asked.ask(view=ViewSpec(display=":4321"))

    def answered() -> bool:
        asked.turn()
        return bool(asked.answers)

    wait_for("the answer", answered)
    assert not asked.answers[0][0]
    assert ":4321" in asked.answers[0][1]
