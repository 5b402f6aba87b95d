"""Text for fixed fields of the wire: never cut inside a character, always NUL-padded to the field's size."""

from typing import Final

from guiproto import limits

_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}".encode()


def title_field(text: str) -> bytes:
    """WMNAME's 128 bytes: UTF-8, ended by a NUL; a title of more than 127 bytes ends in an ellipsis instead."""
    data = _utf8(text)
    longest = limits.TITLE_BYTES - 1
    if len(data) > longest:
        data = _cut(data, longest - len(_ELLIPSIS)) + _ELLIPSIS
    return data.ljust(limits.TITLE_BYTES, b"\0")


def class_field(text: str) -> bytes:
    """One of WMCLASS's two fields of 64 bytes, ended by a NUL."""
    return _cut(_utf8(text), limits.CLASS_BYTES - 1).ljust(limits.CLASS_BYTES, b"\0")


def _utf8(text: str) -> bytes:
    return text.partition("\0")[0].encode("utf-8", "replace")


def _cut(data: bytes, longest: int) -> bytes:
    return data[:longest].decode("utf-8", "ignore").encode() if len(data) > longest else data
