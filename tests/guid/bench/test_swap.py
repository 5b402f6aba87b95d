"""`guid bench swap` measures what it says: a real AppVM's windows, on two displays, with nothing left behind."""

import json
from pathlib import Path

import pytest

from guid.bench.tiles import COLUMNS, MOST, PITCH, SIZE, place
from guid.cli.main import main


def test_the_grid_fits_on_the_display() -> None:
    places = [place(number) for number in range(MOST)]
    assert len(set(places)) == MOST
    assert max(x for x, _ in places) + SIZE[0] < 2048
    assert max(y for _, y in places) + SIZE[1] < 1280
    assert PITCH[0] > SIZE[0] + 6, "there is room for two borders"
    assert PITCH[1] > SIZE[1] + 6
    assert place(COLUMNS)[0] == place(0)[0]


def test_a_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = tmp_path / "moves.jsonl"
    assert main(["bench", "swap", "--windows", "3", "--rounds", "1", "--json", "--jsonl", str(rows)]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["windows"], row["moves"]) == (3, 2)
    assert -1000 < row["gap_p50_ms"] <= row["gap_max_ms"] < 10_000
    assert 0 < row["total_p50_ms"] <= row["total_max_ms"] < 30_000
    moves = [json.loads(line) for line in rows.read_text().splitlines()[1:]]
    assert [move["windows"] for move in moves] == [3, 3]


@pytest.mark.parametrize("number", ["0", "101", "x"])
def test_numbers_of_windows_that_do_not_fit(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "swap", "--windows", number])
    assert "from 1 to 100" in capsys.readouterr().err
