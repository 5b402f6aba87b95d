"""Carries clipboard texts between a worker's session and the supervisor, which holds them for all VMs."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from guid import parcel
from guid.control import LineSocket, Message
from guid.core import commands as do
from guiproto.errors import MachineCannot
from guiproto.limits import CLIPBOARD_MAX


class Courier:
    """On the worker's side of `line`."""

    def __init__(self, line: LineSocket) -> None:
        self._line: Final = line
        self.commands: Final[Mapping[type[Any], Callable[[Any], None]]] = {
            do.BeginCopy: lambda _: line.send({"event": "copying"}),
            do.Copied: self._copied,
            do.NotCopied: lambda _: line.send({"event": "not copied"}),
            do.WantPaste: lambda _: line.send({"event": "pasting"}),
        }
        """What the session may want done, and how."""

    def open(self, request: Message) -> bytes:
        """The text that came with a `paste` request. Raises MachineCannot if it is none."""
        fd = self._line.take_descriptor()
        if fd is None:
            raise MachineCannot("the supervisor sent no text with its order to paste", "see its log")
        try:
            if not parcel.is_sound(fd, int(request["size"]), CLIPBOARD_MAX):
                raise MachineCannot("what the supervisor sent to be pasted can change", "see its log")
            return parcel.unpack(fd)
        finally:
            os.close(fd)

    def _copied(self, command: do.Copied) -> None:
        self._line.send({"event": "copied", "size": len(command.text)}, parcel.pack(command.text))
