"""The first rule that matches decides; without one a clipboard may go anywhere, as in Qubes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.config.clipboard_rules import ACTIONS, ClipboardRule, decide
from guid.config.labels import LABELS
from guiproto.errors import MachineCannot

VMS = st.sampled_from(["work", "mail", "untrusted"])
COLOURS = st.sampled_from([*LABELS, "0x123456"])
PATTERNS = st.one_of(VMS, st.just("*"), COLOURS.map("label:{}".format))
RULES = st.lists(st.builds(ClipboardRule, PATTERNS, PATTERNS, st.sampled_from(ACTIONS)), max_size=5)


@pytest.mark.parametrize(
    ("source", "target", "action"),
    [
        ("vault", "untrusted", "deny"),
        ("vault", "work", "ask"),
        ("work", "mail", "allow"),
        ("work", "untrusted", "deny"),
        ("mail", "vault", "allow"),
    ],
)
def test_the_first_rule_that_matches_decides(source: str, target: str, action: str) -> None:
    labels = {"vault": "black", "work": "blue", "mail": "green", "untrusted": "red"}
    rules = [
        ClipboardRule("vault", "label:red", "deny"),
        ClipboardRule("vault", "*", "ask"),
        ClipboardRule("work", "mail", "allow"),
        ClipboardRule("label:blue", "label:red", "deny"),
    ]
    assert decide(rules, source, labels[source], target, labels[target]) == action


def test_without_rules_everything_is_allowed() -> None:
    assert decide([], "work", "blue", "untrusted", "red") == "allow"


@pytest.mark.parametrize("same", ["red", "0xCC0000", "#cc0000"])
def test_a_label_is_the_colour_that_the_user_sees(same: str) -> None:
    rules = [ClipboardRule("label:red", "*", "deny")]
    assert decide(rules, "x", same, "y", "blue") == "deny"


def test_a_vm_whose_name_looks_like_a_pattern_is_matched_by_no_more_than_others() -> None:
    assert decide([ClipboardRule("label:red", "*", "deny")], "label:red", "blue", "y", "blue") == "allow"
    assert decide([ClipboardRule("work", "*", "deny")], "*", "blue", "y", "blue") == "allow"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (("", "*", "allow"), "from is empty"),
        (("*", "", "allow"), "to is empty"),
        (("label:pink", "*", "allow"), "unknown label 'pink'"),
        (("*", "label:", "allow"), "unknown label ''"),
        (("*", "*", "perhaps"), r"action is 'perhaps' \(choose allow, deny or ask\)"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(fields: tuple[str, str, str], said: str) -> None:
    with pytest.raises(MachineCannot, match=said):
        ClipboardRule(*fields)


@given(RULES, VMS, COLOURS, VMS, COLOURS)
def test_a_last_rule_for_everything_is_the_default(
    rules: list[ClipboardRule], source: str, source_label: str, target: str, target_label: str
) -> None:
    decided = decide(rules, source, source_label, target, target_label)
    assert decided in ACTIONS
    denied = decide([*rules, ClipboardRule("*", "*", "deny")], source, source_label, target, target_label)
    assert denied == decided or (decided, denied) == ("allow", "deny")
    for action in ACTIONS:
        assert decide([ClipboardRule("*", "*", action), *rules], source, source_label, target, target_label) == action
