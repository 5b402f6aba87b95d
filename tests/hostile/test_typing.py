"""What the user types into one VM reaches that VM, whole, and no other, whatever another one does with its windows."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pytest
from Xlib import X

from guiproto import messages as wire
from tests.e2e.rig import wait_for
from tests.hostile.agent import HEIGHT, WIDTH, WINDOW, Agent
from tests.hostile.field import Field, Shown

TEXT: Final = "thequickbrownfox"
_BUTTONS: Final = 0x1F00
"""The bits of X's state that are the pointer's; the others are modifiers and the keyboard layout."""
_FIRST: Final = 2000
_POINTER: Final = (900, 600)


@pytest.fixture(scope="module")
def managed_field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with Field(tmp_path_factory.mktemp("managed"), managed=True) as made:
        yield made


def _six(agent: Agent, override_redirect: int) -> None:
    agent.tell(*(wire.Create(_FIRST + n, 300 * n, 0, 300, 1200, 0, override_redirect) for n in range(6)))


def _flash(agent: Agent, turn: int) -> None:
    """Windows without a window manager's care come and go under the pointer, wherever it is."""
    if turn == 0:
        _six(agent, 1)
    agent.tell(*(wire.Map(_FIRST + n, 0, 1) for n in range(6)), *(wire.Unmap(_FIRST + n) for n in range(6)))


def _come_up(agent: Agent, turn: int) -> None:
    """Ordinary windows are made, mapped and wanted at once, and go again."""
    number = _FIRST + 10 * turn
    x, y = _POINTER
    agent.tell(
        wire.Create(number, x - 100, y - 100, 200, 200, 0, 0), wire.WindowFlags(number, 2, 0), wire.Map(number, 0, 0),
        wire.Create(number + 1, x - 90, y - 90, 200, 200, 0, 0), wire.Map(number + 1, number, 0),
        wire.WindowFlags(number + 1, 2, 0), wire.Destroy(number),
    )  # fmt: skip


def _slide(agent: Agent, turn: int) -> None:
    """A window moves under the pointer and away again, and is raised by being mapped anew."""
    if turn == 0:
        agent.tell(wire.Create(_FIRST, 0, 0, 400, 400, 0, 1))
    agent.tell(wire.Map(_FIRST, 0, 1))
    for x in (_POINTER[0] - 200, 0, _POINTER[0] - 100):
        agent.tell(wire.Configure(_FIRST, x, _POINTER[1] - 200, 400, 400, 1))
    agent.tell(wire.Unmap(_FIRST))


def _own(agent: Agent, turn: int) -> None:
    """The window that it has had all the time is taken away, put under the pointer and shown, full screen and not."""
    x, y = _POINTER
    agent.tell(
        wire.Unmap(WINDOW), wire.Configure(WINDOW, x - 50, y - 50, WIDTH, HEIGHT, 0), wire.Map(WINDOW, 0, 0),
        wire.WindowFlags(WINDOW, 1 if turn % 2 else 2, 2 if turn % 2 else 1), wire.WindowFlags(WINDOW, 4, 0),
    )  # fmt: skip


def _dock(agent: Agent, turn: int) -> None:
    """Icons for a notification area that nobody has, and transient windows of the neighbour's number."""
    number = _FIRST + 10 * turn
    agent.tell(
        wire.Create(number, *_POINTER, 24, 24, 0, 0), wire.Dock(number),
        wire.Create(number + 1, *_POINTER, 90, 90, 0, 0), wire.Map(number + 1, WINDOW, 0), wire.Destroy(number),
    )  # fmt: skip


THIEVES: Final[Mapping[str, Callable[[Agent, int], None]]] = {
    "windows that flash under the pointer": _flash,
    "windows that come up by themselves": _come_up,
    "a window that slides under the pointer": _slide,
    "its own window again and again": _own,
    "icons and transient windows": _dock,
}


MANAGED_THIEVES: Final = [name for name, steal in THIEVES.items() if steal in (_flash, _slide)]
"""Who gets the keyboard when an ordinary window comes up is the window manager's to say, see docs/windows.md."""


@pytest.mark.parametrize("steal", THIEVES.values(), ids=THIEVES)
def test_every_key_reaches_whom_it_is_meant_for(field: Field, steal: Callable[[Agent, int], None]) -> None:
    type_beside(field, steal)


@pytest.mark.parametrize("name", MANAGED_THIEVES)
def test_every_key_does_so_under_a_window_manager(managed_field: Field, name: str) -> None:
    type_beside(managed_field, THIEVES[name])


def type_beside(desk: Field, steal: Callable[[Agent, int], None]) -> None:
    neighbour = desk.bystander
    with desk.hostile() as bad:
        window = desk.screen.window(bad.row()["local_id"])
        wait_for("its window", lambda: window.get_attributes().map_state == X.IsViewable)
        _give_focus(desk, neighbour)
        before, bitmaps = len(_typed(neighbour)), len(bad.agent.told(wire.KeymapNotify))
        desk.screen.move_pointer(*_POINTER)
        for turn, letter in enumerate(TEXT):
            steal(bad.agent, turn)
            if turn % 2:
                bad.agent.settle()  # else keys are pressed while it is still at it
            desk.screen.press("Shift_L", letter)
        bad.agent.settle()
        codes = {letter: desk.screen.keycodes("Shift_L", letter) for letter in TEXT}
        expected = [(kind, code) for letter in TEXT for kind in (2, 3) for code in codes[letter]]
        wait_for("every key", lambda: len(_typed(neighbour)) >= before + len(expected))
        assert _typed(neighbour)[before:] == expected
        bad.agent.settle()
        assert bad.agent.told(wire.KeyPress) == []
        assert len(bad.agent.told(wire.KeymapNotify)) == bitmaps
        crossings = bad.agent.told(wire.Crossing)
        assert all(crossing.state & ~_BUTTONS == 0 for crossing in crossings), crossings
        assert all(motion.state & ~_BUTTONS == 0 for motion in bad.agent.told(wire.Motion))
        assert not bad.reason()
        desk.bystander_is_served()
    desk.bystander_is_shown()


def test_a_passing_pointer_is_told_of(field: Field) -> None:
    """What the other tests look for in vain would be seen if it were said."""
    desk = field
    with desk.hostile() as bad:
        desk.screen.move_pointer(5, 5)
        x, y = bad.corner()
        desk.screen.move_pointer(x + 20, y + 20)
        wait_for("a crossing", lambda: bad.agent.told(wire.Crossing))
        _give_focus(desk, bad)
        desk.screen.press("Shift_L", "a")
        wait_for("keys", lambda: len(bad.agent.told(wire.KeyPress)) >= 4)
        assert bad.agent.told(wire.KeymapNotify)


def _give_focus(desk: Field, shown: Shown) -> None:
    """By a click, as users do; where no window manager minds those, directly."""
    x, y = shown.corner()
    desk.screen.move_pointer(x + 10, y + 10)
    desk.screen.button(1)
    if not desk.managed:
        desk.screen.focus(shown.row()["local_id"])

    def has_focus() -> bool:
        shown.agent.read()
        last = [said for said in shown.agent.told(wire.Focus) if said.window == WINDOW][-1:]
        return bool(last and last[0].kind == 9)

    wait_for("the keyboard", has_focus)


def _typed(shown: Shown) -> list[tuple[int, int]]:
    return [(key.kind, key.keycode) for key in shown.agent.told(wire.KeyPress)]
