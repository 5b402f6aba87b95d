"""A restless program: its windows are painted, moved, hidden, shown, renamed, and menus and more windows come and go.

At a given time it comes to rest, and each of its windows shows a picture that follows from its number and size alone,
so that whoever looks at a display can tell whether every pixel has arrived.
"""

import argparse
import contextlib
import random
import select
import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from Xlib import X
from Xlib.display import Display

SIZE: Final = 220, 160
_BYTES_AT_ONCE: Final = 200_000
_MOST_EXTRA: Final = 5
_TURN_SECONDS: Final = 0.02


def picture(number: int, width: int, height: int) -> NDArray[np.uint32]:
    """What window `number` shows in the end: u32 [height, width], 0x00RRGGBB; no two rows or numbers are the same."""
    rows, columns = np.arange(height, dtype=np.uint32)[:, None], np.arange(width, dtype=np.uint32)[None, :]
    mixed: NDArray[np.uint32] = (columns * 7919) ^ (rows * 104729) ^ np.uint32((number + 1) * 65537)
    return np.bitwise_and(mixed, np.uint32(0xFFFFFF))


class Scribbler:
    """`count` windows that stay, titled by their numbers, and others that do not."""

    def __init__(self, count: int, seed: int) -> None:
        self._choose = random.Random(seed)  # noqa: S311 - chance, and not secrets
        self._display: Any = Display()
        screen = self._display.screen()
        self._screen = screen
        self._windows = [
            self._make(number, 40 + 240 * (number % 6), 40 + 200 * (number // 6)) for number in range(count)
        ]
        self._extra: list[Any] = []
        self._gc = self._windows[0].create_gc(graphics_exposures=False)
        for window in self._windows:
            window.map()

    def _make(self, number: int, x: int, y: int, *, override: bool = False) -> Any:
        screen = self._screen
        window = screen.root.create_window(
            x, y, *SIZE, 0, screen.root_depth, background_pixel=0, override_redirect=override,
            event_mask=X.ExposureMask | X.StructureNotifyMask,
        )  # fmt: skip
        window.set_wm_name(f"window {number}")
        window.set_wm_normal_hints(flags=1 | 2, x=x, y=y)
        return window

    def scribble(self, until: float) -> None:
        """Be restless until that time of the clock."""
        acts = (self._paint,) * 12 + (self._move, self._resize, self._hide, self._rename, self._menu, self._end_extra)
        while time.time() < until:
            self._choose.choice(acts)()
            self._drain(_TURN_SECONDS)

    def rest(self) -> None:
        """Show the pictures, and paint again whatever is asked for."""
        while self._extra:
            self._extra.pop().destroy()
        for number, window in enumerate(self._windows):
            window.set_wm_name(f"window {number}")
            window.map()
        while True:
            for number, window in enumerate(self._windows):
                self._draw(number, window)
            self._drain(0.5)

    def _draw(self, number: int, window: Any) -> None:
        size = window.get_geometry()
        pixels = picture(number, size.width, size.height)
        rows = max(1, _BYTES_AT_ONCE // (4 * size.width))
        for top in range(0, size.height, rows):
            part = pixels[top : top + rows]
            window.put_image(self._gc, 0, top, size.width, len(part), X.ZPixmap, 24, 0, part.tobytes())

    def _drain(self, seconds: float) -> None:
        self._display.flush()
        select.select([self._display], [], [], seconds)
        while self._display.pending_events():
            self._display.next_event()

    def _any(self) -> Any:
        return self._choose.choice(self._windows + self._extra)

    def _paint(self) -> None:
        choose, window = self._choose, self._any()
        self._gc.change(foreground=choose.getrandbits(24))
        for _ in range(choose.randint(1, 20)):
            x, y = choose.randint(0, 200), choose.randint(0, 140)
            window.fill_rectangle(self._gc, x, y, choose.randint(1, 200), choose.randint(1, 140))

    def _move(self) -> None:
        self._any().configure(x=self._choose.randint(0, 1200), y=self._choose.randint(0, 700))

    def _resize(self) -> None:
        self._any().configure(width=self._choose.randint(60, 500), height=self._choose.randint(60, 400))

    def _hide(self) -> None:
        window = self._any()
        window.unmap()
        window.map()

    def _rename(self) -> None:
        self._any().set_wm_name(f"busy {self._choose.random()}")

    def _menu(self) -> None:
        if len(self._extra) < _MOST_EXTRA:
            x, y = self._choose.randint(0, 1200), self._choose.randint(0, 700)
            window = self._make(99, x, y, override=self._choose.random() < 0.7)
            window.map()
            self._extra.append(window)

    def _end_extra(self) -> None:
        if self._extra:
            self._extra.pop(self._choose.randrange(len(self._extra))).destroy()


def main() -> None:
    """Be restless, then at rest until killed."""
    parser = argparse.ArgumentParser(description="A restless program; see the module's text.")
    parser.add_argument("--windows", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--until", type=float, required=True, metavar="UNIX TIME")
    args = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        scribbler = Scribbler(args.windows, args.seed)
        scribbler.scribble(args.until)
        scribbler.rest()


if __name__ == "__main__":
    main()
