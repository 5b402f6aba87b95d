"""Which keys are modifiers and which are locks in the guest, as its X server maps them now."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_LOCK_KEYSYMS: Final = {0xFFE5, 0xFFE6, 0xFF7F, 0xFF14}
"""Caps_Lock, Shift_Lock, Num_Lock, Scroll_Lock: pressing the key toggles the modifier."""


@dataclass(frozen=True, slots=True)
class Keymap:
    """`held`: modifier bit -> keycodes, any of which holds it down. `locks`: modifier bit -> keycode toggling it."""

    held: dict[int, tuple[int, ...]]
    locks: dict[int, int]

    @classmethod
    def read(cls, modifiers: Sequence[Sequence[int]], first: int, keysyms: Sequence[Sequence[int]]) -> "Keymap":
        """`modifiers`: keycodes (0: none) of each of the eight bits. `keysyms`: of each keycode from `first` on."""
        held: dict[int, tuple[int, ...]] = {}
        locks: dict[int, int] = {}
        for index, row in enumerate(modifiers):
            keycodes = tuple(keycode for keycode in row if keycode)
            locking = [code for code in keycodes if _LOCK_KEYSYMS & set(keysyms[code - first])]
            if locking:
                locks[1 << index] = locking[0]
            elif keycodes:
                held[1 << index] = keycodes
        return cls(held, locks)
