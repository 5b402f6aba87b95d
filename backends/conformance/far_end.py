"""Ends of vchans and page sharers in another domain, for checks whose other half is elsewhere: this half runs there.

It makes and uses what it is told to, over lines on standard input and output. `far` has the objects that tell it.

    CHANNEL WORDS\\n     from there: a number and a JSON array, the operation and its arguments; see `_Ends`
    CHANNEL ANSWER\\n    {"is": value}, or {"error": TYPE, "text": TEXT}; one for each, in order
    CHANNEL {"awake": true}\\n   once after each operation: the end's descriptor polls readable

A channel is one object's life. ["gone"] ends it, as the death of a process would.
"""

import base64
import json
import os
import select
import sys
from collections.abc import Callable
from typing import Any

from backends import registry
from backends.base import Backend, PageSharer, SharedPages, Vchan
from guiproto.limits import BYTES_PER_PIXEL

_READ_BYTES = 1 << 20


def put(sharer: PageSharer, pages: SharedPages, data: bytes, at: int) -> None:
    """Write `data` into the pages, `at` bytes from their beginning, as the display server and its agent would."""
    with pages.region.view(writable=True) as view:
        view[pages.offset + at : pages.offset + at + len(data)] = data
    first, end = at // BYTES_PER_PIXEL, -(-(at + len(data)) // BYTES_PER_PIXEL)
    sharer.written(pages, pages.length // BYTES_PER_PIXEL, [(first, 0, end - first, 1)])


class _Ends:
    """The objects by channel."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._vchans: dict[int, Vchan] = {}
        self._sharers: dict[int, PageSharer] = {}
        self._pages: dict[tuple[int, int], SharedPages] = {}
        self.poll = select.poll()
        self.armed: dict[int, int] = {}
        """Channels by descriptor, of those that are to be told of."""

    def do(self, channel: int, words: list[Any]) -> Any:
        """Carry out an operation; its value."""
        op, *arguments = words
        vchan, sharer = self._vchans.get(channel), self._sharers.get(channel)
        if op == "hello":
            return None
        if op in ("server", "client"):
            self._vchans[channel] = vchan = getattr(self._backend, op)(*arguments)
            value: Any = None
        elif op == "sharer":
            self._sharers[channel] = self._backend.sharer(*arguments)
            return None
        elif sharer is not None:
            return self._share(channel, sharer, op, arguments)
        elif vchan is None:
            raise LookupError(f"channel {channel} is no vchan")
        elif op == "read":
            value = base64.b64encode(vchan.read(arguments[0])).decode()
        elif op == "write":
            value = vchan.write(base64.b64decode(arguments[0]))
        elif op in ("update", "data_ready", "buffer_space", "close"):
            found = getattr(vchan, op)()
            value = None if op in ("update", "close") else found
        else:
            raise LookupError(op)
        self._arm(channel, vchan)
        return [value, vchan.state.value]

    def _share(self, channel: int, sharer: PageSharer, op: str, arguments: list[Any]) -> Any:
        if op == "allocate":
            pages = sharer.allocate(arguments[0])
            self._pages[channel, pages.offset] = pages
            return [pages.offset, pages.length, pages.region.size, pages.refs.tolist()]
        if op == "release":
            return sharer.release(self._pages.pop((channel, arguments[0])))
        if op == "put":
            offset, at, data = arguments[0], arguments[1], base64.b64decode(arguments[2])
            return put(sharer, self._pages[channel, offset], data, at)
        if op in ("publish", "close"):
            getattr(sharer, op)()
            return None
        raise LookupError(op)

    def gone(self, channel: int) -> None:
        """Whoever used it is gone."""
        vchan, sharer = self._vchans.pop(channel, None), self._sharers.pop(channel, None)
        if vchan is not None:
            self._disarm(channel)
            vchan.close()
        if sharer is not None:
            sharer.close()

    def awake(self, fd: int) -> int | None:
        """The channel of a descriptor that polls readable, and is not watched any more until its next operation."""
        channel = self.armed.get(fd)
        if channel is not None:
            self._disarm(channel)
        return channel

    def _arm(self, channel: int, vchan: Vchan) -> None:
        self._disarm(channel)
        try:
            fd = vchan.fileno()
            self.poll.register(fd, select.POLLIN)
        except (OSError, ValueError):
            return  # it is closed
        if fd >= 0:
            self.armed[fd] = channel

    def _disarm(self, channel: int) -> None:
        for fd, owner in list(self.armed.items()):
            if owner == channel:
                del self.armed[fd]
                self.poll.unregister(fd)


def serve(backend: Backend) -> None:
    """Until standard input ends."""
    ends = _Ends(backend)
    ends.poll.register(0, select.POLLIN)
    buffer = b""
    while True:
        for fd, _ in ends.poll.poll():
            if fd != 0:
                if (channel := ends.awake(fd)) is not None:
                    _say(channel, {"awake": True})
                continue
            data = os.read(0, _READ_BYTES)
            if not data:
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                number, _, words = line.partition(b" ")
                _answer(ends.do, ends.gone, int(number), json.loads(words))


def _answer(do: Callable[[int, list[Any]], Any], gone: Callable[[int], None], channel: int, words: list[Any]) -> None:
    if words == ["gone"]:
        gone(channel)
        return
    try:
        _say(channel, {"is": do(channel, words)})
    except Exception as error:
        _say(channel, {"error": type(error).__name__, "text": str(error)})


def _say(channel: int, message: dict[str, Any]) -> None:
    sys.stdout.write(f"{channel} {json.dumps(message)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(registry.load(sys.argv[1], os.environ))
