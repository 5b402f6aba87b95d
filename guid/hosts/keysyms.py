"""X's names of keys. Needs no display: the names are those of X's own list, as python-xlib has it."""

import functools
from typing import Final

from Xlib import XK

_GROUPS: Final = ("latin1", "miscellany", "latin2", "latin3", "latin4", "greek", "cyrillic", "hebrew", "arabic", "thai",
                  "korean", "katakana", "publishing", "special", "technical", "xkb", "xf86")  # fmt: skip


@functools.cache
def keysym(name: str) -> int:
    """The number of the keysym called `name`, as in "c", "Return", "XF86Copy"; 0 if there is none."""
    found = int(XK.string_to_keysym(name))
    if not found:
        for group in _GROUPS:
            XK.load_keysym_group(group)
        # python-xlib spells these with a line that X's own names do not have.
        spelled = f"XF86_{name.removeprefix('XF86')}" if name.startswith("XF86") else name
        found = int(XK.string_to_keysym(spelled))
    return found
