"""Cursors are those of X's own cursor font: no pixel of a VM becomes one."""

from typing import Final

from guid.core.trusted import CursorName
from guid.hosts.x11.requests import create_glyph_cursor, open_font, send
from shm.xconn import XConnection

_LAST: Final = 153
NONE: Final = 0


class Cursors:
    """Makes each cursor once."""

    def __init__(self, connection: XConnection) -> None:
        self._connection = connection
        self._font = 0
        self._made: dict[int, int] = {}

    def get(self, cursor: CursorName | None) -> int:
        """The X cursor, or NONE for the default one. Odd glyphs are the masks of the even ones, and no cursors."""
        if cursor is None or cursor.index % 2 or not 0 <= cursor.index <= _LAST:
            return NONE
        made = self._made.get(cursor.index)
        if made is None:
            if not self._font:
                self._font = self._connection.new_id()
                send(self._connection, [open_font(self._font, b"cursor")])
            made = self._made[cursor.index] = self._connection.new_id()
            send(self._connection, [create_glyph_cursor(made, self._font, cursor.index, cursor.index + 1)])
        return made
