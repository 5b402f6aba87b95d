"""A window's properties become events, read in one round trip however many of them changed.

Changes are noted as they are announced and read together at the end of a batch of events, so a program that rewrites
its title in a loop costs one read per wake-up. What a program wrote may be of any type and length: whatever does not
have the form that the ICCCM or EWMH says counts as missing.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import Xlib.error
from Xlib import X, Xatom
from Xlib.protocol import request as core_request

from guiagent.core.source_events import Classified, Hinted, SizeHints, SourceEvent, Titled, TransientFor
from guiproto.messages import Hint
from shm.xconn import XConnection

_LONGEST_WORDS: Final = 256
_KNOWN_HINTS: Final = int(
    Hint.US_POSITION | Hint.P_POSITION | Hint.P_MIN_SIZE | Hint.P_MAX_SIZE | Hint.P_RESIZE_INC | Hint.P_BASE_SIZE
)
_HINT_WORDS: Final = 17
_INPUT_HINT: Final = 1
_URGENCY_HINT: Final = 1 << 8


class Value(NamedTuple):
    """A property: `text` when its format is 8, `words` when it is 32."""

    type: int
    text: bytes
    words: Sequence[int]


class Hints(NamedTuple):
    """What we need of WM_HINTS."""

    takes_input: bool = True
    urgent: bool = False


class _Group(NamedTuple):
    """Properties that make one event."""

    atoms: tuple[int, ...]
    build: Callable[[int, Sequence[Value | None]], SourceEvent | None]


class Properties:
    """Reads properties of windows of one connection.

    `on_hints(window, hints)` and `on_states(window, atoms)` make an event of WM_HINTS and _NET_WM_STATE, or None.
    """

    def __init__(
        self,
        connection: XConnection,
        atom: Callable[[str], int],
        on_hints: Callable[[int, Hints], SourceEvent | None],
        on_states: Callable[[int, Sequence[int]], SourceEvent | None],
    ) -> None:
        self._wire: Any = connection.display.display
        self._utf8 = atom("UTF8_STRING")
        self._on_hints = on_hints
        self._on_states = on_states
        self._groups: Final = (
            _Group((Xatom.WM_CLASS,), self._class),
            _Group((atom("_NET_WM_NAME"), Xatom.WM_NAME), self._title),
            _Group((Xatom.WM_NORMAL_HINTS,), self._size_hints),
            _Group((Xatom.WM_TRANSIENT_FOR,), self._transient_for),
            _Group((Xatom.WM_HINTS,), self._hints),
            _Group((atom("_NET_WM_STATE"),), self._states),
        )
        self._group_of = {atom: group for group in self._groups for atom in group.atoms}
        self.stale: dict[tuple[int, _Group], None] = {}
        """What `refresh` will read."""

    def changed(self, window: int, atom: int) -> None:
        """A property of a window changed."""
        group = self._group_of.get(atom)
        if group is not None:
            self.stale[window, group] = None

    def all_changed(self, window: int) -> None:
        """The window is new."""
        for group in self._groups:
            self.stale[window, group] = None

    def refresh(self) -> Iterator[SourceEvent]:
        """Read what changed since the last call. Windows that are gone say nothing."""
        stale, self.stale = self.stale, {}
        asked = [(window, group, [self._ask(window, atom) for atom in group.atoms]) for window, group in stale]
        for window, group, replies in asked:
            event = group.build(window, [_value(reply) for reply in replies])
            if event is not None:
                yield event

    def read(self, window: int, *atoms: int) -> list[Value | None]:
        """Properties as they are now; waits for the answer."""
        return [_value(reply) for reply in [self._ask(window, atom) for atom in atoms]]

    def _ask(self, window: int, atom: int) -> Any:
        return core_request.GetProperty(
            display=self._wire,
            defer=True,
            delete=False,
            window=window,
            property=atom,
            type=X.AnyPropertyType,
            long_offset=0,
            long_length=_LONGEST_WORDS,
        )

    def _title(self, window: int, values: Sequence[Value | None]) -> SourceEvent | None:
        for value in values:
            if value is not None:
                return Titled(window, self._text(value))
        return None

    def _text(self, value: Value) -> str:
        return value.text.decode("utf-8" if value.type == self._utf8 else "latin-1", "replace")

    def _class(self, window: int, values: Sequence[Value | None]) -> SourceEvent | None:
        (value,) = values
        if value is None:
            return None
        name, _, class_ = self._text(value).partition("\0")
        return Classified(window, name, class_.partition("\0")[0])

    def _size_hints(self, window: int, values: Sequence[Value | None]) -> SourceEvent | None:
        (value,) = values
        if value is None:
            return None
        # Old programs leave the base size out.
        words = [*value.words, *[0] * _HINT_WORDS]
        flags = words[0] & _KNOWN_HINTS
        if len(value.words) < _HINT_WORDS:
            flags &= ~int(Hint.P_BASE_SIZE)
        return Hinted(window, SizeHints(flags, *words[5:11], *words[15:17]))

    def _transient_for(self, window: int, values: Sequence[Value | None]) -> SourceEvent | None:
        (value,) = values
        return TransientFor(window, value.words[0] if value is not None and value.words else 0)

    def _hints(self, window: int, values: Sequence[Value | None]) -> SourceEvent | None:
        return self._on_hints(window, parse_hints(values[0]))

    def _states(self, window: int, values: Sequence[Value | None]) -> SourceEvent | None:
        (value,) = values
        return self._on_states(window, value.words if value is not None else ())


def parse_hints(value: Value | None) -> Hints:
    """WM_HINTS. Programs that do not say take input."""
    if value is None or len(value.words) < 2:
        return Hints()
    flags = value.words[0]
    return Hints(not flags & _INPUT_HINT or bool(value.words[1]), bool(flags & _URGENCY_HINT))


def _value(reply: Any) -> Value | None:
    try:
        reply.reply()
    except Xlib.error.XError:
        return None  # the window is gone
    if not reply.property_type or reply.value is None:
        return None
    kind, data = reply.value
    if kind == 8:
        return Value(reply.property_type, bytes(data), ())
    return Value(reply.property_type, b"", list(data)) if kind == 32 else None
