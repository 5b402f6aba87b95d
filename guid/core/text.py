"""Text of an AppVM's choice, made harmless for the GUI domain's title bars and logs.

By default only printable ASCII is left: no font, shaping or bidirectional code of the desktop ever sees a byte that an
AppVM picked beyond that. With UTF-8 titles (an option) everything goes that has no shape of its own or reorders others.
"""

import codecs
import unicodedata
from typing import Final

_ASCII: Final = bytes(byte if 0x20 <= byte <= 0x7E else ord("_") for byte in range(256))
_ELLIPSIS: Final = "\u2026".encode()

# Category by category: controls (C0 and C1), formats (bidirectional overrides, zero-width joiners, tags), surrogates,
# private use, unassigned, and the line and paragraph separators.
_SHAPELESS: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters and marks that draw nothing: grapheme joiner, Hangul fillers, Khmer inherent vowels, Mongolian and general
# variation selectors, the braille blank.
_BLANK: Final = frozenset(
    [
        *(0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0xFE00, 0xFE10),
        *range(0xE0100, 0xE01F0),
    ]
)


def ascii_text(data: bytes) -> str:
    """`data` up to its first NUL, with "_" for each byte outside 0x20 to 0x7E."""
    return data.partition(b"\0")[0].translate(_ASCII).decode("ascii")


def ascii_title(data: bytes) -> str:
    """The same, with "..." for an ellipsis at the end: what toolkits write where they cut a title."""
    text = data.partition(b"\0")[0]
    if text.endswith(_ELLIPSIS):
        text = text[: -len(_ELLIPSIS)] + b"..."
    return text.translate(_ASCII).decode("ascii")


def utf8_title(data: bytes) -> str:
    """`data` up to its first NUL as UTF-8, "_" for what is not, without characters that are invisible or reorder.

    A character that the message's length cut in two is left out.
    """
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(data.partition(b"\0")[0], False)
    return "".join("_" if c == "\ufffd" else c for c in text if _has_shape(c))


def _has_shape(character: str) -> bool:
    return unicodedata.category(character) not in _SHAPELESS and ord(character) not in _BLANK
