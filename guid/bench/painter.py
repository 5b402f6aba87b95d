"""A program with windows, as a video player would be one: paints frames that say which they are. A process of its own.

It uses MIT-SHM where its X server can be given memory, else core PutImage in pieces, as any program would. Every frame
is noise with its number as the colour of its leftmost and its rightmost column. At most two frames are under way.

Orders are JSON objects, one a line, on standard input; each is answered by one on standard output:
  {"do": "step", "number": N, "rect": [x, y, w, h]}     paint this one; the answer comes when the X server has done it
  {"do": "run", "first": N, "rects": [...], "seconds": S, "rate": HZ or null}   the answer lists [number, due_ns]
"""

import argparse
import json
import select
import sys
import time
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from Xlib import X

from guiproto.limits import BYTES_PER_PIXEL, PAGE_SIZE
from shm.fences import NO_EXPOSURE, Fences
from shm.region import Region
from shm.xconn import RawEvents, XConnection
from shm.xshm import ShmPath

_IMAGES: Final = 3
_UNDER_WAY: Final = 2
_PUT_IMAGE: Final = Struct("=BBHIIHHhhBBxx")
_COPY_AREA: Final = Struct("=BxHIIIhhhhHH")
_LONGEST_REQUEST: Final = 262140
SCROLL_STEP: Final = 16

Rect = tuple[int, int, int, int]


def frame(number: int, width: int, height: int) -> NDArray[np.uint32]:
    """The pixels of a frame: u32 [height, width], 0x00RRGGBB."""
    pixels = _noise(number % _IMAGES, width, height)
    pixels[:, 0] = pixels[:, -1] = number
    return pixels


def _noise(index: int, width: int, height: int) -> NDArray[np.uint32]:
    return np.random.default_rng(index).integers(0, 1 << 24, (height, width), np.uint32)


class Painter:
    """`count` windows of one size on a display."""

    def __init__(self, display: str | None, title: str, size: tuple[int, int], at: tuple[int, int], count: int) -> None:
        self._connection = XConnection(display)
        self._connection.raw_events = frozenset((NO_EXPOSURE,))
        self._fences = Fences(self._connection)
        self._shm = ShmPath(self._connection, read_only=True) if self._connection.passes_descriptors else None
        self._poll = select.poll()
        self._poll.register(self._connection.fileno(), select.POLLIN)
        screen: Any = self._connection.display.screen()
        self._depth = int(screen.root_depth)
        self._under_way = 0
        self._windows: list[Any] = []
        for number in range(count):
            window = screen.root.create_window(
                at[0] + number, at[1], *size, 0, self._depth, background_pixel=0, event_mask=X.ExposureMask
            )
            window.set_wm_name(title if number == 0 else f"{title} {number}")
            window.set_wm_normal_hints(flags=1 | 2, x=at[0] + number, y=at[1])
            window.map()
            self._windows.append(window)
        self._gc = int(self._windows[0].create_gc(graphics_exposures=False).id)
        self._size = (0, 0)
        self._region: Region | None = None
        self._images: list[NDArray[np.uint32]] = []
        self._connection.sync()

    @property
    def uses_shm(self) -> bool:
        """Whether frames go through shared memory to its own X server."""
        return self._shm is not None

    def step(self, number: int, rect: Rect) -> int:
        """Paint one frame in the topmost window; returns when it is executed, with the time it was sent at in ns."""
        self._prepare(rect)
        sent = time.monotonic_ns()
        self._paint(self._windows[-1], number, rect, scroll=False)
        self._wait_until(0)
        return sent

    def run(
        self, first: int, rects: list[Rect], seconds: float, rate: float | None, *, scroll: bool
    ) -> list[tuple[int, int]]:
        """Paint for that long, the windows in turn: closed loop, or as scheduled. Number and due time (ns) of each."""
        self._prepare(max(rects, key=lambda rect: rect[2] * rect[3]))
        log = []
        start = time.monotonic_ns()
        end = start + int(seconds * 1e9)
        number = first
        while True:
            if rate is None:
                due = time.monotonic_ns()
            else:
                due = start + int((number - first) / rate * 1e9)
                while (left := due - time.monotonic_ns()) > 0:
                    time.sleep(left / 1e9)
            if due >= end:
                break
            index = number - first
            self._wait_until(_UNDER_WAY - 1)
            window = self._windows[index % len(self._windows)]
            self._paint(window, number, rects[index % len(rects)], scroll=scroll)
            log.append((number, due))
            number += 1
        self._wait_until(0)
        return log

    def _paint(self, window: Any, number: int, rect: Rect, *, scroll: bool) -> None:
        connection = self._connection
        x, y, width, height = rect
        index = number % _IMAGES
        image = self._images[index]
        image[:, 0] = image[:, -1] = number
        if scroll:  # the picture moves up, and the frame is what comes in below
            connection.send_raw(
                _COPY_AREA.pack(62, 7, window.id, window.id, self._gc, x, SCROLL_STEP, x, 0, width, y), 1
            )
        if self._shm is not None:
            assert self._region is not None
            offset = index * image.nbytes
            segment = self._shm.attach(self._region)
            whole = [(0, 0, width, height)]
            self._shm.put(window.id, self._gc, self._depth, segment, offset, (width, height), whole, (x, y))
        else:
            rows = max(1, (_LONGEST_REQUEST - _PUT_IMAGE.size) // (width * BYTES_PER_PIXEL))
            for top in range(0, height, rows):
                part = image[top : top + rows]
                words = (_PUT_IMAGE.size + part.nbytes) // 4
                head = (72, X.ZPixmap, words, window.id, self._gc, width, len(part), x, y + top, 0, self._depth)
                connection.send_raw(_PUT_IMAGE.pack(*head) + part.tobytes(), 1)
        self._under_way += 1
        self._fences.mark(self._executed)
        connection.flush()

    def _executed(self) -> None:
        self._under_way -= 1

    def _wait_until(self, under_way: int) -> None:
        while True:
            for event in self._connection.events():
                if isinstance(event, RawEvents):
                    self._fences.passed(event.data)
            if self._under_way <= under_way:
                return
            self._poll.poll()

    def _prepare(self, rect: Rect) -> None:
        _, _, width, height = rect
        if self._size == (width, height):
            return
        self._size = width, height
        if self._region is not None:
            if self._shm is not None:
                self._shm.detach(self._region)
            self._region.close()
        size = width * height * BYTES_PER_PIXEL
        self._region = Region.create(-(-size * _IMAGES // PAGE_SIZE) * PAGE_SIZE, "painter")
        view = self._region.view(writable=True)
        self._images = []
        for index in range(_IMAGES):
            image = np.frombuffer(view[index * size : (index + 1) * size], np.uint32).reshape(height, width)
            image[:] = _noise(index, width, height)
            self._images.append(image)


def _pair(text: str) -> tuple[int, int]:
    left, _, right = text.partition("x")
    return int(left), int(right)


def main() -> int:
    """Serve orders until standard input ends."""
    parser = argparse.ArgumentParser(description="Paints numbered frames; see the module's text.")
    parser.add_argument("--display", help="default: $DISPLAY")
    parser.add_argument("--title", default="painter")
    parser.add_argument("--size", type=_pair, required=True, metavar="WxH")
    parser.add_argument("--at", type=_pair, default=(40, 40), metavar="XxY")
    parser.add_argument("--windows", type=int, default=1)
    args = parser.parse_args()
    painter = Painter(args.display, args.title, args.size, args.at, args.windows)
    _say({"ready": True, "shm": painter.uses_shm})
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "step":
            _say({"sent_ns": painter.step(order["number"], tuple(order["rect"]))})
        else:
            rects = [tuple(rect) for rect in order["rects"]]
            frames = painter.run(
                order["first"], rects, order["seconds"], order.get("rate"), scroll=order.get("scroll", False)
            )
            _say({"frames": frames})
    return 0


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
