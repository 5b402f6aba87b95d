"""The process that keeps an Xwayland: its compositor, and its window manager while no agent is there to be it.

Xwayland ends when its compositor does, and with it every program. So the compositor is not the agent: that may die and
come back. An agent that connects gets to know where each window is drawn, and manages the windows from then on. Windows
that are mapped while that passes from one to the other are mapped again, for nobody has heard which surface they are.
"""

import contextlib
import logging
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from Xlib import X, Xatom
from Xlib.error import XError

from backends.rendezvous import ANCILLARY_BYTES, Listener, received_descriptors
from guiagent.sources.x11 import requests
from guiagent.sources.xwayland import memory, redirect
from guiagent.sources.xwayland.compositor import Compositor, Memory
from guiproto.errors import MachineCannot, PeerMisbehaved
from shm import descriptors
from shm.xconn import XConnection

_READ_BYTES: Final = 1 << 16
_BUFFER_BYTES: Final = 4 << 20
_MANUAL: Final = 1
_RETRY: Final = 0.02
_SETTLE: Final = 0.5

log = logging.getLogger("session")


class Keeper:
    """Runs one Xwayland until it ends."""

    def __init__(self, screen: tuple[int, int], tell: int, prepare: Callable[[int], None]) -> None:
        """`tell`: where its display number is written when clients may come; `prepare` is told that before."""
        self._tell = tell
        self._prepare = prepare
        self._poll = select.poll()
        self._compositor = Compositor(screen, os.close)
        self._place = Path(tempfile.mkdtemp(prefix="appvm-windows-"))
        self._wayland: socket.socket
        self._pid = 0
        self.told_to_end = False
        self._x: XConnection | None = None
        self._atom = 0
        self._listener: Listener | None = None
        self._agent: socket.socket | None = None
        self._ready = False
        """Whether the agent would manage the windows."""
        self._owner = False
        """Whether we manage the windows."""
        self._lent = False
        """Whether the agent does, or is about to."""
        self._lost: set[int] = set()
        self._look_at: float | None = None
        """When to find the windows of these surfaces."""
        self._windows: dict[int, int] = {}
        """Window -> the id of its surface."""
        self._news: dict[int, None] = {}
        """Windows of which the agent has to be told."""

    def run(self, environ: Mapping[str, str], options: Sequence[str]) -> int:
        """Start it, and return its exit status when it has ended. Raises OSError if it cannot be started."""
        try:
            number = self._start(environ, options)
            ended = os.pidfd_open(self._pid)
            for fd in (number, ended, self._wayland.fileno()):
                self._poll.register(fd, select.POLLIN)
            while True:
                ready = {fd for fd, _ in self._poll.poll(self._sleep_ms())}
                if self._wayland.fileno() in ready:
                    self._serve_wayland()
                if ended in ready:
                    status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
                    self._pid = 0
                    return 0 if self.told_to_end else status
                if number in ready:
                    self._poll.unregister(number)
                    self._open(int(os.read(number, 64) or b"-1"))
                if self._x is not None:
                    self._serve_x(ready)
                self._send()
        finally:
            self._close()

    def end(self) -> None:
        """Have Xwayland end; `run` returns 0 then."""
        self.told_to_end = True
        if self._pid:
            os.kill(self._pid, signal.SIGTERM)  # it is there until `run` has waited for it

    # --- Xwayland ---

    def _start(self, environ: Mapping[str, str], options: Sequence[str]) -> int:
        self._wayland, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        reader, writer = os.pipe()
        with theirs:
            for end in (self._wayland, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            self._wayland.setblocking(False)
            kept = {"WAYLAND_SOCKET": str(theirs.fileno())}
            argv = ["Xwayland", "-rootless", "-shm", "-noreset", "-displayfd", str(writer), *options]
            self._pid = os.posix_spawnp(
                argv[0], argv, {**environ, **kept},
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, fd) for fd in (theirs.fileno(), writer)],
                setsigmask=[], setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            )  # fmt: skip
        os.close(writer)
        return reader

    def _serve_wayland(self) -> None:
        """Read everything: Xwayland gives up when its compositor is slow to."""
        while True:
            try:
                data, ancillary, _, _ = self._wayland.recvmsg(_READ_BYTES, ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                break
            except OSError:
                data, ancillary = b"", []
            if not data:
                with contextlib.suppress(KeyError):
                    self._poll.unregister(self._wayland)
                break
            self._compositor.receive(data, received_descriptors(ancillary))
            self._answer()
        self._changed()

    def _answer(self) -> None:
        out = self._compositor.out
        with contextlib.suppress(OSError):  # it is gone, or has not read much more than it ever has to
            while out:
                del out[: self._wayland.send(out, socket.MSG_NOSIGNAL)]

    def _changed(self) -> None:
        changed = self._compositor.changed
        if changed:
            for window, surface in list(self._windows.items()):
                if surface in changed:
                    self._news[window] = None
                    if surface not in self._compositor.surfaces:
                        del self._windows[window]
            changed.clear()

    def _open(self, number: int) -> None:
        """The server is ready: manage its windows before anybody else comes. Raises MachineCannot."""
        if number < 0:
            return
        self._prepare(number)
        self._x = XConnection(f":{number}")
        self._poll.register(self._x.fileno(), select.POLLIN)
        display: Any = self._x.display
        self._atom = int(display.intern_atom(redirect.SURFACE_ID))
        display.screen().root.composite_redirect_subwindows(_MANUAL)
        path = self._place / "socket"
        self._listener = Listener(path, socket.SOCK_SEQPACKET, "the keeper of Xwayland", backlog=4)
        self._poll.register(self._listener.fileno(), select.POLLIN)
        root = display.screen().root
        root.change_property(display.intern_atom(memory.SOCKET_PROPERTY), Xatom.STRING, 8, str(path).encode())
        self._manage()
        os.write(self._tell, f"{number}\n".encode())
        os.close(self._tell)

    # --- managing windows ---

    def _serve_x(self, ready: set[int]) -> None:
        assert self._x is not None
        assert self._listener is not None
        self._hear_x()
        if self._agent is not None and self._agent.fileno() in ready:
            self._hear(self._agent)
        if self._listener.fileno() in ready and (agent := self._listener.accept()) is not None:
            self._welcome(agent)
        if not self._owner and not self._lent:
            self._manage()
        elif self._ready and self._owner:
            self._grant()
        if self._look_at is not None and time.monotonic() >= self._look_at:
            self._find()
        self._x.flush()

    def _sleep_ms(self) -> float | None:
        if self._x is not None and not self._owner and not self._lent:
            return _RETRY * 1000
        return None if self._look_at is None else max(0.0, self._look_at - time.monotonic()) * 1000

    def _select(self, mask: int) -> bool:
        assert self._x is not None
        root: Any = self._x.display.screen().root
        self._x.sync()
        before = self._x.errors
        root.change_attributes(event_mask=mask)
        self._x.sync()
        return self._x.errors == before

    def _manage(self) -> None:
        """Manage the windows, if the last agent does not any more."""
        self._owner = self._select(X.SubstructureRedirectMask)
        if self._owner:
            self._suspect()

    def _grant(self) -> None:
        """Let the agent manage the windows."""
        assert self._x is not None
        assert self._agent is not None
        self._select(X.NoEventMask)
        self._hear_x()
        self._owner, self._lent = False, True
        with contextlib.suppress(OSError):
            self._agent.send(memory.NEWS.pack(0, 0, 0, 0, 0, 0), socket.MSG_NOSIGNAL)

    def _hear_x(self) -> None:
        assert self._x is not None
        for event in self._x.events():
            if (told := redirect.surface_of(event, self._atom)) is not None:
                self._associate(*told)
            elif self._owner:
                redirect.carry_out(self._x, event)

    def _suspect(self) -> None:
        """Nobody managed the windows for a moment: which surfaces are nobody's, and will they be soon?"""
        self._serve_wayland()
        self._lost = self._unknown()
        self._look_at = time.monotonic() + _SETTLE if self._lost else None

    def _unknown(self) -> set[int]:
        """Surfaces of windows that nobody has told us of."""
        surfaces = self._compositor.surfaces.values()
        return {surface.id for surface in surfaces if surface.live is not None} - set(self._windows.values())

    def _is_drawn(self, window: int) -> bool:
        """Whether we know where."""
        surface = self._compositor.surfaces.get(self._windows.get(window, 0))
        return surface is not None and surface.live is not None

    def _find(self) -> None:
        """Windows that were mapped in that moment are mapped again, and get another surface."""
        assert self._x is not None
        self._look_at = None
        if not self._lost & self._unknown():
            return
        for window in self._x.display.screen().root.query_tree().children:
            with contextlib.suppress(XError):  # it may be gone
                found = window.get_attributes()
                shown = found.map_state != X.IsUnmapped and found.win_class != X.InputOnly
                if shown and not self._is_drawn(window.id):
                    log.info("window %#x is shown again, for nobody knows its surface", window.id)
                    self._x.send_raw(requests.unmap_window(window.id) + requests.map_window(window.id), 2)

    # --- the agent ---

    def _welcome(self, agent: socket.socket) -> None:
        self._dismiss()
        self._agent = agent
        self._poll.register(agent, select.POLLIN)
        self._news = dict.fromkeys(self._windows)

    def _dismiss(self) -> None:
        if self._agent is not None:
            self._poll.unregister(self._agent)
            self._agent.close()
            self._agent, self._ready, self._lent = None, False, False

    def _hear(self, agent: socket.socket) -> None:
        while True:
            try:
                data = agent.recv(memory.ORDER.size)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if len(data) != memory.ORDER.size:
                self._dismiss()
                return
            kind, one, two, three = memory.ORDER.unpack(data)
            if kind == memory.READY:
                self._ready = True
            elif kind == memory.TAKEN:
                self._suspect()
            elif kind == memory.SURFACE:
                self._associate(one, two)
            elif kind == memory.WANT and one in self._windows:
                self._serve_wayland()
                self._compositor.want(self._windows[one], two, three)
                self._changed()
            elif kind == memory.SCREEN:
                self._compositor.resize(one, two)
                self._answer()

    def _associate(self, window: int, surface: int) -> None:
        self._serve_wayland()  # what it is told of it there came first
        self._windows[window] = surface
        self._news[window] = None
        self._changed()

    def _send(self) -> None:
        """Tell the agent, as far as it listens."""
        while self._agent is not None and self._news:
            window = next(iter(self._news))
            surface = self._compositor.surfaces.get(self._windows.get(window, 0))
            live = None if surface is None else surface.live
            try:
                self._tell_of(self._agent, window, live)
            except BlockingIOError:
                self._poll.modify(self._agent, select.POLLIN | select.POLLOUT)
                return
            except OSError:
                return  # its end is still to be heard
            del self._news[window]
        if self._agent is not None:
            self._poll.modify(self._agent, select.POLLIN)

    @staticmethod
    def _tell_of(agent: socket.socket, window: int, live: Memory | None) -> None:
        if live is None or live.fd < 0:
            agent.send(memory.NEWS.pack(window, 0, 0, 0, 0, 0), socket.MSG_NOSIGNAL)
            return
        said = memory.NEWS.pack(window, live.width, live.height, live.offset, live.stride, 0)
        socket.send_fds(agent, [said], [live.fd], socket.MSG_NOSIGNAL)

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
        shutil.rmtree(self._place, ignore_errors=True)


OPTIONS: Final = ("-nolisten", "tcp", "-s", "0", "-schedInterval", "1")
"""How an AppVM's is started: a program that draws without end keeps it for a millisecond at a time, see `xserver`."""


def run(
    screen: tuple[int, int],
    tell: int,
    environ: Mapping[str, str],
    options: Sequence[str],
    prepare: Callable[[int], None],
) -> int:
    """Keep an Xwayland with a screen of that size; the arguments are as for `Keeper`. Returns its exit status."""
    descriptors.allow()
    keeper = Keeper(screen, tell, prepare)
    signal.signal(signal.SIGTERM, lambda *_: keeper.end())
    try:
        return keeper.run(environ, options)
    except (MachineCannot, PeerMisbehaved) as error:
        if keeper.told_to_end:
            return 0
        log.error("Xwayland: %s", error)
        return 1


def main() -> int:
    """`python -m guiagent.sources.xwayland.keeper WIDTH HEIGHT FD`: writes the display number to that descriptor."""
    width, height, tell = map(int, sys.argv[1:])
    return run((width, height), tell, os.environ, OPTIONS, lambda _: None)


if __name__ == "__main__":
    sys.exit(main())
