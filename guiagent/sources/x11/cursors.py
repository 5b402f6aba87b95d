"""Cursors cross by name: the X cursor font's own names, and those that toolkits take from CSS."""

from typing import Any, Final

from Xlib import Xcursorfont

_NAMES_KEPT: Final = 1000

_FONT: Final[dict[str, int]] = {
    name: value for name, value in vars(Xcursorfont).items() if isinstance(value, int) and name != "num_glyphs"
}

_CSS: Final = {
    "default": "left_ptr",
    "context-menu": "left_ptr",
    "help": "question_arrow",
    "whats_this": "question_arrow",
    "pointer": "hand2",
    "pointing_hand": "hand2",
    "hand": "hand2",
    "progress": "watch",
    "left_ptr_watch": "watch",
    "half-busy": "watch",
    "wait": "watch",
    "cell": "plus",
    "text": "xterm",
    "ibeam": "xterm",
    "vertical-text": "xterm",
    "alias": "hand2",
    "copy": "plus",
    "move": "fleur",
    "all-scroll": "fleur",
    "size_all": "fleur",
    "grab": "hand1",
    "openhand": "hand1",
    "grabbing": "fleur",
    "closedhand": "fleur",
    "all-resize": "fleur",
    "sizing": "fleur",
    "dnd-none": "fleur",
    "dnd-move": "fleur",
    "dnd-ask": "fleur",
    "dnd-copy": "plus",
    "dnd-link": "hand2",
    "link": "hand2",
    "left_ptr_help": "question_arrow",
    "dnd-no-drop": "circle",
    "no-drop": "circle",
    "not-allowed": "circle",
    "forbidden": "circle",
    "crossed_circle": "circle",
    "n-resize": "top_side",
    "s-resize": "bottom_side",
    "e-resize": "right_side",
    "w-resize": "left_side",
    "ne-resize": "top_right_corner",
    "nw-resize": "top_left_corner",
    "se-resize": "bottom_right_corner",
    "sw-resize": "bottom_left_corner",
    "ew-resize": "sb_h_double_arrow",
    "ns-resize": "sb_v_double_arrow",
    "col-resize": "sb_h_double_arrow",
    "row-resize": "sb_v_double_arrow",
    "split_h": "sb_h_double_arrow",
    "split_v": "sb_v_double_arrow",
    "size_hor": "sb_h_double_arrow",
    "size_ver": "sb_v_double_arrow",
    "nesw-resize": "top_right_corner",
    "nwse-resize": "top_left_corner",
    "size_bdiag": "top_right_corner",
    "size_fdiag": "top_left_corner",
    "bd_double_arrow": "top_left_corner",
    "fd_double_arrow": "top_right_corner",
    "h_double_arrow": "sb_h_double_arrow",
    "v_double_arrow": "sb_v_double_arrow",
    "zoom-in": "plus",
    "zoom-out": "plus",
    "up_arrow": "sb_up_arrow",
}


def font_index(name: str) -> int | None:
    """The X cursor font's index (0 to 152, even) of the cursor called `name`; None where nothing fits."""
    return _FONT.get(_CSS.get(name, name))


class CursorNames:
    """The names behind atoms, asked for once each."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._indices: dict[int, int | None] = {0: None}

    def index(self, atom: int) -> int | None:
        """`font_index` of the atom's name."""
        if atom not in self._indices:
            if len(self._indices) > _NAMES_KEPT:
                self._indices = {0: None}
            self._indices[atom] = font_index(self._display.get_atom_name(atom))
        return self._indices[atom]
