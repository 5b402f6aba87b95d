"""A desktop whose window manager is openbox: things take their time, so tests wait for what is to come."""

import select
import subprocess
import time
from collections.abc import Callable, Sequence

from Xlib import X
from Xlib.ext import xtest
from Xlib.protocol import event as x_event

from guid.core.host_events import ConfiguredEvent, HostEvent
from guid.core.trusted import Geometry, WindowId
from guid.hosts.base import HostConfig
from shm.xconn import XConnection
from tests.conformance.hosts.desktop import X11Desktop
from tests.xserver import XServer, wait_until

_DEADLINE = 20.0


def start_openbox(server: XServer) -> subprocess.Popen[bytes]:
    """Return when it manages windows."""
    process = server.start("openbox")
    connection = XConnection(server.display)
    try:
        root = connection.display.screen().root
        check = connection.display.get_atom("_NET_SUPPORTING_WM_CHECK")
        wait_until(lambda: root.get_full_property(check, X.AnyPropertyType), "openbox is there")
        # It announces itself before it listens: a request that comes in between is lost.
        window = root.create_window(-50, -50, 5, 5, 0, 0, X.InputOutput, X.CopyFromParent)

        def answers() -> bool:
            window.configure(x=-60)
            return bool(window.get_geometry().x == -60)

        wait_until(answers, "openbox answers")
    finally:
        connection.close()
    return process


class ManagedDesktop(X11Desktop):
    """`seen` is everything the host reported so far."""

    def __init__(self, server: XServer, config: HostConfig) -> None:
        super().__init__(server, config)
        self.server = server
        self.seen: list[HostEvent] = []

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Serve the host, as a worker does, until the condition is true."""
        poll = select.poll()
        poll.register(self.host.fileno(), select.POLLIN)
        deadline = time.monotonic() + _DEADLINE
        self.host.flush()
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.seen}"
            poll.poll(50)
            self.seen += self.host.events()
            self.host.flush()

    def until_seen(self, *events: HostEvent) -> None:
        """Until the host has reported all of these."""
        self.until(lambda: all(event in self.seen for event in events), f"waiting for {events}")

    def until_quiet(self) -> Sequence[HostEvent]:
        """Until window manager and host have nothing more to say to each other; what was said meanwhile."""
        start = len(self.seen)
        quiet = 0
        while quiet < 5:
            self.ask_manager()
            before = len(self.seen)
            self.seen += self.settle()
            quiet = quiet + 1 if len(self.seen) == before else 0
        return self.seen[start:]

    def ask_manager(self) -> None:
        """Return when the window manager has done everything it was asked before: it answers requests in order."""
        window = self.root.create_window(-50, -50, 5, 5, 0, 0, X.InputOutput, X.CopyFromParent)
        self._connection.sync()
        try:
            # A request for an unmanaged window's geometry is carried out by the manager, after all others.
            window.configure(x=-60)
            wait_until(lambda: window.get_geometry().x == -60, "the window manager's answer")
        finally:
            window.destroy()

    def geometry(self, window: WindowId) -> Geometry:
        """Where the content really is: what the border leaves of the outer window."""
        outer = self.display.create_resource_object("window", self.local[window])
        inner = min(outer.query_tree().children, key=lambda child: child.id)
        size, at = outer.get_geometry(), self.root.translate_coords(inner, 0, 0)
        border = inner.get_geometry().x
        return Geometry(at.x, at.y, size.width - 2 * border, size.height - 2 * border)

    def last_reported(self, window: WindowId, asked: Geometry) -> Geometry:
        """What the core believes: the last report, or what it had asked for."""
        reports = [
            event.geometry for event in self.seen if isinstance(event, ConfiguredEvent) and event.window == window
        ]
        return reports[-1] if reports else asked

    def tell_manager(self, window: WindowId, kind: str, *values: int) -> None:
        """What a pager or a task bar does: a client message to the root window (EWMH)."""
        outer = self.display.create_resource_object("window", self.local[window])
        data = (32, [*values, 0, 0, 0, 0, 0][:5])
        message = x_event.ClientMessage(window=outer, client_type=self.display.get_atom(kind), data=data)
        self.root.send_event(message, X.SubstructureRedirectMask | X.SubstructureNotifyMask)
        self._connection.sync()

    def drag(self, start: tuple[int, int], end: tuple[int, int], steps: int = 5) -> None:
        """Button 1 from here to there, not faster than the window manager follows."""
        self.point(*start)
        xtest.fake_input(self.display, X.ButtonPress, 1)
        self.ask_manager()
        for step in range(1, steps + 1):
            self.point(*(start[axis] + (end[axis] - start[axis]) * step // steps for axis in (0, 1)))
            self.ask_manager()
        xtest.fake_input(self.display, X.ButtonRelease, 1)
        self.ask_manager()
