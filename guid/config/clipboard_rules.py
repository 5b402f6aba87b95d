"""Which VM's clipboard may go to which other: a list of rules, of which the first that matches counts.

In guid.toml each is a table

    [[clipboard]]
    from = "work"            # a VM's name, label:NAME, or "*"
    to = "label:red"
    action = "deny"          # allow, deny or ask

As in Qubes, what no rule speaks of is allowed: it needs the user's keys on both sides anyway.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from guid.config.labels import label
from guiproto.errors import MachineCannot

ACTIONS: Final = ("allow", "deny", "ask")
ANY: Final = "*"
_LABEL: Final = "label:"


@dataclass(frozen=True, slots=True)
class ClipboardRule:
    """One rule. Raises MachineCannot if it makes no sense."""

    source: str
    """A VM's name, "label:" and a label, or "*" for every VM."""
    target: str
    """The same."""
    action: str
    """One of `ACTIONS`."""

    def __post_init__(self) -> None:
        for side, pattern in (("from", self.source), ("to", self.target)):
            if not pattern:
                raise MachineCannot(f"{side} is empty", f'write a VM\'s name, {_LABEL}NAME, or "{ANY}"')
            if pattern.startswith(_LABEL):
                label(pattern.removeprefix(_LABEL))
        if self.action not in ACTIONS:
            raise MachineCannot(f"action is {self.action!r}", f"choose {', '.join(ACTIONS[:-1])} or {ACTIONS[-1]}")


def decide(rules: Iterable[ClipboardRule], source: str, source_label: str, target: str, target_label: str) -> str:
    """What is to happen, one of `ACTIONS`, when `source`'s clipboard is to be given to `target`: VMs' names and labels.

    Raises MachineCannot for labels that are none.
    """
    for rule in rules:
        if _matches(rule.source, source, source_label) and _matches(rule.target, target, target_label):
            return rule.action
    return "allow"


def _matches(pattern: str, name: str, colour: str) -> bool:
    if pattern.startswith(_LABEL):
        # By what the user sees: a label is the same one under its name and as a colour.
        return label(pattern.removeprefix(_LABEL)).color == label(colour).color
    return pattern in (ANY, name)
