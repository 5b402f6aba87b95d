"""Conversations with a session: what goes in on one line, what must come out on the next.

    book = Playbook()
    book.agent(Create(1, 10, 10, 200, 100, 0, 0)).does(CreateWindow(WindowId(1), Geometry(10, 10, 200, 100), False))
    book.agent(Unmap(2)).breaks("unknown window")

A reply that differs is shown line by line. Arrays compare by value.
"""

import difflib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

import numpy as np

from guid.core.commands import Command, CreateWindow, MapWindow, Paint, SendToAgent
from guid.core.host_events import HostEvent, ScreenInfo
from guid.core.session import Quotas, Session, SessionConfig
from guid.core.trusted import Geometry, Label, WindowId
from guiproto.errors import PeerMisbehaved
from guiproto.messages import Create, DamageBatch, Map, Message, WindowDump

SCREEN: Final = ScreenInfo(1000, 800, 24, Geometry(0, 30, 1000, 770))
"""A panel of 30 pixels is at the top."""
CONFIG: Final = SessionConfig(Label("red", 0xCC0000, 1), border_width=3)
SMALL: Final = Quotas(windows=3, refused=2, pages=20)

WINDOW: Final = WindowId(1)
PLACE: Final = Geometry(100, 100, 200, 100)


def tell(message: Message) -> SendToAgent:
    """The command that puts `message` on the vchan."""
    return SendToAgent(message)


def dump(window: int, width: int, height: int, pages: int | None = None, kind: int = 0) -> WindowDump:
    """A WINDOW_DUMP with references 0, 1, 2, ...: as many as needed, or `pages`."""
    count = -(-width * height * 4 // 4096) if pages is None else pages
    return WindowDump(window, kind, width, height, 24, np.arange(count, dtype=np.uint32))


class Reply:
    """What the session made of something."""

    def __init__(self, commands: Iterable[Command | Paint], violation: PeerMisbehaved | None = None) -> None:
        self.commands = list(commands)
        self.violation = violation

    def does(self, *expected: Command | Paint) -> None:
        """It wants exactly this done, in this order."""
        assert self.violation is None, f"session ended: {self.violation}"
        want, got = [spell(c) for c in expected], [spell(c) for c in self.commands]
        assert want == got, "\n" + "\n".join(difflib.ndiff(want, got))

    def breaks(self, rule: str) -> None:
        """It ends the session for that rule."""
        assert self.violation is not None, f"nothing wrong was found, but: {[spell(c) for c in self.commands]}"
        assert self.violation.rule == rule

    def of(self, kind: type[Any]) -> list[Any]:
        """Only the commands of one kind."""
        assert self.violation is None, f"session ended: {self.violation}"
        return [command for command in self.commands if isinstance(command, kind)]


class Playbook:
    """One session, talked to."""

    def __init__(self, *, screen: ScreenInfo = SCREEN, **config: Any) -> None:
        self.session = Session(replace(CONFIG, **config), screen)

    def agent(self, *messages: Message | DamageBatch) -> Reply:
        """The agent sends these."""
        return self._collect(self.session.receive(message) for message in messages)

    def host(self, *events: HostEvent) -> Reply:
        """The desktop reports these."""
        return self._collect(self.session.host_event(event) for event in events)

    def at(self, now: float) -> Reply:
        """It is that time."""
        return Reply(self.session.tick(now))

    def painted(self) -> Reply:
        """The batch is over."""
        return Reply(self.session.take_damage())

    def with_window(self, window: int = WINDOW, place: Geometry = PLACE, *, buffer: bool = True) -> "Playbook":
        """There is a mapped managed window, with a buffer of its size unless that is not wanted."""
        x, y, width, height = place.x, place.y, place.width, place.height
        self.agent(Create(window, x, y, width, height, 0, 0), Map(window, 0, 0)).does(
            CreateWindow(WindowId(window), place, False), MapWindow(WindowId(window), False, None)
        )
        if buffer:
            assert self.agent(dump(window, width, height)).violation is None
        return self

    def window(self, number: int = WINDOW) -> dict[str, Any]:
        """The snapshot's row about one window."""
        (row,) = [row for row in self.session.snapshot() if row["remote_id"] == number]
        return dict(row)

    @staticmethod
    def _collect(replies: Iterable[list[Command]]) -> Reply:
        commands: list[Command] = []
        try:
            for reply in replies:
                commands += reply
        except PeerMisbehaved as violation:
            return Reply(commands, violation)
        return Reply(commands)


def spell(command: Command | Paint) -> str:
    """The command in one line, with arrays spelled out."""
    return _spell(command)


def _spell(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(value.tolist())
    if isinstance(value, list):  # the other form of rectangles
        return str([list(row) for row in value])
    if is_dataclass(value):
        return f"{type(value).__name__}({', '.join(_spell(getattr(value, f.name)) for f in fields(value))})"
    if isinstance(value, tuple):
        return f"{type(value).__name__}({', '.join(map(_spell, value))})"
    return repr(value)
