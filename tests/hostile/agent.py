"""An agent that shows one window and remembers what it was told."""

import os
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from backends.base import Backend, SharedPages
from guid.bench.synthetic import SyntheticAgent
from guiproto.messages import ShmImage

WINDOW: Final = 7
WIDTH, HEIGHT = 160, 120

Said = TypeVar("Said")


class Agent(SyntheticAgent):
    """`heard`: all that its daemon has said."""

    def __init__(self, backend: Backend, domid: int, gui_domid: int) -> None:
        super().__init__(backend, domid, gui_domid)
        self.heard: list[object] = []
        self.on_message = self.heard.append
        self.pages: SharedPages

    def show(self, x: int, y: int) -> None:
        """Its window, there; returns when the daemon has mapped it."""
        self.pages = self.window(WINDOW, x, y, WIDTH, HEIGHT)

    def paint(self) -> NDArray[np.uint32]:
        """Show new pixels; they."""
        noise = np.frombuffer(os.urandom(4 * WIDTH * HEIGHT), np.uint32)
        pixels = np.bitwise_and(noise, np.uint32(0xFFFFFF)).reshape(HEIGHT, WIDTH)
        self.pixels(self.pages, WIDTH, HEIGHT)[:] = pixels
        self.tell(ShmImage(WINDOW, 0, 0, WIDTH, HEIGHT))
        return pixels

    def told(self, kind: type[Said]) -> list[Said]:
        """Everything of that kind that it was told so far."""
        self.read()
        return [message for message in self.heard if isinstance(message, kind)]
