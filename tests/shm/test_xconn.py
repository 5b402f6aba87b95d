"""The connection keeps its promises where python-xlib does not, on real servers."""

import os
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import Xlib.error
from Xlib import X, Xatom
from Xlib.ext import xtest
from Xlib.protocol import request

from guiproto.errors import MachineCannot
from shm.region import Region
from shm.xconn import RawEvents, XConnection
from tests.xserver import XServer

NO_OPERATION = struct.pack("=BxH", 127, 1)
CHANGE_PROPERTY = struct.Struct("=BBHIIIB3xI")
APPEND = 2


@pytest.fixture(scope="module")
def server() -> Iterator[XServer]:
    with XServer(400, 300) as server:
        yield server


@pytest.fixture
def connection(server: XServer) -> Iterator[XConnection]:
    connection = XConnection(server.display)
    yield connection
    connection.close()


def root_of(connection: XConnection) -> Any:
    return connection.display.screen().root


class TestErrors:
    """Errors end nothing."""

    @pytest.mark.parametrize("code", range(1, 18))
    def test_every_core_error_has_a_class_that_can_be_made(self, connection: XConnection, code: int) -> None:
        cls = connection.display.display.error_classes[code]
        assert issubclass(cls, Xlib.error.XError)
        assert cls(connection.display.display, bytes([0, code, 7, 0]) + bytes(28)).sequence_number == 7

    def test_events_of_any_content_that_another_client_sends_are_survived(
        self, server: XServer, connection: XConnection
    ) -> None:
        window = root_of(connection).create_window(0, 0, 10, 10, 0, 0)
        connection.sync()
        other = XConnection(server.display)
        for code in range(2, 128):
            for detail in (0, 8, 255):
                body = bytes([code, detail]) + bytes([detail]) * 30
                other.send_raw(struct.pack("=BBHII", 25, 0, 11, window.id, 0) + body, 1)
        other.sync()
        assert len(list(connection.events())) > 50
        connection.sync()
        other.close()

    def test_a_bad_value_is_reported_and_the_connection_goes_on(self, server: XServer) -> None:
        errors: list[Any] = []
        connection = XConnection(server.display, on_error=errors.append)
        window = root_of(connection).create_window(0, 0, 10, 10, 0, 0)
        window.configure(width=0)
        connection.sync()
        assert [type(error) for error in errors] == [Xlib.error.BadValue]
        assert connection.errors == 1
        assert window.get_geometry().width == 10
        connection.close()

    def test_errors_of_raw_requests(self, server: XServer) -> None:
        errors: list[Any] = []
        connection = XConnection(server.display, on_error=errors.append)
        connection.send_raw(struct.pack("=BxHI", 8, 2, 12345) + NO_OPERATION + struct.pack("=BxH", 126, 1), 3)
        connection.sync()
        assert [type(error) for error in errors] == [Xlib.error.BadWindow, Xlib.error.BadRequest]
        serial = connection.serial
        assert [connection.serial_of(error.sequence_number) for error in errors] == [serial - 3, serial - 1]
        connection.close()

    def test_an_error_that_is_waited_for_goes_to_who_waits(self, connection: XConnection) -> None:
        window = connection.display.create_resource_object("window", 12345)
        with pytest.raises(Xlib.error.BadDrawable):
            window.get_geometry()
        caught = Xlib.error.CatchError(Xlib.error.BadWindow)
        window.map(onerror=caught)
        connection.sync()
        assert caught.get_error() is not None
        assert connection.errors == 0

    def test_servers_with_other_extensions_in_one_process(self, server: XServer) -> None:
        with XServer(80, 60, arguments=("-extension", "MIT-SHM", "-extension", "SYNC")) as other:
            first, second, third = (XConnection(name) for name in (server.display, other.display, server.display))
            for connection in (first, second, third):
                root_of(connection).create_window(0, 0, 10, 10, 0, 0).configure(width=0)
                connection.sync()
                assert connection.errors == 1
                connection.close()


class TestRawRequests:
    """Bytes of requests, in order with python-xlib's."""

    def test_replies_are_matched_after_any_number_of_them(self, connection: XConnection) -> None:
        root = root_of(connection)
        for count in (1, 65535, 65536, 70000, 200000):
            connection.send_raw(NO_OPERATION * count, count)
            assert root.get_geometry().width == 400
            assert connection.serial_of(connection.serial & 0xFFFF) == connection.serial

    def test_order(self, connection: XConnection) -> None:
        root = root_of(connection)
        name = connection.display.get_atom("ORDER")
        window = root.create_window(0, 0, 10, 10, 0, 0)
        for number in range(10):
            if number % 2:
                window.change_property(name, Xatom.STRING, 8, bytes([number]) * 4, X.PropModeAppend)
            else:
                head = CHANGE_PROPERTY.pack(18, APPEND, 7, window.id, name, Xatom.STRING, 8, 4)
                connection.send_raw(head + bytes([number]) * 4, 1)
        assert window.get_full_property(name, Xatom.STRING).value == bytes(n for n in range(10) for _ in range(4))

    def test_descriptors_arrive_with_their_request(self, connection: XConnection) -> None:
        shm = connection.display.query_extension("MIT-SHM")
        region = Region.create(4096)
        before = len(os.listdir(f"/proc/{os.getpid()}/fd"))
        segments = [connection.new_id() for _ in range(20)]
        for segment in segments:
            connection.send_raw(NO_OPERATION * 1000, 1000)
            connection.send_raw(struct.pack("=BBHIB3x", shm.major_opcode, 6, 3, segment, 1), 1, (region.fd,))
        connection.sync()
        assert connection.errors == 0
        for segment in segments:
            connection.send_raw(struct.pack("=BBHI", shm.major_opcode, 2, 2, segment), 1)
        connection.sync()
        assert connection.errors == 0
        assert len(os.listdir(f"/proc/{os.getpid()}/fd")) == before
        region.close()

    def test_ids_can_be_used_again(self, connection: XConnection) -> None:
        first = connection.new_id()
        held = len(connection.display.display.resource_ids)
        for _ in range(100):
            connection.free_id(connection.new_id())
        assert len(connection.display.display.resource_ids) == held
        connection.free_id(first)


class TestEvents:
    """In order, raw where wanted, and never missed by a poll."""

    @pytest.fixture
    def window(self, connection: XConnection) -> Any:
        window = root_of(connection).create_window(
            0, 0, 200, 200, 0, 0, override_redirect=1, event_mask=X.PointerMotionMask | X.PropertyChangeMask
        )
        window.map()
        xtest.fake_input(connection.display, X.MotionNotify, x=1, y=1)
        connection.sync()
        list(connection.events())
        return window

    def test_raw_events_come_in_runs_between_the_others(self, connection: XConnection, window: Any) -> None:
        connection.raw_events = frozenset({X.MotionNotify})
        assert connection.raw_events == {X.MotionNotify}
        name = connection.display.get_atom("BETWEEN")
        for run in (3, 1, 2):
            for step in range(run):
                xtest.fake_input(connection.display, X.MotionNotify, x=10 * run + step, y=20)
            window.change_property(name, Xatom.STRING, 8, b"x")
        connection.sync()
        runs = [b""]
        for event in connection.events():
            if isinstance(event, RawEvents):
                assert event.code == X.MotionNotify
                runs[-1] += event.data  # a run that came in two pieces is two
            else:
                assert event.type == X.PropertyNotify
                runs.append(b"")
        assert [len(run) for run in runs] == [96, 32, 64, 0]
        xs = [[struct.unpack_from("=h", run, at + 24)[0] for at in range(0, len(run), 32)] for run in runs]
        assert xs == [[30, 31, 32], [10], [20, 21], []]

    @pytest.mark.usefixtures("window")
    def test_events_read_by_another_call_are_announced(self, connection: XConnection) -> None:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        assert not poll.poll(0)
        xtest.fake_input(connection.display, X.MotionNotify, x=50, y=50)
        connection.sync()  # reads the event along with its answer
        assert poll.poll(0)
        assert [event.type for event in connection.events()] == [X.MotionNotify]
        assert not poll.poll(0)

    def test_events_wake_a_poll(self, server: XServer, connection: XConnection, window: Any) -> None:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        other = XConnection(server.display)
        other.display.create_resource_object("window", window.id).change_property(Xatom.WM_NAME, Xatom.STRING, 8, b"x")
        other.flush()
        assert poll.poll(10_000)
        assert [event.type for event in connection.events()] == [X.PropertyNotify]
        other.close()

    def test_events_that_come_while_events_are_handled(self, connection: XConnection, window: Any) -> None:
        window.change_property(Xatom.WM_NAME, Xatom.STRING, 8, b"0")
        connection.sync()
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        for _ in range(5):
            assert poll.poll(0), "what a call that waits has read is still announced"
            assert len(connection.events()) == 1
            window.change_property(Xatom.WM_NAME, Xatom.STRING, 8, b"1")
            connection.sync()

    def test_a_fence_passes_when_all_before_it_is_done(self, server: XServer, connection: XConnection) -> None:
        os.kill(server.pid, signal.SIGSTOP)
        try:
            fence = connection.fence()
            connection.flush()
            assert list(connection.events()) == []
            assert not fence.passed()
        finally:
            os.kill(server.pid, signal.SIGCONT)
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        while not fence.passed():
            assert poll.poll(10_000)
            assert list(connection.events()) == []


class TestSlowServer:
    """A server that takes nothing for a while loses nothing."""

    def test_much_output_while_the_server_is_stopped(
        self, connection: XConnection, monkeypatch: pytest.MonkeyPatch, server: XServer
    ) -> None:
        root = root_of(connection)
        window = root.create_window(0, 0, 10, 10, 0, 0, event_mask=X.PropertyChangeMask)
        name = connection.display.get_atom("MUCH")
        connection.sync()
        wire = connection.display.display
        waits = 0
        original = wire._wait

        def wait(*, writing: bool) -> None:
            nonlocal waits
            waits += 1
            os.kill(server.pid, signal.SIGCONT)
            original(writing=writing)

        monkeypatch.setattr(wire, "_wait", wait)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            pieces = [bytes([number % 256]) * 4096 for number in range(1000)]
            for piece in pieces:
                head = CHANGE_PROPERTY.pack(18, APPEND, 6 + 1024, window.id, name, Xatom.STRING, 8, 4096)
                connection.send_raw(head + piece, 1)
            connection.flush()
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert waits > 0, "nothing was ever blocked: the test shows nothing"
        connection.sync()
        assert len([event for event in connection.events() if event.type == X.PropertyNotify]) == 1000
        got = b"".join(
            window.get_property(name, Xatom.STRING, at // 4, 65536).value for at in range(0, 4096 * 1000, 4 * 65536)
        )
        assert got == b"".join(pieces)
        assert connection.errors == 0

    def test_neither_side_waits_for_the_other(self, connection: XConnection) -> None:
        """Every request makes an event: both directions fill up unless the sender reads meanwhile."""
        window = root_of(connection).create_window(0, 0, 10, 10, 0, 0, event_mask=X.PropertyChangeMask)
        connection.raw_events = frozenset({X.PropertyNotify})
        one = CHANGE_PROPERTY.pack(18, 0, 6, window.id, Xatom.WM_NAME, Xatom.STRING, 8, 0)
        for _ in range(100):
            connection.send_raw(one * 1000, 1000)
        connection.sync()
        events = list(connection.events())
        assert sum(len(event.data) for event in events if isinstance(event, RawEvents)) == 100_000 * 32


class TestBeginAndEnd:
    """Every way of not having a server is MachineCannot with a remedy."""

    @pytest.mark.parametrize("name", [":32767", "unix:32767", "nonsense", ""])
    def test_no_such_display(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DISPLAY", raising=False)
        with pytest.raises(MachineCannot) as error:
            XConnection(name)
        assert error.value.remedy

    def test_no_display_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("DISPLAY", raising=False)
        with pytest.raises(MachineCannot, match="DISPLAY"):
            XConnection()

    def test_the_environments_display(self, monkeypatch: pytest.MonkeyPatch, server: XServer) -> None:
        monkeypatch.setenv("DISPLAY", server.display)
        connection = XConnection()
        assert root_of(connection).get_geometry().width == 400
        connection.close()

    def test_the_server_dies(self) -> None:
        with XServer(80, 60) as server:
            connection = XConnection(server.display)
            list(connection.events())
            server.kill()
            assert select.select([connection.fileno()], [], [], 10)[0]
            for call in (
                lambda: list(connection.events()),
                connection.sync,
                connection.fence,
                lambda: connection.send_raw(NO_OPERATION, 1),
            ):
                with pytest.raises(MachineCannot, match="gone"):
                    call()
            connection.close()
            connection.close()

    def test_the_server_dies_while_a_descriptor_is_sent(self) -> None:
        with XServer(80, 60) as server:
            connection = XConnection(server.display)
            server.kill()
            region = Region.create(4096)
            with pytest.raises(MachineCannot, match="gone"):
                connection.send_raw(NO_OPERATION, 1, (region.fd,))
            region.close()
            connection.close()

    def test_python_xlib_itself_is_left_as_it_was(self, server: XServer) -> None:
        code = (
            "import sys, Xlib.display, Xlib.support.connect as c; "
            "before = Xlib.display._BaseDisplay, c.get_socket; "
            "from shm.xconn import XConnection; XConnection(sys.argv[1]).close(); "
            "assert (Xlib.display._BaseDisplay, c.get_socket) == before"
        )
        subprocess.run([sys.executable, "-c", code, server.display], check=True, timeout=60)


def test_a_question_can_be_asked_without_waiting(connection: XConnection) -> None:
    question = request.GetGeometry(display=connection.display.display, defer=True, drawable=root_of(connection).id)
    assert question._data is None
    connection.sync()
    assert question.width == 400


def test_raw_questions_get_raw_answers_in_order(connection: XConnection) -> None:
    window: Any = root_of(connection).create_window(0, 0, 30, 20, 0, 24)
    get_geometry = struct.Struct("=BxHI")
    root = root_of(connection).id
    width_of = struct.Struct("=16xH")
    first, wrong, last = connection.ask(
        get_geometry.pack(14, 2, root), get_geometry.pack(14, 2, 1), get_geometry.pack(14, 2, window.id)
    )
    assert width_of.unpack_from(first) == (400,)
    assert wrong[0] == 0, "an X error"
    assert width_of.unpack_from(last) == (30,)
    assert first[0] == last[0] == 1
    connection.sync()
    assert connection.errors == 0
