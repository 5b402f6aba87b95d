"""The rules of the clipboard in guid.toml, as they are at this moment: no restart is needed to change them."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from guid.clipboard_rules import ClipboardRule
from guid.gui_domains import config_path
from guiproto.errors import MachineCannot

_KEYS = {"from", "to", "action"}


def configured_rules(path: Path | None = None) -> Sequence[ClipboardRule]:
    """All of them, in the file's order; by default of the user's file. Raises MachineCannot if one makes no sense."""
    path = path or config_path()
    try:
        tables: Mapping[str, Any] = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise MachineCannot(f"cannot read {path}: {error}", "mend it, or set GUID_CONFIG to another file") from None
    rules = tables.get("clipboard", [])
    if not isinstance(rules, list):
        raise MachineCannot(f"{path}: clipboard is no list of tables", "write [[clipboard]]")
    return [_rule(path, number, rule) for number, rule in enumerate(rules, 1)]


def _rule(path: Path, number: int, rule: Any) -> ClipboardRule:
    where = f"{path}: clipboard rule {number}"
    if not isinstance(rule, dict) or set(rule) != _KEYS or not all(isinstance(value, str) for value in rule.values()):
        raise MachineCannot(f"{where} is not from, to and action", 'write from = "work", to = "*", action = "deny"')
    try:
        return ClipboardRule(rule["from"], rule["to"], rule["action"])
    except MachineCannot as error:
        raise MachineCannot(f"{where}: {error.what}", error.remedy) from None
