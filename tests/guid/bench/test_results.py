"""The document of all benchmarks, from summaries that are written down here."""

from typing import Any

from guid.bench import results


def _summary(benchmark: str, rows: list[dict[str, Any]], **machine: str) -> dict[str, Any]:
    about = {"when": "2024-05-01T10:00:00", "command": ["guid", "bench", benchmark], "cpu": "A CPU", **machine}
    return {"benchmark": benchmark, "machine": about, "rows": rows}


def _lines(*summaries: dict[str, Any]) -> list[str]:
    return results.document(summaries, {}, {}).splitlines()


def test_runs_of_one_thing_are_a_line_with_median_and_range() -> None:
    rows = [
        {"workload": "full", "path": "daemon", "repetition": n, "fps_painted": fps, "pixel_errors": 1}
        for n, fps in enumerate((300.0, 100.0, 200.0))
    ]
    lines = _lines(_summary("throughput", rows))
    assert "| workload | path | painted/s | pixel errors |" in lines
    assert "| full | daemon | 200 (100 to 300) | 3 |" in lines


def test_a_field_that_one_row_lacks_is_not_zero_there() -> None:
    rows = [{"path": "a", "n": 400, "p99_us": 12.5}, {"path": "b", "n": 400, "p99_us": None}]
    lines = _lines(_summary("latency", rows))
    assert "| a | 400 | 12.5 |" in lines
    assert "| b | 400 | n/a |" in lines


def test_rows_of_one_workload_have_a_section_of_their_own() -> None:
    rows = [
        {"workload": "storm", "path": "storm", "hostile_sessions": 7, "ended": {"rule": 5}},
        {"workload": "full", "path": "daemon", "fps_painted": 1.0},
    ]
    text = results.document([_summary("throughput", rows)], {}, {})
    throughput, storm = text.split("## A hostile agent")
    assert "storm |" not in throughput
    assert "| hostile sessions | 7 |" in storm
    assert "| ended rule | 5 |" in storm
    assert "fps" not in storm


def test_figures_of_several_numbers_of_vms_stand_side_by_side() -> None:
    rows = [{"vms": 1, "pss_by_role_mib": {"worker": 12.0}}, {"vms": 5, "pss_by_role_mib": {"worker": 11.0}}]
    lines = _lines(_summary("scale", rows))
    assert "| figure | 1 vms | 5 vms |" in lines
    assert "| pss by role mib worker | 12.0 | 11.0 |" in lines


def test_the_machine_is_named_once_and_two_machines_both() -> None:
    one, other = _summary("rates", []), _summary("latency", [], cpu="B CPU", when="2024-05-01T11:00:00")
    lines = _lines(one, other)
    assert "| cpu | A CPU / B CPU |" in lines
    assert "| when | 2024-05-01T10:00:00 to 2024-05-01T11:00:00 |" in lines
    assert "Made by `guid bench rates`." in lines


def test_pictures_are_shown_and_a_benchmark_that_failed_says_why() -> None:
    text = results.document([_summary("rates", [])], {"rates": "rates.png"}, {"scale": "too little memory"})
    assert "![Window traffic](rates.png)" in text
    assert "n/a: too little memory" in text
    assert "## Latency" not in text, "it was not asked for"


def test_a_contender_that_is_not_installed_is_in_the_table() -> None:
    rows = [{"contender": "vnc", "missing": "not installed (apt install vnc)"}]
    text = results.document([_summary("compare", rows)], {}, {})
    assert "| vnc | n/a |" in text
    assert "- vnc: not installed (apt install vnc)" in text
