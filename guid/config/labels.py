"""Labels: the colour by which a user knows which VM a window belongs to."""

import re
from typing import Final

from guid.core.trusted import Label
from guiproto.errors import MachineCannot

LABELS: Final = {
    name: Label(name, color, index)
    for index, (name, color) in enumerate(
        {
            "red": 0xCC0000,
            "orange": 0xF57900,
            "yellow": 0xEDD400,
            "green": 0x73D216,
            "gray": 0x555753,
            "blue": 0x3465A4,
            "purple": 0x75507B,
            "black": 0x000000,
        }.items(),
        start=1,
    )
}
"""Qubes' labels, under its numbers and colours."""

_HEX: Final = re.compile(r"(?:0x|#)([0-9a-fA-F]{6})")


def label(text: str) -> Label:
    """A label by name, or any colour as 0xRRGGBB or #RRGGBB (whose index is 0). Raises MachineCannot for others."""
    known = LABELS.get(text)
    if known is not None:
        return known
    match = _HEX.fullmatch(text)
    if match is None:
        raise MachineCannot(f"unknown label {text!r}", f"use one of {', '.join(LABELS)}, or a colour as 0xRRGGBB")
    return Label(text, int(match[1], 16), 0)
