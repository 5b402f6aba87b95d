"""Locks are told from modifiers that are held by what their keys mean."""

from guiagent.sources.x11.keymap import Keymap

_FIRST = 8


def _keysyms(known: dict[int, int]) -> list[tuple[int, ...]]:
    return [(known.get(keycode, 0x61), 0) for keycode in range(_FIRST, 256)]


def test_the_usual_map() -> None:
    modifiers = [[50, 62], [66, 0], [37, 105], [64, 205], [77, 0], [0, 0], [133, 134], [92, 203]]
    keymap = Keymap.read(modifiers, _FIRST, _keysyms({66: 0xFFE5, 77: 0xFF7F}))
    assert keymap.locks == {2: 66, 16: 77}
    assert keymap.held == {1: (50, 62), 4: (37, 105), 8: (64, 205), 64: (133, 134), 128: (92, 203)}


def test_caps_lock_as_another_control() -> None:
    modifiers: list[list[int]] = [[50], [], [37, 66], [], [], [], [], []]
    keymap = Keymap.read(modifiers, _FIRST, _keysyms({66: 0xFFE3}))
    assert keymap.locks == {}
    assert keymap.held[4] == (37, 66)
