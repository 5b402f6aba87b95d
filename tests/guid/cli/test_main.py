"""The command line says what it does, and what is wrong."""

import argparse
import json
from pathlib import Path

import pytest

from backends import registry
from guid.cli import lasting
from guid.cli.main import main, parser
from guid.cli.table import print_table

COMMANDS = ("run", "attach", "ps", "windows", "stop", "demo")


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUID_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("DISPLAY", raising=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_has_help(command: str) -> None:
    top = parser()
    (subparsers,) = (action for action in top._actions if isinstance(action, argparse._SubParsersAction))
    found = subparsers.choices[command]
    assert found.description
    for action in found._actions:
        assert action.help, f"guid {command} {action.option_strings or action.dest} has no help"
    assert len(found.format_help()) > 100


def test_every_benchmark_and_option_has_help() -> None:
    (top,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    (kinds,) = (action for action in top.choices["bench"]._actions if isinstance(action, argparse._SubParsersAction))
    assert set(kinds.choices) == {
        "throughput", "latency", "sources", "rates", "scale", "neighbour", "swap", "compare", "all"
    }  # fmt: skip
    for name, found in kinds.choices.items():
        assert found.description, name
        options = {option for action in found._actions for option in action.option_strings}
        assert {"--quick", "--json", "--jsonl", "--plot"} <= options or name == "all"
        assert all(action.help for action in found._actions), name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "work"], "no command to run"),
        (["run", "work", "--label", "pink", "--", "xterm"], "unknown label 'pink'"),
        (["run", "work", "--label", "blue", "--", "xterm"], "DISPLAY"),
        (["run", "work", "--display", ":4711", "--", "xterm"], ":4711"),
        (["attach", "--domid", "70000", "--name", "x"], "domain id 70000"),
        (["attach", "--domid", "3", "--name", ""], "no name for a VM"),
        (
            ["attach", "--domid", "3", "--name", "x", "--border-width", "0", "--display", ":1"],
            "border_width is 0 (choose 1 to 64)",
        ),
        (["stop", "nobody"], "no VM nobody"),
    ],
)
def test_errors_name_what_is_wrong(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("guid: ")
    assert said in error
    assert "Traceback" not in error


@pytest.mark.parametrize("arguments", [["ps", "--", "xterm"], ["stop"], ["stop", "--all", "work"], ["nonsense"]])
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_nothing_served_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ps"]) == 0
    assert "no VM is served" in capsys.readouterr().out
    assert main(["windows", "--json"]) == 0
    assert capsys.readouterr().out.strip() == "[]"


def test_doctor_says_the_limits_and_whose_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def limits() -> dict[str, object]:
        main(["doctor", "--json"])
        (row,) = [row for row in json.loads(capsys.readouterr().out) if row["what"] == "limits"]
        return dict(row)

    path = tmp_path / "guid.toml"
    monkeypatch.setenv("GUID_CONFIG", str(path))
    assert limits()["notes"] == [
        "A VM has max_windows 2000, max_window_memory 2048, max_tray_icons 32, max_message_rate 50000."
    ]
    path.write_text(
        "[global]\nmax_windows = 99\n[label.red]\nmax_windows = 50\n[vm.mail]\nborder_width = 9\n"
        "[vm.work]\nmax_tray_icons = 0\n"
    )
    assert limits()["notes"] == [
        "A VM has max_windows 99, max_window_memory 2048, max_tray_icons 32, max_message_rate 50000; others are in "
        "label.red, vm.work."
    ]
    path.write_text("[global]\nmax_windows = 0\n")
    row = limits()
    assert row["usable"] is False
    assert "max_windows is 0 in global (choose 10 to 20000)" in str(row["missing"])


def test_no_cell_of_a_table_controls_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [("\x1b]0;x\x07", "two\nlines"), ("\ud800\u202e", None)], empty="")
    assert capsys.readouterr().out.splitlines() == [
        "A             B",
        "\\x1b]0;x\\x07  two lines",
        "\\ud800\\u202e  -",
    ]


def test_a_runtime_directory_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    monkeypatch.setenv("GUID_RUNTIME_DIR", str(shared))
    assert main(["ps"]) == 1
    assert "not a private directory" in capsys.readouterr().err


def test_backends_that_cannot_work_here_are_not_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Nothing:
        makes_lasting = True

        def __init__(self, problems: list[str]) -> None:
            self.problems = problems

        def missing(self, *, domains: bool) -> list[str]:
            return self.problems if domains else []

    found = {"able": Nothing([]), "unable": Nothing(["It has no processor."])}
    monkeypatch.setattr(registry, "names", lambda: sorted(found))
    monkeypatch.setattr(registry, "load", lambda name, _environ: found[name])
    assert lasting.backends() == ["able"]
    assert lasting.default_backend() == "able"
    del found["able"]
    assert lasting.backends() == ["unable"], "so that its problems are told"
    assert capsys.readouterr().err == ""
