"""A vchan in memory that the VM can write at will: its session ends or goes on, and nobody reads past the ring."""

import pytest

from guiproto.errors import MachineCannot
from tests.e2e.rig import wait_for
from tests.hostile.field import MORE_MEMORY_KIB, Field
from tests.hostile.rings import RING_ATTACKS, RingAttack, Slot


@pytest.mark.parametrize("attack", RING_ATTACKS.values(), ids=RING_ATTACKS)
def test_ring(field: Field, attack: RingAttack) -> None:
    with field.hostile(rings=True) as bad:
        slot = Slot(bad.directory / "region")
        try:
            attack.act(bad, slot)
        except MachineCannot:
            assert attack.ends, "the worker hung up"
        if attack.ends:
            reason = wait_for("the end of its session", bad.reason)
            assert reason.startswith(attack.ends), reason
            assert [said["kind"] for said in bad.said if said.get("event") == "ended"] == ["violation"]
        else:
            wait_for("the worker to sleep", bad.is_idle)
            assert not bad.reason()
        field.bystander_is_served()
        assert bad.grew() < MORE_MEMORY_KIB
        assert len(bad.logged()) <= 5, bad.said
        if not attack.ends:
            bad.reconnect()
    field.bystander_is_shown()
