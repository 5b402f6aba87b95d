"""Takes the text of the CLIPBOARD selection from whatever program owns it, which may answer in parts, wrongly or never.

Each attempt has a window of its own: what an earlier owner writes too late, it writes to a window that is gone.
"""

from collections.abc import Callable
from typing import Any, Final

from Xlib import X, Xatom

from guiagent.sources.x11.atoms import Atoms
from shm.xconn import XConnection

_PROPERTY: Final = "_ODYSSEY_CLIPBOARD"
UTF8_TARGETS: Final = ("UTF8_STRING", "text/plain;charset=utf-8")
_MOST_TARGETS: Final = 256


class Fetch:
    """One attempt. `done` is called once, with no more than `most` + 1 bytes of UTF-8."""

    def __init__(self, connection: XConnection, atoms: Atoms, most: int, done: Callable[[bytes], None]) -> None:
        display: Any = connection.display
        self._atoms = atoms
        self._most = most
        self._done = done
        self._over = False
        self._property = atoms[_PROPERTY]
        self._window: Any = display.screen().root.create_window(
            -1, -1, 1, 1, 0, X.CopyFromParent, X.InputOnly, override_redirect=True, event_mask=X.PropertyChangeMask
        )
        self._targets: list[int] = []
        self._parts: bytearray | None = None
        """What has arrived of a text that comes in parts."""
        self._ask(atoms["TARGETS"])

    @property
    def window(self) -> int:
        """Events of this window are ours."""
        return int(self._window.id)

    def notified(self, event: Any) -> None:
        """SelectionNotify arrived: the owner has answered, or there is none. Raises XError if our window is gone."""
        if self._over or self._parts is not None or event.target != self._target:
            return
        if event.property == X.NONE:
            if event.target == self._atoms["TARGETS"]:  # some owners do not know that question
                self._targets = [self._atoms[name] for name in ("UTF8_STRING", "STRING")]
            self._next()
        elif event.target == self._atoms["TARGETS"]:
            self._choose()
        else:
            self._begin()

    def changed(self, event: Any) -> None:
        """PropertyNotify arrived: another part, maybe. Raises XError if our window is gone."""
        if self._over or self._parts is None or event.atom != self._property or event.state != X.PropertyNewValue:
            return
        part = self._read(self._most + 1)
        if part is None:
            return
        if part.format == 8 and len(part.value):
            self._parts += part.value
            if len(self._parts) <= self._most:
                return
        self._finish(self._text(part.property_type, bytes(self._parts)))

    def give_up(self) -> None:
        """It takes too long, or cannot be."""
        self._finish(b"")

    def _ask(self, target: int) -> None:
        self._target = target
        self._window.convert_selection(self._atoms["CLIPBOARD"], target, self._property, X.CurrentTime)

    def _next(self) -> None:
        if self._targets:
            self._ask(self._targets.pop(0))
        else:
            self._finish(b"")

    def _choose(self) -> None:
        found = self._read(4 * _MOST_TARGETS)
        offered = set(found.value) if found is not None and found.format == 32 else set()
        wanted = [self._atoms[name] for name in (*UTF8_TARGETS, "STRING")]
        self._targets = [target for target in wanted if target in offered]
        self._next()

    def _begin(self) -> None:
        found = self._read(self._most + 1)
        if found is None:
            self._next()
        elif found.property_type == self._atoms["INCR"]:
            self._parts = bytearray()  # that it was read and deleted tells the owner to go on
        elif found.format == 8:
            self._finish(self._text(found.property_type, bytes(found.value)))
        else:
            self._next()

    def _read(self, size: int) -> Any:
        """At most `size` bytes and 3 more of the property, which is deleted if that is all; None if there is none."""
        return self._window.get_property(self._property, X.AnyPropertyType, 0, -(-size // 4), delete=True)

    def _text(self, kind: int, data: bytes) -> bytes:
        return data.decode("latin-1").encode() if kind == Xatom.STRING else data

    def _finish(self, text: bytes) -> None:
        if not self._over:
            self._over = True
            self._window.destroy()
            self._done(text.removesuffix(b"\0")[: self._most + 1])
