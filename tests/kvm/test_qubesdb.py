"""Qubes DB between the host and real guests: the host is the server of that vchan, and the guest the client."""

import pytest

from tests.e2e.rig import wait_for
from tests.kvm.rig import Guests, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no virtual machines here: {why_not()}"),
    pytest.mark.timeout(1200),
]

_CLIENT = (
    "import sys; sys.path.insert(0, '/opt/odyssey-gui'); from pathlib import Path\n"
    "from qubesdb.client import Database\n"
    "database = Database(Path('/run/qubes/qubesdb.sock'))\n"
)


def in_guest(rig: Guests, name: str, code: str) -> str:
    status, output = rig.piped(name, b"", "python3", "-c", _CLIENT + code)
    assert status == 0
    return output.decode()


def test_both_sides_see_what_either_writes(rig: Guests) -> None:
    assert "/name = one" in rig.guid("db", "list", "one").splitlines()
    in_guest(rig, "one", "database.write('/from/guest', b'1')")
    wait_for("the guest's value", lambda: "/from/guest = 1" in rig.guid("db", "list", "one"), 60)
    rig.guid("db", "write", "one", "/from/host", "2")
    wait_for("the host's value", lambda: "/from/host" in in_guest(rig, "one", "print(database.list('/'))"), 60)
    assert "/from/" not in rig.guid("db", "list", "two")
    assert "/from/" not in in_guest(rig, "two", "print(database.list('/'))")


def test_the_keyboard_layout_changes_while_the_guest_runs(rig: Guests) -> None:
    rig.guid("db", "write", "two", "/keyboard-layout", "de")

    def layout() -> bytes:
        return rig.piped("two", b"", "setxkbmap", "-query")[1]

    wait_for("the layout", lambda: b"layout:     de" in layout(), 60)
    rig.guid("db", "write", "two", "/keyboard-layout", "us")
    wait_for("the layout", lambda: b"layout:     us" in layout(), 60)
