"""The end of a guest, which all tests share: so this module's name comes after those of the others."""

import os
from pathlib import Path

import pytest

from tests.e2e.rig import wait_for
from tests.kvm.rig import Guests, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"no virtual machines here: {why_not()}"),
    pytest.mark.timeout(1200),
]


def test_nothing_is_left_of_one_that_is_removed(rig: Guests) -> None:
    rig.guid("vm", "remove", "two")
    wait_for("its end", lambda: rig.state("two") == "", 60)
    assert "two" not in rig.guid("vm", "list")
    assert "two" not in rig.virsh("list", "--all", "--name").split()
    assert not Path(f"/dev/shm/odyssey-{os.geteuid()}-two").exists()
    assert not (rig.directory / ".local/share/odyssey-gui/vms/two").exists()
