"""Looks at a display from outside: what was painted, which numbered frame is shown, and when it was first seen.

The viewer is a client of its own. It hears of every change of the screen (XDamage on the root window, every rectangle),
and then reads the two columns that carry the number, one GetImage each, which the X server executes in one go. The
rectangles are complete, however busy the server is; looks are samples: a busy server answers few hundred a second.

It sees what the X server has in its memory: earlier than a person would by what a monitor adds, and the same for every
contender.
"""

import select
import time
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from Xlib import X
from Xlib.ext import damage

from guid.bench.tags import Seen
from guiproto.errors import MachineCannot
from shm.xconn import RawEvents, XConnection

_GET_IMAGE: Final = Struct("=BBHIhhHHI")
_REPLY_HEAD: Final = 32
_DAMAGE: Final = np.dtype(
    {"names": ["x", "y", "w", "h"], "formats": ["i2", "i2", "u2", "u2"], "offsets": [16, 18, 20, 22], "itemsize": 32}
)
_ALL_PLANES: Final = 0xFFFFFFFF
_RGB: Final = np.uint32(0xFFFFFF)
_QUIET: Final = 0.1
"""Seconds without a change after which the display has caught up."""
_PATIENCE: Final = 2.0

Rect = tuple[int, int, int, int]


class Viewer:
    """Watches one painted rectangle of a display."""

    def __init__(self, display: str) -> None:
        self._connection = XConnection(display)
        screen: Any = self._connection.display.screen()
        self._root: Any = screen.root
        self._size = int(screen.width_in_pixels), int(screen.height_in_pixels)
        self._connection.display.damage_query_version()  # the server answers nothing else before
        self._root.damage_create(damage.DamageReportRawRectangles)
        self._connection.raw_events = frozenset((int(self._connection.display.extension_event.DamageNotify),))
        self._connection.sync()
        self._poll = select.poll()
        self._poll.register(self._connection.fileno(), select.POLLIN)
        self._place: Rect | None = None
        self.screen: Rect = 0, 0, *self._size
        self.painted = 0
        """Pixels painted inside `bounds` since this was set to 0, as often as they were."""
        self.bounds = self.screen
        self.changed_at = 0.0
        """When something was last painted there, in seconds of the performance counter."""

    @property
    def place(self) -> Rect:
        """The rectangle of the screen that it looks at."""
        assert self._place is not None, "find or watch comes first"
        return self._place

    def find(self, number: int, width: int, height: int, timeout: float) -> Rect | None:
        """Where frame `number` of that size is on the screen, once it is there; None if it does not come in time."""
        end = time.monotonic() + timeout
        while True:
            screen = self.pixels(0, 0, *self._size)
            tagged = screen == number
            # A column of `height` equal pixels, and another one `width` - 1 pixels to the right of it.
            runs = np.cumsum(np.vstack((np.zeros((1, screen.shape[1]), np.int32), tagged)), axis=0, dtype=np.int32)
            columns = runs[height:] - runs[:-height] == height
            both = columns[:, : columns.shape[1] - width + 1] & columns[:, width - 1 :]
            if both.any():
                y, x = map(int, np.argwhere(both)[0])
                self._place = x, y, width, height
                return self._place
            if time.monotonic() > end:
                return None
            self._wait(0.1)

    def watch(self, place: Rect) -> None:
        """Look at that rectangle of the screen from now on."""
        self._place = place

    def look(self) -> Seen:
        """What is shown now."""
        x, y, width, height = self.place
        columns = [
            _GET_IMAGE.pack(73, X.ZPixmap, 5, self._root.id, left, y, 1, height, _ALL_PLANES)
            for left in (x, x + width - 1)
        ]
        values = [
            np.frombuffer(reply, np.uint32, height, _REPLY_HEAD) & _RGB for reply in self._connection.ask(*columns)
        ]
        at = time.monotonic_ns()
        number = int(values[0][0])
        return Seen(number, at, not all(bool((column == number).all()) for column in values))

    def record(self, until: Callable[[], bool]) -> list[Seen]:
        """What was seen whenever `bounds` changed, until `until()` is true and no change has followed for a while."""
        seen: list[Seen] = []
        end: float | None = None
        while True:
            if self._wait(0.02):
                look = self.look()
                if not seen or (look.number, look.torn) != (seen[-1].number, seen[-1].torn):
                    seen.append(look)
            now = time.perf_counter()
            if end is None and until():
                end = now
            if end is not None and (now - max(end, self.changed_at) > _QUIET or now - end > _PATIENCE):
                return seen

    def until_quiet(self, seconds: float, timeout: float) -> None:
        """Return when `bounds` has not changed for `seconds`, or after `timeout`."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and self._wait(seconds):
            pass

    def wait_for(self, number: int, timeout: float) -> Seen:
        """The first look at frame `number`, whole. Raises MachineCannot if it does not come in time."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            look = self.look()
            if look.number == number and not look.torn:
                return look
            self._wait(0.1)
        raise MachineCannot(f"frame {number} was not shown in {timeout:g} s")

    def pixels(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint32]:
        """What is shown there: u32 [height, width], 0x00RRGGBB."""
        rows = max(1, 8_000_000 // (4 * width))
        parts = []
        for top in range(0, height, rows):
            count = min(rows, height - top)
            request = _GET_IMAGE.pack(73, X.ZPixmap, 5, self._root.id, x, y + top, width, count, _ALL_PLANES)
            (reply,) = self._connection.ask(request)
            parts.append(np.frombuffer(reply, np.uint32, count * width, _REPLY_HEAD).reshape(count, width))
        return np.concatenate(parts) & _RGB

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _wait(self, timeout: float) -> bool:
        """Whether the screen changed in that time; what is known of it by then is taken off."""
        changed = self.take()
        if not changed:
            self._poll.poll(timeout * 1000)
            changed = self.take()
        return changed

    def take(self) -> bool:
        """Take off what is known of changes; whether there were any inside `bounds`."""
        x, y, width, height = self.bounds
        changed = False
        for event in self._connection.events():
            if isinstance(event, RawEvents):
                rows = np.frombuffer(event.data, _DAMAGE)
                left, top = rows["x"].astype(np.int64), rows["y"].astype(np.int64)
                across = np.minimum(left + rows["w"], x + width) - np.maximum(left, x)
                down = np.minimum(top + rows["h"], y + height) - np.maximum(top, y)
                painted = int((np.maximum(across, 0) * np.maximum(down, 0)).sum())
                if painted:
                    self.painted += painted
                    self.changed_at = time.perf_counter()
                    changed = True
        return changed
