"""Programs that copy and paste on a guest's X server, as well or as badly as programs do."""

import select
import time
from collections.abc import Callable, Mapping
from typing import Any

from Xlib import X, Xatom
from Xlib.protocol import event as x_event

from guiagent.sources.base import Clipboard
from tests.conformance.sources.guest import DEADLINE, Program


class Copier(Program):
    """Owns CLIPBOARD with `texts`: target -> bytes of that type. `part`: give them in parts of that size.

    `mute`: never answer. `knows_targets`: answer what there is. `patience`: parts that it gives at most.
    """

    def __init__(
        self,
        display: str,
        texts: Mapping[str, bytes],
        *,
        part: int = 0,
        announced: int | None = None,
        mute: bool = False,
        knows_targets: bool = True,
        patience: int = 1 << 20,
    ) -> None:
        super().__init__(display)
        self._texts = texts
        self._part = part
        self._announced = announced
        self._mute = mute
        self._knows_targets = knows_targets
        self._patience = patience
        self._giving: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.lost = False
        self.owner = self.window(0, 0, 1, 1)
        self.owner.set_selection_owner(self.atom("CLIPBOARD"), X.CurrentTime)
        self.sync()

    def turn(self) -> None:
        """Answer what was asked."""
        for event in self.events():
            if event.type == X.SelectionRequest and not self._mute:
                self._answer(event)
            elif event.type == X.SelectionClear:
                self.lost = True
            elif event.type == X.PropertyNotify and event.state == X.PropertyDelete:
                self._go_on(event)
        self.connection.flush()

    def _answer(self, event: Any) -> None:
        target = str(self.display.get_atom_name(event.target))
        self.asked.append(target)
        name = event.property
        if target == "TARGETS" and self._knows_targets:
            event.requestor.change_property(name, Xatom.ATOM, 32, [self.atom(each) for each in self._texts])
        elif target in self._texts and self._part:
            text = self._texts[target]
            event.requestor.change_attributes(event_mask=X.PropertyChangeMask)
            self._giving[event.requestor.id, name] = event.target, text
            size = len(text) if self._announced is None else self._announced
            event.requestor.change_property(name, self.atom("INCR"), 32, [size])
        elif target in self._texts:
            event.requestor.change_property(name, event.target, 8, self._texts[target])
        else:
            name = X.NONE
        answer = x_event.SelectionNotify(
            time=event.time, requestor=event.requestor, selection=event.selection, target=event.target, property=name
        )
        event.requestor.send_event(answer)

    def _go_on(self, event: Any) -> None:
        key = event.window.id, event.atom
        if key in self._giving and self._patience:
            self._patience -= 1
            kind, text = self._giving[key]
            event.window.change_property(event.atom, kind, 8, text[: self._part])
            self._giving[key] = kind, text[self._part :]
            if not text:
                del self._giving[key]


class Paster(Program):
    """Wants a selection. `takes`: whether it takes what comes in parts."""

    def __init__(self, display: str, *, takes: bool = True) -> None:
        super().__init__(display)
        self._takes = takes
        self._parts: bytearray | None = None
        self.own = self.window(0, 0, 1, 1, event_mask=X.PropertyChangeMask)
        self.answered = False
        self.kind = ""
        self.value: Any = None
        """What it got: bytes, words, or None if it was refused."""

    def want(self, target: str, selection: str = "CLIPBOARD", time: int = X.CurrentTime) -> None:
        """Ask for it."""
        self.answered, self.kind, self.value, self._parts = False, "", None, None
        self.own.convert_selection(self.atom(selection), self.atom(target), self.atom("PLACE"), time)
        self.sync()

    def turn(self) -> None:
        """Take what has come."""
        for event in self.events():
            if event.type == X.SelectionNotify:
                self._first(event)
            elif event.type == X.PropertyNotify and event.state == X.PropertyNewValue and self._parts is not None:
                self._next()
        self.connection.flush()

    def _first(self, event: Any) -> None:
        if event.property == X.NONE:
            self.answered = True
            return
        found = self.own.get_property(event.property, X.AnyPropertyType, 0, 1 << 20, delete=self._takes)
        if found is None:
            return
        self.kind = str(self.display.get_atom_name(found.property_type))
        if self.kind == "INCR":
            self._parts = bytearray()
        else:
            self.value, self.answered = found.value, True

    def _next(self) -> None:
        if not self._takes:
            return
        found = self.own.get_property(self.atom("PLACE"), X.AnyPropertyType, 0, 1 << 20, delete=True)
        if found is None:
            return
        assert self._parts is not None
        self._parts += found.value
        if not len(found.value):
            self.kind = str(self.display.get_atom_name(found.property_type))
            self.value, self.answered, self._parts = bytes(self._parts), True, None


def pump(clipboard: Clipboard, *programs: Copier | Paster, until: Callable[[], object]) -> None:
    """Let all of them go on until it is true; AssertionError after the deadline."""
    end = time.monotonic() + DEADLINE
    while not until():
        assert time.monotonic() < end, "the clipboard did not get there"
        fds = [clipboard.fileno(), *(program.connection.fileno() for program in programs)]
        select.select(fds, [], [], 0.0 if clipboard.patience() == 0 else 0.05)
        clipboard.proceed()
        for program in programs:
            program.turn()


def fetched(clipboard: Clipboard, *programs: Copier, most: int = 256_000) -> bytes:
    """What it says that programs have copied."""
    answers: list[bytes] = []
    clipboard.fetch(most, answers.append)
    pump(clipboard, *programs, until=lambda: answers)
    (answer,) = answers
    return answer


def pasted(clipboard: Clipboard, paster: Paster, target: str, selection: str = "CLIPBOARD") -> Any:
    """What a program gets."""
    paster.want(target, selection)
    pump(clipboard, paster, until=lambda: paster.answered)
    return paster.value
