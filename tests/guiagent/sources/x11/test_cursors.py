"""Names of cursors, from the X font and from CSS."""

import pytest

from guiagent.sources.x11.cursors import CursorNames, font_index

CSS = """
default context-menu help pointer progress wait cell crosshair text vertical-text alias copy move no-drop not-allowed
grab grabbing e-resize n-resize ne-resize nw-resize s-resize se-resize sw-resize w-resize ew-resize ns-resize
nesw-resize nwse-resize col-resize row-resize all-scroll zoom-in zoom-out dnd-none dnd-move dnd-copy dnd-link
"""


@pytest.mark.parametrize(
    ("name", "index"),
    [("X_cursor", 0), ("left_ptr", 68), ("xterm", 152), ("text", 152), ("pointer", 60), ("ew-resize", 108)],
)
def test_known_names(name: str, index: int) -> None:
    assert font_index(name) == index


@pytest.mark.parametrize("name", CSS.split())
def test_what_css_and_chromium_call_cursors(name: str) -> None:
    assert font_index(name) is not None


@pytest.mark.parametrize("name", ["", "num_glyphs", "my-own-picture", "__name__"])
def test_other_names_are_the_default(name: str) -> None:
    assert font_index(name) is None


def test_names_are_asked_for_once() -> None:
    asked = []

    class Display:
        def get_atom_name(self, atom: int) -> str:
            asked.append(atom)
            return "watch"

    names = CursorNames(Display())
    assert [names.index(atom) for atom in (0, 7, 7)] == [None, 150, 150]
    assert asked == [7]
