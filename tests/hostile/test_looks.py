"""However a VM arranges, paints and names its windows, one can see whose they are, and something besides them."""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pytest
from Xlib import X, Xatom

from guid.config.labels import label
from guid.core.coverage import covered
from guid.core.trusted import Geometry
from guiproto import messages as wire
from tests.e2e.rig import wait_for
from tests.hostile.agent import HEIGHT, WIDTH, WINDOW, Agent
from tests.hostile.attacks import dump
from tests.hostile.field import Field, Shown

SCREEN: Final = Geometry(0, 0, 2048, 1280)
MOST: Final = 0.9
BORDER: Final = 3
_FIRST: Final = 3000


def top_level(field: Field) -> Iterator[tuple[Any, Any]]:
    """Every window of the hostile VM that is on the screen, and its attributes."""
    vm = field.screen.display.intern_atom("_QUBES_VMNAME")
    for window in field.screen.root.query_tree().children:
        attributes = window.get_attributes()
        name = window.get_full_property(vm, Xatom.STRING)
        if attributes.map_state == X.IsViewable and name is not None and name.value == b"bad":
            yield window, attributes


def share_covered(field: Field) -> float:
    """How much of the screen windows cover that no window manager can put away."""
    frames = []
    for window, attributes in top_level(field):
        if attributes.override_redirect:
            size = window.get_geometry()
            frames.append(Geometry(size.x, size.y, size.width, size.height))
    return covered(frames, SCREEN) / (SCREEN.width * SCREEN.height)


def tile(agent: Agent, columns: int, rows: int) -> None:
    """Override-redirect windows over all of the screen."""
    width, height = SCREEN.width // columns, SCREEN.height // rows
    for number in range(columns * rows):
        x, y = number % columns * width, number // columns * height
        agent.tell(wire.Create(_FIRST + number, x, y, width, height, 0, 1), wire.Map(_FIRST + number, 0, 1))


def _grown(agent: Agent) -> None:
    """They are small when they are looked at, and grow together once they are mapped."""
    for number in range(8):
        agent.tell(wire.Create(_FIRST + number, 250 * number, 0, 20, 20, 0, 1), wire.Map(_FIRST + number, 0, 1))
    for height in (300, 700, 1280, 6144):
        agent.tell(*(wire.Configure(_FIRST + n, 256 * n, 0, 256, height, 1) for n in range(8)))


def _apart(agent: Agent) -> None:
    """They are mapped above each other, where they cover little, and move apart then."""
    for number in range(4):
        agent.tell(wire.Create(_FIRST + number, 0, 0, 1000, 620, 0, 1), wire.Map(_FIRST + number, 0, 1))
    agent.tell(*(wire.Configure(_FIRST + n, 1024 * (n % 2), 640 * (n // 2), 1018, 634, 1) for n in range(4)))


def _parked(agent: Agent) -> None:
    """They are mapped beside the screen, and come in."""
    for number in range(4):
        agent.tell(wire.Create(_FIRST + number, 3000, 3000, 1018, 634, 0, 1), wire.Map(_FIRST + number, 0, 1))
    agent.tell(*(wire.Configure(_FIRST + n, 1024 * (n % 2), 640 * (n // 2), 1018, 634, 1) for n in range(4)))


def _turned(agent: Agent) -> None:
    """They are ordinary windows at first, and are mapped again as others."""
    for number in range(4):
        agent.tell(
            wire.Create(_FIRST + number, 1024 * (number % 2), 640 * (number // 2), 1018, 634, 0, 0),
            wire.Map(_FIRST + number, 0, 0), wire.Unmap(_FIRST + number), wire.Map(_FIRST + number, 0, 1),
        )  # fmt: skip


COVERS: Final[Mapping[str, Callable[[Agent], None]]] = {
    "one": lambda agent: tile(agent, 1, 1),
    "two": lambda agent: tile(agent, 2, 1),
    "twelve": lambda agent: tile(agent, 4, 3),
    "a thousand": lambda agent: tile(agent, 40, 25),
    "strips that grow": _grown,
    "four that move apart": _apart,
    "four that come in from outside": _parked,
    "ordinary ones that turn": _turned,
}


@pytest.mark.parametrize("cover", COVERS.values(), ids=COVERS)
def test_windows_leave_a_part_of_the_screen_free(field: Field, cover: Callable[[Agent], None]) -> None:
    with field.hostile() as bad:
        cover(bad.agent)
        bad.agent.settle()
        shown = sum(row["mapped"] for row in bad.windows())
        wait_for("them to be mapped", lambda: len(list(top_level(field))) == shown)
        assert share_covered(field) <= MOST
        assert not bad.reason()
        field.bystander_is_served()


def _larger(agent: Agent) -> None:
    """A buffer that is larger than the window, and damage all over it."""
    pages = agent.share(4 * WIDTH * 4 * HEIGHT * 4)
    agent.pixels(pages, 4 * WIDTH, 4 * HEIGHT)[:] = 0x123456
    agent.dump(WINDOW, 4 * WIDTH, 4 * HEIGHT, pages)
    agent.tell(wire.ShmImage(WINDOW, 0, 0, 4 * WIDTH, 4 * HEIGHT))


def _around(agent: Agent) -> None:
    """Damage that begins before the window and ends behind it."""
    for at in (-5, -1, 0, WIDTH - 1, 2**31 - 1):
        agent.tell(wire.ShmImage(WINDOW, at, at, WIDTH + 50, HEIGHT + 50))
        agent.tell(wire.ShmImage(WINDOW, at, at, 2**31 - 1, 2**31 - 1))


def _resized(agent: Agent) -> None:
    """The window shrinks and grows while what it shows stays as large."""
    refs = agent.pages.refs.tolist()
    for size in (1, 7, WIDTH, 500, 33):
        agent.tell(wire.Configure(WINDOW, 50, 50, size, size, 0))
        agent.send(dump(WIDTH, HEIGHT, refs))
        agent.tell(wire.ShmImage(WINDOW, 0, 0, WIDTH, HEIGHT))


def _corners(agent: Agent) -> None:
    """Menus whose border would be off the screen on one side, and one that is larger than the screen."""
    places = ((-3, 400), (2046, 20), (900, -1), (1200, 1278), (-2, -2))
    for number, (x, y) in enumerate(places):
        agent.tell(wire.Create(_FIRST + number, x, y, 90, 40, 0, 1), wire.Map(_FIRST + number, 0, 1))


def _fullscreen(agent: Agent) -> None:
    """It asks for a screen without a border, in all the ways that there are."""
    agent.tell(
        wire.WindowFlags(WINDOW, 1, 0), wire.Configure(WINDOW, 0, 0, 2048, 1280, 0), wire.WindowFlags(WINDOW, 0, 1),
        wire.Configure(WINDOW, 50, 50, WIDTH, HEIGHT, 0),
    )  # fmt: skip


PAINTERS: Final[Mapping[str, Callable[[Agent], None]]] = {
    "a buffer larger than the window": _larger,
    "damage around the window": _around,
    "a window that changes its size": _resized,
    "menus over the edges": _corners,
    "a wish for the whole screen": _fullscreen,
}


@pytest.mark.parametrize("paint", PAINTERS.values(), ids=PAINTERS)
def test_every_window_has_its_border_on_all_sides(field: Field, paint: Callable[[Agent], None]) -> None:
    with field.hostile() as bad:
        paint(bad.agent)
        bad.agent.paint()
        bad.agent.settle()
        wait_for("all borders", lambda: all(has_border(field, row) for row in bad.windows() if row["mapped"]))
        assert not bad.reason()


def has_border(field: Field, row: Mapping[str, Any]) -> bool:
    """Whether a ring of the label's colour is around the window's content; all of it can be seen."""
    x, y, width, height = (row[key] for key in ("x", "y", "width", "height"))
    if x < BORDER or y < BORDER:
        return False
    frame = field.screen.pixels(x - BORDER, y - BORDER, width + 2 * BORDER, height + 2 * BORDER)
    inside = np.zeros(frame.shape, bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    return bool((frame[~inside] == label("red").color).all())


TITLES: Final = (
    b"[work] Online banking",
    b"\x1b]0;[work] bank\x07\x1b[2J",
    b"\r\n\t[work]\0behind",
    "\u202e]krow[ \u2066\u2067\u200b\u200d\ufeff".encode(),
    "\u202d[work]\u202c \U000e0041\u00ad\u2028\u0085\x9b".encode(),
    "\U00100000\U0010fffd\ufdd0".encode(),
    b"\xff\xfe\xc0\x80\xed\xa0\x80",
    b"A" * 128,
    b"",
)


@pytest.mark.parametrize("utf8", [False, True], ids=["ASCII", "UTF-8"])
def test_titles_begin_with_the_name_of_the_vm_and_hide_nothing(field: Field, utf8: bool) -> None:
    with field.hostile(allow_utf8_titles=utf8) as bad:
        for title in TITLES:
            bad.agent.tell(wire.WmName(WINDOW, title.ljust(128, b"\0")))
            bad.agent.settle()
            for text in wait_for("the title", lambda: texts(field, bad, ("WM_NAME", "_NET_WM_NAME", "WM_ICON_NAME"))):
                assert text.startswith("[bad] ")
                assert len(text) <= len("[bad] ") + 128
                assert all(utf8 or 0x20 <= ord(c) <= 0x7E for c in text), text
                assert not {unicodedata.category(c) for c in text} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        assert not bad.reason()


CLASSES: Final = (
    (b"work:xterm", b"work"),
    (b"xscreensaver", b"XScreenSaver"),
    (b"\xff\x1b\0x", b""),
    (b"p" * 64, b"q" * 64),
)


def test_classes_begin_with_the_name_of_the_vm(field: Field) -> None:
    with field.hostile() as bad:
        for window, (name, kind) in enumerate(CLASSES, _FIRST):
            bad.agent.tell(
                wire.Create(window, 400, 400, 50, 50, 0, 0),
                wire.WmClass(window, name.ljust(64, b"\0"), kind.ljust(64, b"\0")), wire.Map(window, 0, 0),
            )  # fmt: skip
            bad.agent.settle()
            (text,) = texts(field, bad, ("WM_CLASS",), window)
            parts = text.removesuffix("\0").split("\0")
            assert [part.partition(":")[0] for part in parts] == ["bad", "bad"]
            assert all(part.isprintable() and part.isascii() for part in parts)
            assert texts(field, bad, ("_QUBES_VMNAME",), window) == ["bad"]


def texts(field: Field, bad: Shown, names: tuple[str, ...], number: int = WINDOW) -> list[str]:
    """These properties of its window on the desktop."""
    local = next(row["local_id"] for row in bad.windows() if row["remote_id"] == number)
    window = field.screen.window(local)
    found = [window.get_full_property(field.screen.display.intern_atom(name), X.AnyPropertyType) for name in names]
    return [bytes(prop.value).decode() for prop in found]
