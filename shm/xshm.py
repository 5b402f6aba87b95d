"""MIT-SHM 1.2: an X server reads or writes a region by itself; this process moves requests, never pixels.

The server attaches a region once, from a descriptor. A daemon attaches read-only: then the server cannot write guest
memory. A guest attaches writable and makes pixmaps in the region that its own X server copies windows into.

Facts that cost time: the server refuses descriptors whose st_size is 0 (character devices such as gntdev); a read-only
segment cannot hold pixmaps; an offset past the end is BadValue, so callers check before.
"""

from struct import Struct
from typing import Any, Final

import numpy as np
from Xlib.protocol import rq

from guiproto.errors import MachineCannot
from shm.damage import EitherRects, rows
from shm.region import Region
from shm.xconn import XConnection

_EXTENSION: Final = "MIT-SHM"
_DETACH: Final = 2
_PUT_IMAGE: Final = 3
_CREATE_PIXMAP: Final = 5
_ATTACH_FD: Final = 6
_Z_PIXMAP: Final = 2

_DETACH_REQUEST: Final = Struct("=BBHI")
_CREATE_PIXMAP_REQUEST: Final = Struct("=BBHIIHHB3xII")
_ATTACH_FD_REQUEST: Final = Struct("=BBHIB3x")

# ShmPutImage, 40 bytes: the numpy form of the request, so that a batch of any length is packed by a few array writes.
_PUT: Final = np.dtype(
    [
        ("major", "u1"),
        ("minor", "u1"),
        ("length", "u2"),
        ("drawable", "u4"),
        ("gc", "u4"),
        ("total_width", "u2"),
        ("total_height", "u2"),
        ("src_x", "u2"),
        ("src_y", "u2"),
        ("src_width", "u2"),
        ("src_height", "u2"),
        ("dst_x", "i2"),
        ("dst_y", "i2"),
        ("depth", "u1"),
        ("format", "u1"),
        ("send_event", "u1"),
        ("pad", "u1"),
        ("segment", "u4"),
        ("offset", "u4"),
    ]
)
_PUT_STRUCT: Final = Struct("=BBHIIHHHHHHhhBBBBII")
_FEW: Final = 24
"""Up to so many puts are packed faster one by one than by numpy."""


class _QueryVersion(rq.ReplyRequest):
    _request = rq.Struct(rq.Card8("opcode"), rq.Opcode(0), rq.RequestLength())
    _reply = rq.Struct(
        rq.ReplyCode(),
        rq.Card8("shared_pixmaps"),
        rq.Card16("sequence_number"),
        rq.ReplyLength(),
        rq.Card16("major_version"),
        rq.Card16("minor_version"),
        rq.Card16("uid"),
        rq.Card16("gid"),
        rq.Card8("pixmap_format"),
        rq.Pad(15),
    )


class ShmPath:
    """The MIT-SHM side of one X connection."""

    def __init__(self, connection: XConnection, *, read_only: bool) -> None:
        """`read_only`: how regions are attached. Raises MachineCannot if the server has no MIT-SHM 1.2."""
        self._connection = connection
        self._read_only = read_only
        self._segments: dict[Region, int] = {}
        display: Any = connection.display
        found = display.query_extension(_EXTENSION)
        if found is None or not found.present:
            raise MachineCannot("the X server has no MIT-SHM", "use a local X server with MIT-SHM 1.2 or later")
        self._major = int(found.major_opcode)
        version = _QueryVersion(display=display.display, opcode=self._major)
        self.version = (int(version.major_version), int(version.minor_version))
        if self.version < (1, 2):
            raise MachineCannot(
                f"the X server's MIT-SHM is {self.version[0]}.{self.version[1]}", "1.2 or later passes descriptors"
            )

    def attach(self, region: Region) -> int:
        """The server's segment id for the region, attached on first use. Raises MachineCannot if the server refuses."""
        segment = self._segments.get(region)
        if segment is not None:
            return segment
        segment = self._connection.new_id()
        request = _ATTACH_FD_REQUEST.pack(
            self._major, _ATTACH_FD, _ATTACH_FD_REQUEST.size // 4, segment, self._read_only
        )
        self._connection.sync()
        before = self._connection.errors
        self._connection.send_raw(request, 1, (region.fd,))
        self._connection.sync()
        if self._connection.errors != before:
            self._connection.free_id(segment)
            raise MachineCannot("the X server refused to attach a region", "it must be a local server that sees memfds")
        self._segments[region] = segment
        return segment

    def detach(self, region: Region) -> None:
        """Give the region up; no error if it was not attached."""
        segment = self._segments.pop(region, None)
        if segment is not None:
            self._connection.send_raw(_DETACH_REQUEST.pack(self._major, _DETACH, 2, segment), 1)
            self._connection.free_id(segment)

    def create_pixmap(self, drawable: int, width: int, height: int, depth: int, region: Region, offset: int) -> int:
        """A pixmap whose pixels are the region's bytes from `offset` on, rows of width * 4 bytes. Returns its id."""
        pixmap = self._connection.new_id()
        request = _CREATE_PIXMAP_REQUEST.pack(
            self._major, _CREATE_PIXMAP, 7, pixmap, drawable, width, height, depth, self.attach(region), offset
        )
        self._connection.send_raw(request, 1)
        return pixmap

    def put(
        self,
        drawable: int,
        gc: int,
        depth: int,
        segment: int,
        offset: int,
        size: tuple[int, int],
        rects: EitherRects,
        shift: tuple[int, int] = (0, 0),
    ) -> None:
        """Queue one put per rectangle of an image of `size` that lies at `offset`; each goes to its own place + shift.

        `rects` lie inside the image. The caller has checked that the image lies inside the segment.
        """
        count = len(rects)
        width, height = size
        if count <= _FEW:
            right, down = shift
            pack, major = _PUT_STRUCT.pack, self._major
            if count == 1:
                ((x, y, w, h),) = rects
                put = pack(
                    major, _PUT_IMAGE, 10, drawable, gc, width, height, x, y, w, h, x + right, y + down,
                    depth, _Z_PIXMAP, 0, 0, segment, offset,
                )  # fmt: skip
                self._connection.send_raw(put, 1)
                return
            puts = [
                pack(
                    major, _PUT_IMAGE, 10, drawable, gc, width, height, x, y, w, h, x + right, y + down,
                    depth, _Z_PIXMAP, 0, 0, segment, offset,
                )
                for x, y, w, h in rows(rects)
            ]  # fmt: skip
            self._connection.send_raw(b"".join(puts), count)
            return
        rects = np.asarray(rects)
        batch = np.zeros(count, _PUT)
        batch["major"], batch["minor"], batch["length"] = self._major, _PUT_IMAGE, 10
        batch["drawable"], batch["gc"], batch["segment"], batch["offset"] = drawable, gc, segment, offset
        batch["total_width"], batch["total_height"] = width, height
        batch["depth"], batch["format"] = depth, _Z_PIXMAP
        batch["src_x"], batch["src_y"] = rects[:, 0], rects[:, 1]
        batch["src_width"], batch["src_height"] = rects[:, 2], rects[:, 3]
        batch["dst_x"], batch["dst_y"] = rects[:, 0] + shift[0], rects[:, 1] + shift[1]
        self._connection.send_raw(batch.tobytes(), count)
