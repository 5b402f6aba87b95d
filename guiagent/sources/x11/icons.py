"""The icons of an X server's windows, on a connection of its own: nothing here can hold up windows or input.

Of the images in _NET_WM_ICON one is read, found by their sizes, in pieces; a program may have put anything there, of
any length. Windows without one may have the older icon of WM_HINTS, a pixmap. What changes while it is read is
announced again, and read again.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from struct import Struct
from typing import Any, Final

import numpy as np
import Xlib.error
from numpy.typing import NDArray
from Xlib import X, Xatom
from Xlib.protocol import request as core_request

from guiagent.sources.base import Icons
from guiagent.sources.x11 import requests
from guiagent.sources.x11.atoms import Atoms
from guiproto.icons import MAX_ICON_SIDE, WindowIcon
from shm.xconn import RawEvents, XConnection

WANTED_SIDE: Final = 64
"""Pixels that daemons show at most: the smallest image that has them is sent, or the largest without."""
_MOST_IMAGES: Final = 16
"""Images of one property that are looked at."""
_PIECE_BYTES: Final = 64 * 1024
_HINTS_WORDS: Final = 9
_ICON_PIXMAP, _ICON_MASK = 4, 32
_PROPERTY_EVENT: Final = Struct("=BxHIIIB15x")
_SENT_BY_A_PROGRAM: Final = 0x80

Answer = Callable[[WindowIcon | None], None]
Reading = Generator[Any, Any, WindowIcon | None]
"""Yields questions, deferred requests of python-xlib; is sent the answers, None for X errors."""


class X11Icons(Icons):
    """Of the X server `display`."""

    def __init__(self, display: str) -> None:
        """Raises MachineCannot if there is no such X server."""
        self._connection = XConnection(display)
        screen: Any = self._connection.display
        # A program that grabs the server stops all others; we would wait for it.
        screen.xtest_grab_control(True)
        self._wire: Any = screen.display
        atoms = Atoms(screen)
        self._icon_atom = atoms["_NET_WM_ICON"]
        self._connection.raw_events = frozenset((X.PropertyNotify,))
        self._queue: deque[tuple[int, Answer]] = deque()
        self._reading: Reading | None = None
        self._answer: Answer | None = None
        self._question: Any = None
        self._changed: dict[int, None] = {}

    def fileno(self) -> int:
        return self._connection.fileno()

    def watch(self, window: int) -> None:
        self._connection.send_raw(requests.select_events(window, X.PropertyChangeMask), 1)
        self._connection.flush()

    def unwatch(self, window: int) -> None:
        self._changed.pop(window, None)

    def fetch(self, window: int, answer: Answer) -> None:
        self._queue.append((window, answer))
        if self._reading is None:
            self._begin()

    def proceed(self) -> Sequence[int]:
        for event in self._connection.events():
            if type(event) is RawEvents and not event.data[0] & _SENT_BY_A_PROGRAM:
                for _, _, window, atom, _, _ in _PROPERTY_EVENT.iter_unpack(event.data):
                    if atom in (self._icon_atom, Xatom.WM_HINTS):
                        self._changed[window] = None
        question = self._question
        if question is not None and (question._data is not None or question._error is not None):
            self._go_on(_answer(question))
        changed, self._changed = self._changed, {}
        return list(changed)

    def close(self) -> None:
        self._queue.clear()
        self._connection.close()

    # --- one after the other ---

    def _begin(self) -> None:
        window, self._answer = self._queue.popleft()
        self._reading = self._read(window)
        self._go_on(None)

    def _go_on(self, answered: Any) -> None:
        assert self._reading is not None
        try:
            self._question = self._reading.send(answered)
        except StopIteration as done:
            self._question = self._reading = None
            answer, self._answer = self._answer, None
            assert answer is not None
            if self._queue:
                self._begin()
            answer(done.value)
        else:
            self._connection.flush()

    # --- what is read ---

    def _read(self, window: int) -> Reading:
        found = yield from self._named_icon(window)
        return found or (yield from self._hinted_icon(window))

    def _named_icon(self, window: int) -> Reading:
        """That of EWMH: images one after the other, each its width, its height and its pixels."""
        best: tuple[int, int, int] | None = None
        at = 0
        for _ in range(_MOST_IMAGES):
            size = yield from self._words(window, self._icon_atom, at, 2)
            if len(size) < 2:
                break
            width, height = size.tolist()
            if not (width and height):
                break
            if max(width, height) <= MAX_ICON_SIDE and (best is None or _is_better((width, height), best[1:])):
                best = at + 2, width, height
            at += 2 + width * height
            if at >= 1 << 30:  # no property is that long
                break
        if best is None:
            return None
        start, width, height = best
        pixels = yield from self._words(window, self._icon_atom, start, width * height)
        return WindowIcon(window, width, height, _rgba(pixels)) if len(pixels) == width * height else None

    def _hinted_icon(self, window: int) -> Reading:
        """That of the ICCCM: a pixmap, of one bit a pixel or of the screen's depth, and another one for its shape."""
        hints = (yield from self._words(window, Xatom.WM_HINTS, 0, _HINTS_WORDS)).tolist()
        if len(hints) < _HINTS_WORDS - 1 or not hints[0] & _ICON_PIXMAP:
            return None
        colors = yield from self._pixmap(hints[3])
        if colors is None:
            return None
        height, width = colors.shape
        argb = colors | np.uint32(0xFF000000)
        if hints[0] & _ICON_MASK:
            mask = yield from self._pixmap(hints[7])
            if mask is not None and mask.shape == colors.shape:
                argb[mask != 0] = 0  # its bits, white where they are not set
        return WindowIcon(window, width, height, _rgba(argb))

    def _words(self, window: int, name: int, at: int, count: int) -> Generator[Any, Any, NDArray[np.uint32]]:
        """That part of a property of 32-bit items; less of it where it ends, or is of another kind."""
        parts: list[NDArray[np.uint32]] = []
        while count:
            piece = min(count, _PIECE_BYTES // 4)
            reply = yield core_request.GetProperty(
                display=self._wire, defer=True, delete=False, window=window, property=name, type=X.AnyPropertyType,
                long_offset=at, long_length=piece,
            )  # fmt: skip
            if reply is None or not reply.property_type or reply.value is None or reply.value[0] != 32:
                break
            part = np.array(reply.value[1], np.uint32)
            parts.append(part)
            if len(part) < piece:
                break
            at, count = at + piece, count - piece
        return np.concatenate(parts) if parts else np.zeros(0, np.uint32)

    def _pixmap(self, pixmap: int) -> Generator[Any, Any, NDArray[np.uint32] | None]:
        """u32 [height, width], 0x00RRGGBB; bits are black on white. None if there is none that can be an icon."""
        geometry = yield core_request.GetGeometry(display=self._wire, defer=True, drawable=pixmap)
        if geometry is None or max(geometry.width, geometry.height) > MAX_ICON_SIDE:
            return None
        width, height, depth = geometry.width, geometry.height, geometry.depth
        if depth not in (1, 24):
            return None
        stride = width * 4 if depth == 24 else -(-width // 32) * 4
        rows = max(1, _PIECE_BYTES // stride)
        data = b""
        for y in range(0, height, rows):
            strip = min(rows, height - y)
            reply = yield core_request.GetImage(
                display=self._wire, defer=True, format=X.ZPixmap, drawable=pixmap, x=0, y=y, width=width,
                height=strip, plane_mask=0xFFFFFFFF,
            )  # fmt: skip
            if reply is None or len(reply.data) < strip * stride:
                return None
            data += reply.data[: strip * stride]
        if depth == 24:
            return np.frombuffer(data, np.uint32).reshape(height, width) & np.uint32(0xFFFFFF)
        order: Any = "big" if self._wire.info.bitmap_format_bit_order else "little"
        bits = np.unpackbits(np.frombuffer(data, np.uint8).reshape(height, stride), axis=1, bitorder=order)
        return np.where(bits[:, :width] != 0, np.uint32(0), np.uint32(0xFFFFFF))


def _is_better(size: Sequence[int], than: Sequence[int]) -> bool:
    new, old = max(size), max(than)
    if old < WANTED_SIDE:
        return new > old
    return WANTED_SIDE <= new < old


def _rgba(argb: NDArray[np.uint32]) -> bytes:
    """0xAARRGGBB as bytes in the order of the stream."""
    return (argb << 8 | argb >> 24).astype(">u4").tobytes()


def _answer(question: Any) -> Any:
    """The answer that has arrived, None for an X error."""
    try:
        question.reply()
    except Xlib.error.XError:
        return None
    return question
