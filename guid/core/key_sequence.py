"""Keys that mean something to the daemon itself, in the notation of Qubes' guid.conf: "Ctrl-Shift-c"."""

from dataclasses import dataclass
from typing import Final, Self

OFF: Final = ("none", "disable")
"""What a user writes who wants no such key."""

_SHIFT, _CONTROL, _MOD1, _MOD2, _MOD3, _MOD4 = 1, 4, 8, 16, 32, 64
"""Bits of X's modifier mask."""
_MODIFIERS: Final = {
    "Shift": _SHIFT, "Ctrl": _CONTROL, "Alt": _MOD1, "Mod1": _MOD1, "Mod2": _MOD2, "Mod3": _MOD3, "Mod4": _MOD4,
}  # fmt: skip
_COMPARED: Final = _SHIFT | _CONTROL | _MOD1 | _MOD3 | _MOD4
"""Locks are none of these: usually Mod2 is NumLock. It counts in a sequence that names it."""


@dataclass(frozen=True, slots=True)
class KeySequence:
    """A key, by its keysym's name, and the modifiers that are held with it, as bits of X's mask."""

    modifiers: int
    key: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """From what the user wrote; None if that is one of `OFF`. ValueError says how to put right what is neither.

        Whether there is a keysym of that name is not looked at.
        """
        if text in OFF:
            return None
        *prefixes, key = text.split("-")
        modifiers = 0
        for prefix in prefixes:
            if prefix not in _MODIFIERS:
                known = ", ".join(f"{name}-" for name in _MODIFIERS)
                raise ValueError(f"write {known} and then a key, as in Ctrl-Shift-c")
            modifiers |= _MODIFIERS[prefix]
        if not key:
            raise ValueError("the name of a key comes last, as in Ctrl-Shift-c; write none for no key at all")
        return cls(modifiers, key)

    def held(self, state: int) -> bool:
        """Whether exactly its modifiers are held in X's mask `state`, whatever the locks are."""
        compared = _COMPARED | self.modifiers
        return state & compared == self.modifiers
