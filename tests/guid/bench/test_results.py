"""What `guid bench --json` prints becomes tables, and its files are what they say."""

import json
from pathlib import Path

import pytest

from guid.bench import plots
from guid.bench.report import Report
from guid.bench.results import markdown
from guid.bench.stats import Repeated
from guid.cli.main import main
from guiproto.errors import MachineCannot


def test_a_report_is_written_line_by_line(tmp_path: Path) -> None:
    report = Report("rates", {"cpu": "x"}, frames=[{"frame": 1}, {"frame": 2}])
    report.write_jsonl(tmp_path / "a.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines[0]["benchmark"] == "rates"
    assert lines[1:] == report.frames
    with pytest.raises(MachineCannot, match="cannot write"):
        report.write_jsonl(tmp_path / "missing" / "a.jsonl")


def test_pictures_are_pictures(tmp_path: Path) -> None:
    plots.ecdf({"a": [1.0, 2.0, 5.0], "none": []}, "us", "title", tmp_path / "e.png")
    plots.intervals({"a": Repeated((1.0, 2.0))}, "fps", "title", tmp_path / "i.png")
    plots.panels({"fps": {"a": Repeated((1.0, 2000.0))}, "us": {}}, "title", tmp_path / "p.png")
    for name in ("e.png", "i.png", "p.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(MachineCannot, match="cannot write"):
        plots.ecdf({"a": [1.0]}, "us", "title", tmp_path / "missing" / "e.png")


def test_the_command_line_writes_all_it_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jsonl, plot = tmp_path / "f.jsonl", tmp_path / "p.png"
    asked = ["--workload", "small", "--workload", "video", "--seconds", "0.1", "--repetitions", "1"]
    assert main(["bench", "throughput", *asked, "--json", "--jsonl", str(jsonl), "--plot", str(plot)]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["schema"] == 1
    assert {(row["workload"], row["path"]) for row in summary["rows"]} == {
        (workload, path) for workload in ("small", "video") for path in ("daemon raw", "daemon", "full raw", "full")
    }
    assert all(row["pixel_errors"] == 0 for row in summary["rows"])
    frames = [json.loads(line) for line in jsonl.read_text().splitlines()[1:]]
    assert {"workload", "path", "repetition", "frame", "fate", "latency_us"} <= frames[0].keys()
    assert plot.exists()
    text = markdown({"throughput": summary}, {"throughput": plot.name})
    assert "| video | full |" in text
    assert "![throughput](p.png)" in text


def test_tables_say_what_is_not_known() -> None:
    row = {"condition": "alone", "n": 3, "p50_us": 1.5, "p90_us": None, "p99_us": None, "p99_to_alone": None,
           "video_fps": 0.0}  # fmt: skip
    text = markdown({"neighbour": {"machine": {"command": ["guid"]}, "rows": [row]}}, {})
    assert "| alone | 3 | 1.5 | n/a | n/a | n/a | 0 |" in text


def test_what_is_missing_is_named() -> None:
    rows = [{"contender": "vnc", "missing": "not installed (apt install vnc)"}]
    text = markdown({"compare": {"machine": {"command": ["guid"]}, "rows": rows}}, {}, ["scale"])
    assert "| vnc | n/a |" in text
    assert "- vnc: not installed (apt install vnc)" in text
    assert "## scale\n\nn/a" in text
    assert "## latency" not in text, "it was not asked for"
