"""What docs/security.md says of attacks and weaknesses is so: there are as many, and the tests that it names exist."""

import re
from pathlib import Path

import pytest

from tests.hostile import (
    test_attacks,
    test_clipboard,
    test_database,
    test_icons,
    test_live_memory,
    test_looks,
    test_typing,
)
from tests.hostile.rings import RING_ATTACKS

PROJECT = Path(__file__).parents[1]
TEXT = (PROJECT / "docs/security.md").read_text()
# Of tests with tables, the rows, and the tests of one attack beside them.
ATTACKS = {
    "tests/hostile/test_attacks.py": len(test_attacks.ATTACKS),
    "tests/hostile/test_memory.py": 1,
    "tests/hostile/test_rings.py": len(RING_ATTACKS),
    "tests/hostile/test_reconnecting.py": 5,
    "tests/hostile/test_database.py": len(test_database.ATTACKS) + 3,
    "tests/hostile/test_typing.py": len(test_typing.THIEVES),
    "tests/hostile/test_clipboard.py": len(test_clipboard.WIPERS) + 1,
    "tests/hostile/test_looks.py": len(
        [*test_looks.COVERS, *test_looks.PAINTERS, *test_looks.TITLES, *test_looks.CLASSES]
    ),
    "tests/hostile/test_neighbours.py": 2,
    "tests/hostile/test_icons.py": len(test_icons.ATTACKS),
    "tests/hostile/test_live_memory.py": len(test_live_memory.ATTACKS),
}


def table(first: str) -> list[list[str]]:
    """The cells of the rows below the heading that begins with that."""
    lines = iter(TEXT.splitlines())
    next(line for line in lines if line.startswith(f"| {first} |"))
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_there_are_as_many_attacks_as_it_says() -> None:
    rows = table("attacks")
    assert {where: int(number) for number, _, where in rows} == ATTACKS
    assert f": {sum(ATTACKS.values())} attacks." in TEXT
    modules = {f"tests/hostile/{path.name}" for path in (PROJECT / "tests/hostile").glob("test_*.py")}
    assert modules == set(ATTACKS)


@pytest.mark.parametrize("row", table("weakness"), ids=lambda row: row[0][:40].replace(" ", "-"))
def test_a_weakness_that_is_not_ours_has_a_test(row: list[str]) -> None:
    _, here, tests = row
    assert here
    for test in re.split(r",\s+", tests):
        path, _, name = test.partition("::")
        assert (PROJECT / path).is_file(), path
        assert not name or f"def test_{name}(" in (PROJECT / path).read_text(), test
