"""What is special to the local vchan: its rendezvous, foreign servers and clients, and what it may not cost."""

import contextlib
import os
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from backends.base import MachineCannot, Vchan, VchanState
from backends.conformance.vchan_ends import connected, exchange, read_all, vchan_maker, wait_for_bytes
from backends.conformance.vchans import check_is_over
from backends.conformance.waiting import QUIET, no_descriptor_leaks, prompt, settle, wait_for_state, wakes
from backends.local import LocalBackend
from backends.local.vchan import LocalClient, LocalServer, socket_path
from shm.region import close_untrusted

CONNECTED, DISCONNECTED, WAITING = VchanState.CONNECTED, VchanState.DISCONNECTED, VchanState.WAITING
SERVER, CLIENT, PORT = 5, 0, 6000


def server_in(directory: Path) -> LocalServer:
    return LocalServer(directory, SERVER, CLIENT, PORT)


@contextmanager
def client_in(directory: Path) -> Iterator[LocalClient]:
    client = LocalClient(directory, SERVER, CLIENT, PORT)
    yield client
    client.close()


@contextmanager
def foreign_server(directory: Path) -> Iterator[socket.socket]:
    """As libvchan-socket does it: bind in place, and listen some time later (by the test)."""
    path = socket_path(directory, SERVER, CLIENT, PORT)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(10)
        listener.bind(str(path))
        yield listener


def meet(client: Vchan, listener: socket.socket) -> None:
    """The client connects to a foreign server, which greets it."""
    wait_for_state(CONNECTED, client)
    peer, _ = listener.accept()
    with peer:
        peer.send(b"hello")
        assert wakes(client)
        assert client.update() is CONNECTED
        assert read_all(client) == b"hello"


def test_the_socket_is_where_qubes_programs_look_for_it(socket_dir: Path) -> None:
    server = server_in(socket_dir)
    assert (socket_dir / "vchan.5.0.6000.sock").is_socket()
    server.close()


def test_a_server_that_listens_after_the_client_came(socket_dir: Path) -> None:
    with client_in(socket_dir) as client, foreign_server(socket_dir) as listener:
        while wakes(client, QUIET):
            assert client.update() is WAITING
        listener.listen(1)
        meet(client, listener)


def test_a_client_that_comes_between_bind_and_listen(socket_dir: Path) -> None:
    with foreign_server(socket_dir) as listener, client_in(socket_dir) as client:
        assert client.update() is WAITING
        listener.listen(1)
        meet(client, listener)


def test_the_socket_of_a_dead_server_costs_nothing_and_is_replaced(
    socket_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with foreign_server(socket_dir) as listener:
        listener.listen(1)
    monkeypatch.setattr("backends.rendezvous._FRESH_SECONDS", 0.0)
    with client_in(socket_dir) as client:
        settle(client, "a client beside the socket of a dead server")
        with foreign_server(socket_dir) as listener:
            listener.listen(1)
            meet(client, listener)
    with client_in(socket_dir) as client:
        settle(client, "a client beside the socket of a dead server")
        server = server_in(socket_dir)
        wait_for_state(CONNECTED, server, client)
        exchange(server, client)
        server.close()


def test_the_directory_may_come_last(socket_dir: Path) -> None:
    directory = socket_dir / "run" / "vchan"
    with client_in(directory) as client:
        settle(client, "a client without a directory")
        server = server_in(directory)
        wait_for_state(CONNECTED, server, client)
        server.close()


def test_a_link_to_another_socket_is_not_followed(socket_dir: Path) -> None:
    elsewhere = LocalServer(socket_dir, 6, CLIENT, PORT)
    socket_path(socket_dir, SERVER, CLIENT, PORT).symlink_to(socket_path(socket_dir, 6, CLIENT, PORT))
    with client_in(socket_dir) as client:
        settle(client, "a client beside a link")
        assert client.update() is WAITING
        assert elsewhere.update() is WAITING
    elsewhere.close()


def test_a_second_client_waits_for_the_next_server(socket_dir: Path) -> None:
    server = server_in(socket_dir)
    with client_in(socket_dir) as first, client_in(socket_dir) as second:
        wait_for_state(CONNECTED, server, first)
        settle(second, "a second client")
        assert second.update() is WAITING
        server.close()
        wait_for_state(DISCONNECTED, first)
        server = server_in(socket_dir)
        wait_for_state(CONNECTED, server, second)
        exchange(server, second)
        server.close()


def test_a_port_in_use_is_said_until_its_peer_is_gone(socket_dir: Path) -> None:
    server = server_in(socket_dir)
    with client_in(socket_dir) as client:
        with pytest.raises(MachineCannot, match="vchan port 6000 of domain 5 for domain 0 is in use"):
            server_in(socket_dir)
        wait_for_state(CONNECTED, server, client)
        with pytest.raises(MachineCannot, match="vchan port 6000 of domain 5 for domain 0 is in use"):
            server_in(socket_dir)
    wait_for_state(DISCONNECTED, server)
    server_in(socket_dir).close()
    server.close()


def test_a_client_that_is_gone_before_it_was_accepted(socket_dir: Path) -> None:
    server = server_in(socket_dir)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(socket_path(socket_dir, SERVER, CLIENT, PORT)))
        client.send(b"bye")
    wait_for_state(CONNECTED, server)
    assert read_all(server) == b"bye"
    wait_for_state(DISCONNECTED, server)
    check_is_over(server)
    server.close()


def test_a_peer_that_only_stops_writing_is_gone(socket_dir: Path) -> None:
    server = server_in(socket_dir)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(socket_path(socket_dir, SERVER, CLIENT, PORT)))
        wait_for_state(CONNECTED, server)
        client.shutdown(socket.SHUT_WR)
        wait_for_state(DISCONNECTED, server)
        check_is_over(server)
    server.close()


@pytest.fixture(params=["as it is", "without SO_PASSRIGHTS"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """This one, and as if it were older than Linux 6.16."""
    if request.param != "as it is":
        monkeypatch.setattr("backends.local.vchan._SO_PASSRIGHTS", 0x7FFF)
    return str(request.param)


def lingering() -> tuple[int, socket.socket]:
    """A TCP socket that its last owner cannot close within a minute, and its peer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = socket.create_connection(listener.getsockname())
        receiver, _ = listener.accept()
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    sender.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sender.send(bytes(1 << 16))
    return sender.detach(), receiver


@pytest.mark.parametrize("read", [True, False])
@pytest.mark.usefixtures("kernel")
def test_descriptors_that_a_peer_sends_cost_nothing_and_are_not_waited_for(socket_dir: Path, read: bool) -> None:
    with no_descriptor_leaks("receiving descriptors"), socket.socket(socket.AF_UNIX) as client, ExitStack() as stack:
        server = server_in(socket_dir)
        client.connect(str(socket_path(socket_dir, SERVER, CLIENT, PORT)))
        wait_for_state(CONNECTED, server)
        for _ in range(3):
            fd, receiver = lingering()
            stack.enter_context(receiver)
            try:
                socket.send_fds(client, [b"x"], [fd, *[0] * 252])
                os.close(fd)
            except PermissionError:  # the kernel knows SO_PASSRIGHTS
                client.send(b"x")
                close_untrusted(fd)
        with prompt("receiving descriptors"):
            if read:
                wait_for_bytes(server, b"xxx")
            server.close()


def test_after_a_short_read_there_is_nothing_until_the_next_look(socket_dir: Path) -> None:
    with connected(vchan_maker(LocalBackend(socket_dir))()) as (server, client):
        client.write(b"one")
        assert wakes(server)
        server.update()
        assert server.read(100) == b"one"
        client.write(b"two")
        assert server.read(100) == b"", "this read must not ask the kernel"
        assert wakes(server), "nothing is lost by it"
        server.update()
        assert server.read(100) == b"two"
        client.write(b"three")
        assert server.data_ready() == 5
        assert server.read(100) == b"three"


def test_no_descriptor_left_for_a_client_is_said(socket_dir: Path) -> None:
    server = server_in(socket_dir)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(socket_path(socket_dir, SERVER, CLIENT, PORT)))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            with pytest.raises(MachineCannot, match="ulimit -n"):
                server.update()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        wait_for_state(CONNECTED, server)
    server.close()
