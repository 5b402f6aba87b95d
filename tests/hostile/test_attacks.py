"""Whatever an agent does, its own session ends for one clear reason or goes on, and its neighbour notices nothing."""

import pytest

from guid.worker import worker
from guiproto.errors import MachineCannot
from tests.e2e.rig import wait_for
from tests.hostile.attacks import BY_HAND, OF_RULES, Attack, generated
from tests.hostile.field import MORE_MEMORY_KIB, Field
from tests.hostile.memory import MEMORY
from tests.hostile.protocol import rules

ATTACKS = {
    **dict(generated()),
    **{f"{message}: {rule}": attack for (message, rule), attack in OF_RULES.items()},
    **BY_HAND,
    **MEMORY,
}


def test_every_rule_is_broken_by_one_of_them() -> None:
    for message, rule, otherwise in rules():
        found = [attack for (of, start), attack in OF_RULES.items() if of == message and rule.startswith(start)]
        assert len(found) == 1, f"{message}: {rule}"
        assert bool(found[0].ends) is (otherwise == "end") or "domid" in rule, f"{message}: {rule}"


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_attack(field: Field, attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_OUTPUT_LIMIT", 200_000)  # of workers that begin now: it is reached sooner
    with field.hostile() as hostile:
        try:
            attack.act(hostile.agent)
            if not attack.ends and not attack.silent:
                hostile.agent.settle()
        except MachineCannot:
            assert attack.ends, "the worker hung up"
        if attack.ends:
            reason = wait_for("the end of its session", hostile.reason, 30)
            assert reason.startswith(attack.ends), reason
        field.bystander_is_served()
        assert hostile.grew() < MORE_MEMORY_KIB
        if not attack.ends:
            assert not hostile.reason()
        ends = [said for said in hostile.said if said.get("event") == "ended"]
        assert len(ends) == bool(attack.ends), "one reason"
        assert not any("bug" in str(said.get("text")) for said in hostile.said), hostile.said
        assert sum(said.get("event") == "log" for said in hostile.said) <= 5, "its log is short"
    field.bystander_is_shown()
