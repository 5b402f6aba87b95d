"""No window of a VM appears above a screen locker: what is shown while the screen is locked comes up below it.

Menus and their like are not a window manager's, so they are mapped on top by this process, and a locker, which is such
a window itself, does not notice. Whether there is one is known at once while the pointer is in a window of this VM, as
lockers are over everything; otherwise the X server is asked before the window is mapped. A locker is known by the name
in its WM_CLASS, which no VM can have: theirs begin with the VM's name and a colon.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from Xlib import X, Xatom
from Xlib.protocol import request

from guid.hosts.x11 import requests as x
from guid.hosts.x11.replies import Replies
from guid.hosts.x11.window import HostWindow, WindowTable
from shm.xconn import XConnection

_CLASS_WORDS: Final = 64


class Lockers:
    """Maps override-redirect windows: on top, but below lockers called one of `names`."""

    def __init__(
        self, connection: XConnection, replies: Replies, windows: WindowTable, root: int, names: Iterable[str]
    ) -> None:
        self._connection = connection
        self._replies = replies
        self._windows = windows
        self._root = root
        self._names = frozenset(name.encode() for name in names)
        info: Any = connection.display.display.info
        self._base, self._mask = int(info.resource_id_base), int(info.resource_id_mask)

    def map(self, window: HostWindow, *, unlocked: bool) -> None:
        """Map it now if the screen is known to be `unlocked`, else as soon as that is known."""
        if unlocked or not self._names:
            self._show(window, None)
            return
        turn = window.mapping_turn = window.mapping_turn + 1

        def found(locker: int | None) -> None:
            if self._windows.get(window.id) is window and window.mapped and window.mapping_turn == turn:
                self._show(window, locker)

        self._look(found)

    def _show(self, window: HostWindow, locker: int | None) -> None:
        outer = window.frame.outer
        place = x.raise_window(outer) if locker is None else x.stack_below(outer, locker)
        x.send(self._connection, [place, x.map_window(outer)])

    def _look(self, found: Callable[[int | None], None]) -> None:
        """Have `found` called with the lowest locker that can be seen."""

        seen: list[int] = []

        def attributes(xid: int, reply: Any) -> None:
            if reply.override_redirect and reply.map_state == X.IsViewable and reply.win_class == X.InputOutput:
                seen.append(xid)

        def children(reply: Any) -> None:
            for xid in (child.id for child in reply.children):
                if xid & ~self._mask != self._base:
                    self._replies.ask(request.GetWindowAttributes, partial(attributes, xid), window=xid)
            # Answers come in the order of the questions: with this one, all are there.
            self._replies.ask(request.GetInputFocus, lambda _: self._names_of(seen, found))

        self._replies.ask(request.QueryTree, children, window=self._root)

    def _names_of(self, windows: list[int], found: Callable[[int | None], None]) -> None:
        lockers: list[int] = []

        def name(xid: int, reply: Any) -> None:
            kind, value = reply.value or (0, b"")
            if kind == 8 and bytes(value).partition(b"\0")[0] in self._names:
                lockers.append(xid)

        for xid in windows:
            self._replies.ask(
                request.GetProperty, partial(name, xid),
                delete=0, window=xid, property=Xatom.WM_CLASS, type=Xatom.STRING, long_offset=0,
                long_length=_CLASS_WORDS,
            )  # fmt: skip
        self._replies.ask(request.GetInputFocus, lambda _: found(lockers[0] if lockers else None))
