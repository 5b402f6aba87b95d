"""Who a VM's user is: what its Qubes DB says, if it says what can be."""

import getpass
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from backends.local import LocalBackend
from guiagent.boot import first_look, user_of
from guiproto.errors import PeerMisbehaved
from guiproto.ports import ADMIN_DOMID, QUBESDB_PORT
from qubesdb.namespace import Namespace
from tests.qubesdb.rig import DOMID, House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "vm")
    yield made
    made.close()


OTHER = next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)


def test_the_first_look_sees_what_the_admin_side_has(house: House) -> None:
    house.start("admin")
    with house.connect("admin") as admin:
        admin.write("/default-user", b"somebody")
    namespace = first_look(LocalBackend(house.directory / "vchan"), DOMID, 10.0)
    assert namespace is not None
    assert dict(namespace) == {"/default-user": b"somebody", "/name": b"work"}
    # The daemon that comes afterwards finds the admin side free.
    house.start("vm")
    house.connect("vm").close()


def test_nobody_is_waited_for_without_end(house: House) -> None:
    assert first_look(LocalBackend(house.directory / "vchan"), DOMID, 0.1) is None


def test_an_admin_side_that_talks_nonsense_is_not_believed(house: House) -> None:
    server = LocalBackend(house.directory / "vchan").server(ADMIN_DOMID, DOMID, QUBESDB_PORT)
    client = LocalBackend(house.directory / "vchan")
    real = client.client(DOMID, ADMIN_DOMID, QUBESDB_PORT)
    real.update()
    server.update()
    server.write(b"\xff" * 72)

    class Met(LocalBackend):
        def client(self, domid: int, peer: int, port: int) -> object:  # type: ignore[override]  # the one that was met
            assert (domid, peer, port) == (DOMID, ADMIN_DOMID, QUBESDB_PORT)
            return real

    with pytest.raises(PeerMisbehaved, match="kind"):
        first_look(Met(house.directory / "vchan"), DOMID, 10.0)
    server.close()


@pytest.mark.parametrize(
    "entries", [{}, {"/default-user": b"nobody-of-that-name"}, {"/default-user": b"root"}, {"/default-user": b"\xff"}]
)
def test_who_it_is_if_nothing_sensible_is_said(entries: dict[str, bytes]) -> None:
    assert user_of(Namespace(entries.items()), getpass.getuser()).pw_name == getpass.getuser()
    assert user_of(None, getpass.getuser()).pw_name == getpass.getuser()


def test_who_it_is_if_it_is_said() -> None:
    assert user_of(Namespace([("/default-user", OTHER.pw_name.encode())]), "root") == OTHER
