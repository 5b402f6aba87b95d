"""Rules are read from guid.toml when they are needed, and one that makes no sense lets nothing pass."""

from pathlib import Path

import pytest

from guid.clipboard_config import configured_rules
from guid.clipboard_rules import ClipboardRule
from guiproto.errors import MachineCannot


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert list(configured_rules(tmp_path / "guid.toml")) == []


def test_rules_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "guid.toml"
    path.write_text(
        '[[clipboard]]\nfrom = "vault"\nto = "*"\naction = "ask"\n'
        '[[clipboard]]\nfrom = "*"\nto = "label:red"\naction = "deny"\n'
    )
    assert list(configured_rules(path)) == [ClipboardRule("vault", "*", "ask"), ClipboardRule("*", "label:red", "deny")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clipboard = 3", "is no list of tables"),
        ('[[clipboard]]\nfrom = "a"\nto = "b"', "rule 1 is not from, to and action"),
        ('[[clipboard]]\nfrom = "a"\nto = "b"\naction = 3', "rule 1 is not from, to and action"),
        ('[[clipboard]]\nfrom = "a"\nto = "b"\naction = "let"', "rule 1: action is 'let'"),
        ("[[clipboard", "cannot read"),
    ],
)
def test_what_is_no_rule(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "guid.toml"
    path.write_text(text)
    with pytest.raises(MachineCannot, match=said):
        configured_rules(path)
