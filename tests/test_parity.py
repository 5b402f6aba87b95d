"""The table of what we do like the existing programs, and what not, speaks of modules and tests that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
COLUMNS = ["feature", "rule", "where", "test", "different on purpose"]


def rows() -> Iterator[list[str]]:
    """The cells of every row but the headings."""
    for line in (PROJECT / "docs/parity.md").read_text().splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def named(cell: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", cell) if word]


def features() -> list[list[str]]:
    return [row for row in rows() if row != COLUMNS and set(row[0]) != {"-"}]


def test_every_table_has_the_columns() -> None:
    assert [row for row in rows() if row[0] == "feature"] == [COLUMNS] * sum(row[0] == "feature" for row in rows())
    assert len(features()) > 40
    assert all(len(row) == len(COLUMNS) for row in features())


@pytest.mark.parametrize("row", features(), ids=lambda row: row[0].replace(" ", "-"))
def test_what_a_row_names_exists(row: list[str]) -> None:
    _, _, where, tests, _ = row
    assert where
    assert tests
    for path in named(where):
        assert (PROJECT / path).exists(), path
    for test in named(tests):
        path, _, name = test.partition("::")
        assert (PROJECT / path).is_file(), path
        assert not name or f"def test_{name}(" in (PROJECT / path).read_text(), test
