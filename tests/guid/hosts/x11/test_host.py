"""The host as a whole: it outlives every X error, leaks nothing, and says when its server is gone."""

import gc
import select
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from Xlib import X
from Xlib.protocol import event as x_event

from guid.core.host_events import CloseEvent
from guid.core.trusted import CursorName, Geometry, StateFlags, Title, WindowId
from guid.hosts.base import HostConfig
from guid.hosts.x11 import requests
from guid.hosts.x11.host import X11Host
from guiproto.errors import MachineCannot
from tests.conformance.hosts.desktop import X11Desktop
from tests.conformance.hosts.pictures import noise, rects
from tests.guid.hosts.x11.managed import ManagedDesktop
from tests.guid.hosts.x11.test_placement import BORDER, TITLE_BAR
from tests.xserver import XServer

ONE, TWO = WindowId(1), WindowId(2)
PLACE = Geometry(100, 100, 200, 150)


def client_message(desktop: X11Desktop, kind: str, *values: int) -> None:
    outer = desktop.display.create_resource_object("window", desktop.local[ONE])
    data = (32, [*values, 0, 0, 0, 0, 0][:5])
    outer.send_event(x_event.ClientMessage(window=outer, client_type=desktop.display.get_atom(kind), data=data), 0)


def serve(host: X11Host) -> None:
    while select.select([host.fileno()], [], [], 10)[0]:
        host.events()


def test_errors_are_counted_and_harm_nothing(desktop: X11Desktop) -> None:
    picture = noise(200, 150)
    desktop.show(ONE, PLACE, picture)
    desktop.settle()
    connection = desktop.host._connection
    outer, nobody = desktop.local[ONE], connection.new_id()
    bad_value = requests.configure_window(outer, {requests.WIDTH: 0})
    bad_window = requests.map_window(nobody)
    bad_match = requests.configure_window(outer, {32: nobody})
    for _ in range(3):
        requests.send(connection, [bad_value, bad_window, bad_match])
    desktop.settle()
    assert desktop.host.x_errors == 9
    desktop.host.paint(ONE, rects((0, 0, 200, 150)))
    assert np.array_equal(desktop.content(PLACE), picture.pixels)


def test_a_window_that_somebody_else_destroyed(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE, noise(200, 150))
    desktop.settle()
    desktop.display.create_resource_object("window", desktop.local[ONE]).destroy()
    desktop.settle()
    host = desktop.host
    host.paint(ONE, rects(*((x, 0, 1, 1) for x in range(100))))
    host.configure(ONE, Geometry(1, 2, 3, 4))
    host.set_title(ONE, Title("gone"))
    host.set_state(ONE, StateFlags.FULLSCREEN, StateFlags(0))
    host.set_cursor(ONE, CursorName(2))
    host.reconfigure(replace(desktop.config, border_width=9))
    host.reconfigure(desktop.config)
    host.unmap(ONE)
    host.map(ONE, override_redirect=True, transient_for=None)
    desktop.settle()
    host.destroy(ONE)
    desktop.show(ONE, PLACE, noise(200, 150))
    assert np.array_equal(desktop.content(PLACE), noise(200, 150).pixels)


def test_the_close_button(managed: ManagedDesktop) -> None:
    managed.show(ONE, PLACE)
    managed.until_quiet()
    place = managed.geometry(ONE)
    right, top = place.x + place.width + BORDER, place.y - BORDER
    managed.click(right - TITLE_BAR // 2, top - TITLE_BAR // 2, 1)
    managed.until_seen(CloseEvent(ONE))


def test_a_message_to_delete_the_window_is_a_wish_to_close(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.settle()
    client_message(desktop, "WM_PROTOCOLS", desktop.display.get_atom("WM_DELETE_WINDOW"))
    client_message(desktop, "WM_PROTOCOLS", desktop.display.get_atom("WM_TAKE_FOCUS"))
    client_message(desktop, "_NET_ACTIVE_WINDOW", desktop.display.get_atom("WM_DELETE_WINDOW"))
    assert [event for event in desktop.settle() if isinstance(event, CloseEvent)] == [CloseEvent(ONE)]


def test_pings_are_answered(desktop: X11Desktop) -> None:
    desktop.show(ONE, PLACE)
    desktop.settle()
    desktop.root.change_attributes(event_mask=X.SubstructureNotifyMask)
    ping = desktop.display.get_atom("_NET_WM_PING")
    client_message(desktop, "WM_PROTOCOLS", ping, 12345, desktop.local[ONE])
    desktop.settle()
    desktop.root.change_attributes(event_mask=0)
    (pong,) = [event for event in desktop.received() if event.type == X.ClientMessage]
    assert pong.window == desktop.root
    assert pong.data[1].tolist()[:3] == [ping, 12345, desktop.local[ONE]]


def test_the_tray_gets_the_request_to_dock(desktop: X11Desktop) -> None:
    display = desktop.display
    tray = desktop.root.create_window(0, 0, 10, 10, 0, 0, X.InputOutput, X.CopyFromParent)
    tray.set_selection_owner(display.get_atom("_NET_SYSTEM_TRAY_S0"), X.CurrentTime)
    desktop.received()
    desktop.local[ONE] = desktop.host.create(ONE, Geometry(0, 0, 24, 24), override_redirect=True)
    desktop.host.dock(ONE)
    desktop.settle()
    (message,) = [event for event in desktop.received() if event.type == X.ClientMessage]
    tray.destroy()
    assert message.client_type == display.get_atom("_NET_SYSTEM_TRAY_OPCODE")
    assert message.data[1].tolist()[:3] == [0, 0, desktop.local[ONE]]


def test_a_thousand_windows_leave_nothing(desktop: X11Desktop) -> None:
    host = desktop.host
    connection = host._connection
    wire = connection.display.display

    def cycle(count: int) -> None:
        for number in range(count):
            form = "view" if number % 10 == 0 else "region"
            picture = noise(8, 8, form=form)
            host.create(ONE, PLACE, override_redirect=bool(number % 2))
            host.set_cursor(ONE, CursorName(number % 154))
            host.attach(ONE, picture.pages, 8, 8)
            host.map(ONE, override_redirect=bool(number % 3), transient_for=None)
            host.paint(ONE, rects((0, 0, 8, 8)))
            host.set_state(ONE, StateFlags.FULLSCREEN, StateFlags(0))
            host.destroy(ONE)
            if picture.pages.region is not None:
                picture.pages.region.close()
            if number % 100 == 0:
                desktop.settle()
        desktop.settle()

    def held() -> dict[str, int]:
        gc.collect()
        return {
            "ids": len(wire.resource_ids),
            "windows": len(host._windows),
            "by xid": len(host._windows._by_xid),
            "regions": len(host._buffers),
            "segments": len(host._shm._segments),
            "waiting": len(wire.sent_requests),
            "questions": len(host._replies),
            "queued": len(wire.queue),
            "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        }

    cycle(154)  # every cursor there is
    before = held()
    cycle(1000)
    assert held() == before
    assert host.x_errors == 0


def test_regions_are_attached_while_a_window_shows_them(desktop: X11Desktop) -> None:
    host = desktop.host
    picture, other = noise(64, 64), noise(64, 64, 2)
    desktop.show(ONE, PLACE, picture)
    desktop.show(TWO, PLACE, picture)
    assert len(host._shm._segments) == 1
    host.attach(ONE, other.pages, 64, 64)
    assert len(host._shm._segments) == 2
    host.destroy(TWO)
    assert list(host._shm._segments) == [other.pages.region]
    host.attach(ONE, other.pages, 32, 32)
    host.detach(ONE)
    assert not host._shm._segments
    assert desktop.host.x_errors == 0


def test_a_buffer_outside_its_memory_never_reaches_the_server(desktop: X11Desktop) -> None:
    for form in ("region", "view"):
        picture = noise(64, 64, form=form)
        desktop.host.create(ONE, PLACE, override_redirect=False)
        with pytest.raises(AssertionError):
            desktop.host.attach(ONE, picture.pages, 64, 65)
        desktop.host.destroy(ONE)
    assert not desktop.host._shm._segments


class TestServerGone:
    """MachineCannot, whatever is called next."""

    @pytest.fixture
    def server(self) -> Iterator[XServer]:
        with XServer(800, 600) as server:
            yield server

    def test_killed(self, server: XServer, x11_config: HostConfig) -> None:
        host = X11Host(x11_config, server.display)
        host.create(ONE, PLACE, override_redirect=False)
        host.flush()
        server.kill(signal.SIGKILL)
        with pytest.raises(MachineCannot, match="X server is gone"):
            serve(host)  # what the server said last comes first
        with pytest.raises(MachineCannot):
            host.events()
        with pytest.raises(MachineCannot):
            host.map(ONE, override_redirect=False, transient_for=None)
        with pytest.raises(MachineCannot):
            host.attach(ONE, noise(8, 8).pages, 8, 8)
        host.close()
        host.close()

    def test_killed_while_requests_are_queued(self, server: XServer, x11_config: HostConfig) -> None:
        host = X11Host(x11_config, server.display)
        host.create(ONE, PLACE, override_redirect=False)
        server.kill(signal.SIGKILL)
        with pytest.raises(MachineCannot):
            host.flush()
        host.close()

    def test_never_there(self, server: XServer, x11_config: HostConfig) -> None:
        server.kill()
        with pytest.raises(MachineCannot, match=server.display):
            X11Host(x11_config, server.display)

    def test_a_server_that_cannot_show_our_pixels(self, x11_config: HostConfig) -> None:
        with XServer(80, 60, arguments=("-screen", "0", "80x60x16")) as server:
            with pytest.raises(MachineCannot, match="depth"):
                X11Host(x11_config, server.display)

    def test_a_server_without_shared_memory(self, x11_config: HostConfig) -> None:
        with XServer(80, 60, arguments=("-extension", "MIT-SHM")) as server:
            with pytest.raises(MachineCannot, match="MIT-SHM"):
                X11Host(x11_config, server.display)
