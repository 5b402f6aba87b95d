"""The stream of window icons, protocol.md, "Window icons": bytes in, icons out, and the other way round.

It is the stream that Qubes' icon sender writes: a line with the window's number, a line with the size, then pixels.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from guiproto.errors import PeerMisbehaved

LINE_BYTES: Final = 32
"""The longest line, its newline included."""
MAX_ICON_SIDE: Final = 1024
"""Pixels of the largest icon, each direction."""
ICON_PIXEL_BYTES: Final = 4
"""Red, green, blue and alpha, which is 0 where nothing is seen; not premultiplied."""
MAX_ICON_BYTES: Final = MAX_ICON_SIDE * MAX_ICON_SIDE * ICON_PIXEL_BYTES

_WINDOW: Final = re.compile(rb"[0-9]{1,10}")
_SIZE: Final = re.compile(rb"([0-9]{1,4}) ([0-9]{1,4})")
_MAX_WINDOW: Final = 0xFFFFFFFF


class WindowIcon(NamedTuple):
    """One icon as it crosses: `rgba` has 4 * width * height bytes, rows from top to bottom."""

    window: int
    width: int
    height: int
    rgba: bytes

    def encode(self) -> bytes:
        """As bytes of the stream."""
        return b"%d\n%d %d\n" % self[:3] + self.rgba


class IconDecoder:
    """Takes the stream in pieces of any length. Keeps no more than one unfinished icon and what was fed last."""

    def __init__(self) -> None:
        self._in = bytearray()
        self._window: int | None = None
        self._size: tuple[int, int] | None = None

    def feed(self, data: bytes) -> None:
        """Bytes that have arrived."""
        self._in += data

    def icons(self) -> Iterator[WindowIcon]:
        """The icons that are complete now, each once. Raises PeerMisbehaved; nothing can be decoded after that."""
        while True:
            if self._window is None:
                line = self._line("icon window")
                if line is None:
                    return
                if not _WINDOW.fullmatch(line) or int(line) > _MAX_WINDOW:
                    raise PeerMisbehaved("icon window", f"a line of {len(line)} bytes that is no window's number")
                self._window = int(line)
            if self._size is None:
                line = self._line("icon size")
                if line is None:
                    return
                self._size = _size(line)
            width, height = self._size
            length = width * height * ICON_PIXEL_BYTES
            if len(self._in) < length:
                return
            rgba = bytes(memoryview(self._in)[:length])
            del self._in[:length]
            icon = WindowIcon(self._window, width, height, rgba)
            self._window = self._size = None
            yield icon

    def _line(self, rule: str) -> bytes | None:
        """The next line, None if it is not complete yet. Raises PeerMisbehaved if it is too long."""
        end = self._in.find(b"\n", 0, LINE_BYTES)
        if end < 0:
            if len(self._in) >= LINE_BYTES:
                raise PeerMisbehaved(rule, f"a line of more than {LINE_BYTES} bytes")
            return None
        line = bytes(memoryview(self._in)[:end])
        del self._in[: end + 1]
        return line


def _size(line: bytes) -> tuple[int, int]:
    found = _SIZE.fullmatch(line)
    if found is None:
        raise PeerMisbehaved("icon size", f"a line of {len(line)} bytes that is no width and height")
    width, height = int(found[1]), int(found[2])
    if not (1 <= width <= MAX_ICON_SIDE and 1 <= height <= MAX_ICON_SIDE):
        raise PeerMisbehaved("icon size", f"{width}x{height}")
    return width, height
