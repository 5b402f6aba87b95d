"""Each pixel of a buffer becomes a square on the screen: the X server magnifies, with the RENDER extension.

It cannot do so from a guest's memory, which it may only read: RENDER takes pictures of pixmaps, and those are in memory
that it may write. So the damaged parts go into a pixmap of the buffer's size first, and from there onto the window.
That is one more copy inside the X server, and the pixmap's memory.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from guid.core.trusted import Geometry
from guid.hosts.base import Rects
from guid.hosts.x11.buffers import Buffer, clipped
from guid.hosts.x11.window import HostWindow
from guiproto.errors import MachineCannot
from shm.xconn import XConnection
from shm.xshm import ShmPath

_QUERY_VERSION: Final = 0
_QUERY_FORMATS: Final = 1
_CREATE_PICTURE: Final = 4
_FREE_PICTURE: Final = 7
_COMPOSITE: Final = 8
_SET_TRANSFORM: Final = 28
_SET_FILTER: Final = 30
_VERSION: Final = (0, 6)
"""The first with transformations."""
_SOURCE: Final = 1
_ONE: Final = 1 << 16
"""In RENDER's numbers, which have 16 bits behind the point."""
_FAR: Final = 32767

_QUERY_VERSION_REQUEST: Final = Struct("=BBHII")
_VERSION_REPLY: Final = Struct("=8xII16x")
_QUERY_FORMATS_REQUEST: Final = Struct("=BBH")
_FORMATS_REPLY: Final = Struct("=8xIIIII4x")
_FORMAT_BYTES: Final = 28
_SCREEN: Final = Struct("=II")
_DEPTH: Final = Struct("=BxH4x")
_VISUAL: Final = Struct("=II")
_CREATE_PICTURE_REQUEST: Final = Struct("=BBHIIII")
_FREE_PICTURE_REQUEST: Final = Struct("=BBHI")
_SET_TRANSFORM_REQUEST: Final = Struct("=BBHI9i")
_SET_FILTER_REQUEST: Final = Struct("=BBHIH2x8s")
_CREATE_PIXMAP_REQUEST: Final = Struct("=BBHIIHH")
_FREE_PIXMAP_REQUEST: Final = Struct("=BxHI")
_COMPOSITE_REQUEST: Final = np.dtype(
    [
        ("major", "u1"), ("minor", "u1"), ("length", "u2"), ("operator", "u1"), ("pad", "V3"), ("source", "u4"),
        ("mask", "u4"), ("target", "u4"), ("from", "i2", 2), ("mask_at", "i2", 2), ("to", "i2", 2), ("size", "u2", 2),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Canvas:
    """A buffer's pixels as the X server has them, and pictures of them and of the window."""

    buffer: Buffer
    pixmap: int
    source: int
    target: int


class Magnifier:
    """Paints the buffers of one host's windows `scale` times as wide and high."""

    def __init__(self, connection: XConnection, shm: ShmPath, gc: int, depth: int, scale: int) -> None:
        """Raises MachineCannot if the X server has no RENDER that can do that."""
        self._connection = connection
        self._shm = shm
        self._gc = gc
        self._depth = depth
        self._scale = scale
        self._canvases: dict[int, _Canvas] = {}
        display: Any = connection.display
        found = display.query_extension("RENDER")
        remedy = "use another, or scale = 1"
        if found is None or not found.present:
            raise MachineCannot("the X server lacks RENDER, which magnifies windows", remedy)
        self._major = int(found.major_opcode)
        version, formats = connection.ask(
            _QUERY_VERSION_REQUEST.pack(self._major, _QUERY_VERSION, 3, *_VERSION),
            _QUERY_FORMATS_REQUEST.pack(self._major, _QUERY_FORMATS, 1),
        )
        if _VERSION_REPLY.unpack_from(version) < _VERSION:
            raise MachineCannot("the X server's RENDER is too old to magnify windows", remedy)
        screen: Any = display.screen()
        self._format = format_of(formats, int(screen.root_visual))

    def paint(self, window: HostWindow, buffer: Buffer, rects: Rects) -> None:
        """Bring these parts of the buffer to the window."""
        # What is farther from the window's corner than X can count is not on the screen.
        most = _FAR // self._scale
        parts = clipped(np.asarray(rects, np.int32).reshape(-1, 4), Geometry(0, 0, most, most))
        if not len(parts):
            return
        canvas = self._canvas(window, buffer)
        self._shm.put(canvas.pixmap, self._gc, self._depth, buffer.segment, buffer.offset, buffer.size, parts)
        squares = parts * self._scale
        batch = np.zeros(len(parts), _COMPOSITE_REQUEST)
        batch["major"], batch["minor"], batch["length"], batch["operator"] = self._major, _COMPOSITE, 9, _SOURCE
        batch["source"], batch["target"] = canvas.source, canvas.target
        batch["from"] = batch["to"] = squares[:, :2]
        batch["size"] = squares[:, 2:]
        self._connection.send_raw(batch.tobytes(), len(batch))

    def covering(self, rects: NDArray[np.int32]) -> NDArray[np.int32]:
        """The parts of a buffer that those of the screen show."""
        near = rects[:, :2] // self._scale
        far = -((rects[:, :2] + rects[:, 2:]) // -self._scale)
        return np.concatenate((near, far - near), axis=1)

    def forget(self, window: HostWindow) -> None:
        """It has another buffer, or none."""
        canvas = self._canvases.pop(window.frame.inner, None)
        if canvas is None:
            return
        frees = [
            _FREE_PICTURE_REQUEST.pack(self._major, _FREE_PICTURE, 2, one) for one in (canvas.source, canvas.target)
        ]
        self._connection.send_raw(b"".join(frees) + _FREE_PIXMAP_REQUEST.pack(54, 2, canvas.pixmap), 3)
        for xid in (canvas.source, canvas.target, canvas.pixmap):
            self._connection.free_id(xid)

    def _canvas(self, window: HostWindow, buffer: Buffer) -> _Canvas:
        canvas = self._canvases.get(window.frame.inner)
        if canvas is None or canvas.buffer is not buffer:
            self.forget(window)
            canvas = self._canvases[window.frame.inner] = self._new_canvas(window.frame.inner, buffer)
        return canvas

    def _new_canvas(self, inner: int, buffer: Buffer) -> _Canvas:
        pixmap, source, target = (self._connection.new_id() for _ in range(3))
        shrink = _ONE // self._scale
        width, height = buffer.size
        requests = (
            _CREATE_PIXMAP_REQUEST.pack(53, self._depth, 4, pixmap, inner, width, height),
            _CREATE_PICTURE_REQUEST.pack(self._major, _CREATE_PICTURE, 5, source, pixmap, self._format, 0),
            _CREATE_PICTURE_REQUEST.pack(self._major, _CREATE_PICTURE, 5, target, inner, self._format, 0),
            _SET_TRANSFORM_REQUEST.pack(
                self._major, _SET_TRANSFORM, 11, source, shrink, 0, 0, 0, shrink, 0, 0, 0, _ONE
            ),
            _SET_FILTER_REQUEST.pack(self._major, _SET_FILTER, 5, source, 7, b"nearest"),
        )
        self._connection.send_raw(b"".join(requests), len(requests))
        return _Canvas(buffer, pixmap, source, target)


def format_of(reply: bytes, visual: int) -> int:
    """RENDER's number for the pixels of a visual, in its answer to QueryPictFormats. KeyError if there is none."""
    formats, screens, *_ = _FORMATS_REPLY.unpack_from(reply)
    at = 32 + formats * _FORMAT_BYTES
    found: dict[int, int] = {}
    for _ in range(screens):
        depths, _ = _SCREEN.unpack_from(reply, at)
        at += _SCREEN.size
        for _ in range(depths):
            _, visuals = _DEPTH.unpack_from(reply, at)
            at += _DEPTH.size
            for _ in range(visuals):
                number, form = _VISUAL.unpack_from(reply, at)
                found[number] = form
                at += _VISUAL.size
    return found[visual]
