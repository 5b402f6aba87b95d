"""A source finds the icons of its windows, whatever programs have made of them, and hears when they change."""

import select
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from Xlib import X, Xatom

from guiagent.sources.base import Icons
from guiproto.icons import WindowIcon
from tests.conformance.sources.guest import DEADLINE, Guest, Program


class Reader:
    """Drives the icons of a source as the agent does."""

    def __init__(self, icons: Icons) -> None:
        self.icons = icons
        self.changed: list[int] = []

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end
            select.select([self.icons.fileno()], [], [], 0.2)
            self.changed += self.icons.proceed()

    def fetch(self, window: Any) -> WindowIcon | None:
        found: list[WindowIcon | None] = []
        self.icons.fetch(window.id, found.append)
        self.until(lambda: found)
        (icon,) = found
        return icon


@pytest.fixture
def reader(guest: Guest) -> Iterator[Reader]:
    icons = guest.source.icons()
    assert icons is not None
    yield Reader(icons)
    icons.close()


@pytest.fixture
def window(program: Program) -> Iterator[Any]:
    made = program.window(0, 0, 10, 10)
    program.sync()
    yield made
    made.destroy()
    program.sync()


def put(program: Program, window: Any, words: Sequence[int], *, form: int = 32) -> None:
    """Set the property, in parts that fit into requests."""
    name = program.atom("_NET_WM_ICON")
    part = 50_000
    window.change_property(name, Xatom.CARDINAL, form, list(words[:part]))
    for at in range(part, len(words), part):
        window.change_property(name, Xatom.CARDINAL, form, list(words[at : at + part]), mode=X.PropModeAppend)
    program.sync()


def image(width: int, height: int, argb: int = 0xFF102030) -> list[int]:
    return [width, height, *[argb] * (width * height)]


def test_a_windows_icon(reader: Reader, program: Program, window: Any) -> None:
    put(program, window, [2, 1, 0x80112233, 0xFF445566])
    assert reader.fetch(window) == WindowIcon(window.id, 2, 1, bytes.fromhex("11223380445566ff"))


@pytest.mark.parametrize(
    ("sides", "chosen"),
    [([16, 48, 32], 48), ([128, 16, 96], 96), ([64, 128, 16], 64), ([512, 16], 512), ([1025, 32], 32), ([300], 300)],
)
def test_one_of_several_sizes(reader: Reader, program: Program, window: Any, sides: list[int], chosen: int) -> None:
    put(program, window, [word for side in sides for word in image(side, side, 0xFF000000 | side)])
    icon = reader.fetch(window)
    assert icon is not None
    assert (icon.width, icon.height) == (chosen, chosen)
    assert icon.rgba == bytes((0, chosen >> 8, chosen & 0xFF, 255)) * chosen**2


@pytest.mark.parametrize(
    "words",
    [
        [],
        [5],
        [0, 0],
        [0, 64],
        [64, 64],
        [2, 2, 1, 2, 3],
        [0xFFFFFFFF, 0xFFFFFFFF, 1],
        [1025, 1],
        [1, 0x40000000, 1, 1, 1],
    ],
)
def test_what_is_no_icon(reader: Reader, program: Program, window: Any, words: list[int]) -> None:
    put(program, window, words)
    assert reader.fetch(window) is None


def test_other_kinds_of_property(reader: Reader, program: Program, window: Any) -> None:
    for form in (8, 16):
        put(program, window, [1, 1, 255, 255] * 4, form=form)
        assert reader.fetch(window) is None
    window.delete_property(program.atom("_NET_WM_ICON"))
    program.sync()
    assert reader.fetch(window) is None


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.integers(0, 4), st.integers(0, 2**32 - 1)), max_size=60))
def test_any_words(reader: Reader, program: Program, window: Any, words: list[int]) -> None:
    put(program, window, words)
    icon = reader.fetch(window)
    if icon is not None:
        assert icon.window == window.id
        assert len(icon.rgba) == 4 * icon.width * icon.height


def test_of_a_gigantic_property_no_more_is_read_than_an_icon(reader: Reader, program: Program, window: Any) -> None:
    """An image that is larger than any icon may be is passed over."""
    put(program, window, [2000, 1000, *[0xFF0000FF] * 2_000_000, *image(20, 20), *[7] * 1_000_000])
    icon = reader.fetch(window)
    assert icon is not None
    assert (icon.width, icon.height) == (20, 20)


def test_many_images(reader: Reader, program: Program, window: Any) -> None:
    put(program, window, [word for _ in range(1000) for word in image(1, 1)] + image(32, 32))
    icon = reader.fetch(window)
    assert icon is not None
    assert icon.width == 1, "only the first ones are looked at"


def test_a_pixmap_of_the_screens_depth(reader: Reader, program: Program, window: Any) -> None:
    pixmap, mask = window.create_pixmap(40, 30, 24), window.create_pixmap(40, 30, 1)
    program.fill(pixmap, 0xCC8844, 0, 0, 40, 30)
    program.fill(mask, 0, 0, 0, 40, 30)
    program.fill(mask, 1, 0, 0, 33, 30)
    window.set_wm_hints(flags=4 | 32, icon_pixmap=pixmap.id, icon_mask=mask.id)
    program.sync()
    icon = reader.fetch(window)
    assert icon is not None
    assert (icon.width, icon.height) == (40, 30)
    assert icon.rgba == (bytes.fromhex("cc8844ff") * 33 + bytes(4 * 7)) * 30
    window.set_wm_hints(flags=4, icon_pixmap=pixmap.id)
    program.sync()
    icon = reader.fetch(window)
    assert icon is not None
    assert icon.rgba == bytes.fromhex("cc8844ff") * 1200
    pixmap.free()
    mask.free()
    program.sync()
    assert reader.fetch(window) is None, "it is gone"


def test_a_pixmap_of_one_bit_is_black_on_white(reader: Reader, program: Program, window: Any) -> None:
    pixmap = window.create_pixmap(37, 5, 1)
    program.fill(pixmap, 0, 0, 0, 37, 5)
    program.fill(pixmap, 1, 3, 1, 2, 2)
    window.set_wm_hints(flags=4, icon_pixmap=pixmap.id)
    program.sync()
    icon = reader.fetch(window)
    assert icon is not None
    found = np.frombuffer(icon.rgba, np.uint8).reshape(5, 37, 4)
    expected = np.full((5, 37, 4), 255, np.uint8)
    expected[1:3, 3:5, :3] = 0
    assert np.array_equal(found, expected)
    pixmap.free()


def test_a_pixmap_that_is_too_large_or_none_at_all(reader: Reader, program: Program, window: Any) -> None:
    pixmap = window.create_pixmap(1025, 10, 24)
    for number in (pixmap.id, 0, 1, 0xFFFFFFFF, window.id):
        window.set_wm_hints(flags=4, icon_pixmap=number)
        program.sync()
        assert reader.fetch(window) is None
    pixmap.free()


def test_a_window_that_is_gone_has_none(reader: Reader, program: Program) -> None:
    window = program.window(0, 0, 10, 10)
    put(program, window, image(4, 4))
    window.destroy()
    program.sync()
    assert reader.fetch(window) is None


def test_changes_are_told(reader: Reader, program: Program, window: Any) -> None:
    reader.icons.watch(window.id)
    reader.fetch(window)  # what was asked before has been done
    assert reader.changed == []
    put(program, window, image(4, 4))
    reader.until(lambda: window.id in reader.changed)
    reader.changed.clear()
    window.set_wm_hints(flags=4, icon_pixmap=0)
    program.sync()
    reader.until(lambda: window.id in reader.changed)
    reader.changed.clear()
    window.set_wm_name("no icon")
    program.sync()
    reader.fetch(window)
    assert reader.changed == []


def test_several_are_read_one_after_the_other(reader: Reader, program: Program) -> None:
    windows = [program.window(0, 0, 10, 10) for _ in range(5)]
    for number, window in enumerate(windows):
        put(program, window, image(100, 100, 0xFF000000 | number))
    found: list[int | None] = []
    for window in windows:
        reader.icons.fetch(window.id, lambda icon: found.append(icon and icon.rgba[2]))
    reader.until(lambda: len(found) == len(windows))
    assert found == list(range(5))
    for window in windows:
        window.destroy()
    program.sync()
