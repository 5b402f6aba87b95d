"""What text of another VM becomes before programs of this one get it, and what theirs becomes for another VM."""

from typing import Final

from guiproto import limits

REPLACEMENT: Final = "\ufffd"
_CONTROL: Final = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], REPLACEMENT)
for _kept in "\t\n":
    del _CONTROL[ord(_kept)]
_CONTINUES: Final = 0x80
"""The two highest bits of a byte of UTF-8 that does not begin a character."""
_LONGEST_TAIL: Final = 3


def harmless(text: bytes) -> str:
    """Text without control characters: a terminal takes some of them for keys that the user pressed.

    What is no UTF-8 becomes U+FFFD, as does every control character but tab and the ends of lines, LF and CR LF.
    """
    lines = text.decode(errors="replace").split("\r\n")
    return "\r\n".join(line.translate(_CONTROL) for line in lines)


def most(minor: int) -> int:
    """The bytes of text that a daemon of version 1.`minor` takes at most."""
    return limits.CLIPBOARD_MAX if minor >= limits.SINCE_LARGE_CLIPBOARD else limits.CLIPBOARD_MAX_1_7


def fitting(text: bytes, minor: int) -> bytes:
    """What such a daemon is sent for a text that is longer than `most` if there is more than that.

    From 1.8 on longer text is announced as such; before, the rest is cut off, between characters.
    """
    cut = most(minor)
    if len(text) <= cut:
        return text
    if minor >= limits.SINCE_LARGE_CLIPBOARD:
        return text[: limits.CLIPBOARD_OVERSIZE]
    while cut > most(minor) - _LONGEST_TAIL and text[cut] & 0xC0 == _CONTINUES:
        cut -= 1
    return text[:cut]
