"""Owns the CLIPBOARD and PRIMARY selections with one text, and answers programs that want it."""

from typing import Any, Final

import Xlib.error
from Xlib import X, Xatom
from Xlib.protocol import event as events

from guiagent.sources.x11.atoms import Atoms
from guiagent.sources.x11.fetching import UTF8_TARGETS
from guiagent.sources.x11.transfers import PART_BYTES, Transfers
from shm.xconn import XConnection

_MOST_OF_MULTIPLE: Final = 8
_HALF: Final = 1 << 31
_WRAP: Final = (1 << 32) - 1


class Offer:
    """One text, from `__init__` on until programs have taken both selections, or `withdraw`."""

    def __init__(self, connection: XConnection, atoms: Atoms, transfers: Transfers, text: str) -> None:
        display: Any = connection.display
        self.text = text
        self._display = display
        self._atoms = atoms
        self._transfers = transfers
        self._window: Any = display.screen().root.create_window(
            -1, -1, 1, 1, 0, X.CopyFromParent, X.InputOnly, override_redirect=True, event_mask=X.PropertyChangeMask
        )
        self._owned: set[int] = set()
        self._since: int | None = None
        # Selections are owned since a moment of the server's clock, which it tells when a property changes.
        self._window.change_property(Xatom.WM_NAME, Xatom.STRING, 8, b"clipboard")

    @property
    def window(self) -> int:
        """Events of this window are ours."""
        return int(self._window.id)

    @property
    def lost(self) -> bool:
        """Whether nobody can get it any more."""
        return self._since is not None and not self._owned

    def stamped(self, event: Any) -> None:
        """PropertyNotify of our own window arrived."""
        if self._since is None:
            self._since = int(event.time)
            for name in ("CLIPBOARD", "PRIMARY"):
                self._owned.add(self._atoms[name])
                self._window.set_selection_owner(self._atoms[name], self._since)

    def cleared(self, event: Any) -> None:
        """SelectionClear arrived: another program has copied something."""
        self._owned.discard(event.atom)

    def requested(self, event: Any) -> bool:
        """SelectionRequest arrived. Whether the program got the text."""
        late = event.time != X.CurrentTime and (event.time - (self._since or 0)) & _WRAP >= _HALF
        name = event.property or event.target  # programs older than the rules name none
        answered = got = False
        if event.selection in self._owned and not late:
            if event.target == self._atoms["MULTIPLE"]:
                answered, got = self._put_many(event.requestor, name)
            else:
                answered, got = self._put(event.requestor, name, event.target)
        answer = events.SelectionNotify(
            time=event.time, requestor=event.requestor, selection=event.selection, target=event.target,
            property=name if answered else X.NONE,
        )  # fmt: skip
        event.requestor.send_event(answer)
        return got

    def withdraw(self) -> None:
        """Own nothing any more."""
        self._window.destroy()
        self._owned.clear()

    def _put(self, requestor: Any, name: int, target: int) -> tuple[bool, bool]:
        """Whether the property says what was asked for, and whether that was the text."""
        atoms = self._atoms
        if target == atoms["TARGETS"]:
            targets = [atoms[name] for name in ("TARGETS", "TIMESTAMP", "MULTIPLE", *UTF8_TARGETS, "STRING")]
            requestor.change_property(name, Xatom.ATOM, 32, targets)
            return True, False
        if target == atoms["TIMESTAMP"]:
            requestor.change_property(name, Xatom.INTEGER, 32, [self._since or 0])
            return True, False
        if target == Xatom.STRING:
            data = self.text.encode("latin-1", "replace")
        elif target in (atoms[name] for name in UTF8_TARGETS):
            data = self.text.encode()
        else:
            return False, False
        if len(data) > PART_BYTES:
            served = self._transfers.begin(requestor.id, name, target, data)
            return served, served
        requestor.change_property(name, target, 8, data)
        return True, True

    def _put_many(self, requestor: Any, name: int) -> tuple[bool, bool]:
        """MULTIPLE: pairs of target and property, of which those that cannot be are crossed out."""
        try:
            asked = requestor.get_property(name, X.AnyPropertyType, 0, 2 * _MOST_OF_MULTIPLE)
        except Xlib.error.XError:  # the program is gone
            return False, False
        if asked is None or asked.format != 32 or len(asked.value) % 2:
            return False, False
        words, got_any = list(asked.value), False
        for at in range(0, len(words), 2):
            answered, got = False, False
            if words[at] != self._atoms["MULTIPLE"] and words[at + 1]:
                answered, got = self._put(requestor, words[at + 1], words[at])
            got_any = got_any or got
            if not answered:
                words[at + 1] = X.NONE
        requestor.change_property(name, asked.property_type, 32, words)
        return True, got_any
