"""The tables of protocol.md, as far as they say what an agent must not do."""

import re
from pathlib import Path
from typing import NamedTuple

_TEXT = Path(__file__).parents[2] / "protocol.md"


class Row(NamedTuple):
    """A message: `low` and `high` are the bytes that its body may have."""

    number: int
    name: str
    direction: str
    low: int
    high: int


class Rule(NamedTuple):
    """A row of "Validation"."""

    message: str
    rule: str
    otherwise: str


def messages() -> list[Row]:
    """Those that anybody still sends."""
    rows = []
    for cells in _table("Messages", "No."):
        number, name, direction, _, size, _ = cells
        if direction != "none":
            low, _, high = size.partition(" to ")
            rows.append(Row(int(number), name, direction, int(low), int(high or low)))
    return rows


def rules() -> list[Rule]:
    """All of them, in order."""
    return [Rule(*cells) for cells in _table("Validation", "Message")]


def _table(heading: str, first: str) -> list[list[str]]:
    section = _TEXT.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [
        [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    start = next(number for number, row in enumerate(rows) if row[0] == first) + 2
    width = len(rows[start])
    return [row for row in rows[start:] if len(row) == width and row[0].strip("-")]
