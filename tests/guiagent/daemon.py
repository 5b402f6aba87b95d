"""The daemon's half of a conversation with a real agent process, no more of it than a test asks for."""

import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from backends.base import MappedPages, PageMapper, Vchan, VchanState
from backends.local import LocalBackend
from guiproto.connection import AgentHello, DaemonConnection
from guiproto.limits import GUI_PORT
from guiproto.messages import (
    Configure,
    Create,
    DamageBatch,
    Destroy,
    Map,
    Message,
    ShmImage,
    Unmap,
    WindowDump,
    WindowDumpAck,
    WmName,
    xconf_for,
)

DEADLINE = 20.0
T = TypeVar("T", bound=Message)


class RawDaemon:
    """Connects to the agent of `domid`, notes what it hears, maps and acknowledges buffers."""

    def __init__(self, directory: Path, domid: int, *, gui_domid: int = 0, acknowledge: bool = True) -> None:
        backend = LocalBackend(directory)
        self._backend = backend
        self._domid = domid
        self._gui_domid = gui_domid
        self._acknowledge = acknowledge
        self.vchan: Vchan = backend.client(gui_domid, domid, GUI_PORT)
        self._wire = DaemonConnection()
        self._mapper: PageMapper | None = None
        self.heard: list[Message] = []
        self._buffers: dict[int, tuple[WindowDump, MappedPages]] = {}
        self.until(lambda: self._mapper, "the handshake")

    def turn(self, timeout: float) -> None:
        """Read what has arrived."""
        select.select([self.vchan.fileno()], [], [], timeout)
        self.vchan.update()
        while data := self.vchan.read(1 << 16):
            self._wire.feed(data)
            for event in self._wire.events():
                self._hear(event)

    def _hear(self, event: AgentHello | Message | DamageBatch) -> None:
        if isinstance(event, AgentHello):
            # In this order: what an agent shares is announced to those who are there by then.
            self._mapper = self._backend.mapper(self._gui_domid, self._domid)
            self.write(self._wire.accept(xconf_for(2048, 1280)))
        elif isinstance(event, DamageBatch):
            self.heard += event.messages()
        else:
            self.heard.append(event)
            if isinstance(event, WindowDump):
                assert self._mapper is not None
                self._buffers[event.window] = event, self._mapper.map(event.refs)
                if self._acknowledge:
                    self.say(WindowDumpAck(event.window))
            elif isinstance(event, Destroy):
                self.say(Destroy(event.window))

    def say(self, *messages: Message) -> None:
        """Send messages; they fit, for a test."""
        for message in messages:
            self.write(self._wire.encode(message))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        assert self.vchan.write(data) == len(data)

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Read until it is true; AssertionError after the deadline."""
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, f"waited {DEADLINE} s for {what}; heard {self.heard[-30:]}"
            self.turn(0.05)

    def of(self, kind: type[T], window: int | None = None) -> list[T]:
        """Messages of a kind."""
        return [m for m in self.heard if isinstance(m, kind) and window in (None, m.window)]

    def wait_window(self, title: str) -> int:
        """The id of the window with that title, once it is painted."""

        def find() -> list[int]:
            return [m.window for m in self.of(WmName) if m.data.rstrip(b"\0").decode() == title]

        self.until(lambda: find() and self.of(ShmImage, find()[-1]), f"a window {title!r}")
        return find()[-1]

    def geometry(self, window: int) -> tuple[int, int, int, int]:
        """Where it was said to be last."""
        last = [m for m in self.heard if isinstance(m, Create | Configure) and m.window == window][-1]
        return last.x, last.y, last.width, last.height

    def wait_geometry(self, window: int, wanted: tuple[int, int, int, int]) -> None:
        """Read until the window was said to be there."""
        self.until(lambda: self.geometry(window) == wanted, f"{window:#x} to be at {wanted}")

    def shown(self, window: int) -> bool:
        """Whether it was said to be mapped last."""
        said = [m for m in self.heard if isinstance(m, Map | Unmap) and m.window == window]
        return bool(said) and isinstance(said[-1], Map)

    def pixels(self, window: int) -> NDArray[np.uint32]:
        """What its buffer contains now: u32 [height, width], the unused byte cleared."""
        dump, mapped = self._buffers[window]
        assert mapped.region is not None
        view = np.frombuffer(mapped.region.view(), np.uint8)[mapped.offset :]
        size = dump.width * dump.height * 4
        return view[:size].view(np.uint32).reshape(dump.height, dump.width) & np.uint32(0xFFFFFF)

    def gone(self) -> bool:
        """Whether the agent has hung up."""
        return self.vchan.update() is VchanState.DISCONNECTED

    def close(self) -> None:
        """Hang up."""
        if self._mapper is not None:
            self._mapper.close()
        self.vchan.close()
