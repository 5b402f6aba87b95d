"""`guid config`, and that its documentation says what there is."""

import json
import re
from pathlib import Path

import pytest

from guid.cli.main import main
from guid.config.configuration import Configuration, config_path
from guid.config.settings import ABOUT, LIVE, VmSettings

DOCS = Path(__file__).parents[3] / "docs" / "configuration.md"


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUID_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("GUID_CONFIG", str(tmp_path / "config" / "guid.toml"))


def test_the_documentation_has_every_setting_as_it_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(.*)` \| (\w+) \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    assert rows == [
        (name, json.dumps(getattr(VmSettings(), name)), "now" if name in LIVE else "later", about)
        for name, about in ABOUT.items()
    ]


def test_the_example_in_the_documentation_is_right(tmp_path: Path) -> None:
    (example,) = re.findall(r"^    \[global\]\n(?:    .*\n|\n)+", DOCS.read_text(), re.MULTILINE)
    path = tmp_path / "example.toml"
    path.write_text(re.sub(r"^    ", "", example, flags=re.MULTILINE))
    configuration = Configuration.read(path)
    assert configuration.settings("work", "red", {}) == VmSettings(border_width=6, title_prefix=False)
    assert len(configuration.clipboard) == 1


def test_a_file_to_begin_with_changes_nothing_and_is_not_written_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "init"]) == 0
    assert Configuration.read().settings("work", "red", {}) == VmSettings()
    assert main(["config", "check"]) == 0
    assert main(["config", "init"]) == 1
    assert "is there already" in capsys.readouterr().err


def test_every_line_that_init_puts_in_a_comment_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "init"]) == 0
    path = config_path()
    path.write_text(re.sub(r"^# (?=\w+ = |\[[^ ]*$)", "", path.read_text(), flags=re.MULTILINE))
    assert main(["config", "check"]) == 0, capsys.readouterr().err
    configuration = Configuration.read()
    assert list(configuration.everywhere) == list(ABOUT)
    assert list(configuration.vms) == ["work"]
    assert len(configuration.clipboard) == 1


def test_check_says_everything_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.toml"
    assert main(["config", "check", str(path)]) == 1
    path.write_text("[global]\nborder_width = 99\n[globl]\n")
    assert main(["config", "check", str(path)]) == 1
    error = capsys.readouterr().err
    assert f"{path}:2: border_width is 99 in global (choose 1 to 64)" in error
    assert f"{path}:3: unknown table 'globl' (did you mean 'global'?)" in error
    path.write_text("[global]\nborder_width = 9\n")
    assert main(["config", "check", str(path)]) == 0
    assert main(["config", "check"]) == 0
    assert "everything is as it is by default" in capsys.readouterr().out


def test_show_says_where_values_come_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "init"]) == 0
    config_path().write_text(
        "[global]\nborder_width = 9\n[label.blue]\nborder_width = 8\n[vm.work]\nborder_width = 7\n"
    )
    capsys.readouterr()
    for arguments, value, origin in (
        ([], 9, "global"),
        (["mail", "--label", "blue"], 8, "label blue"),
        (["work", "--label", "blue"], 7, "vm work"),
    ):
        assert main(["config", "show", "--json", *arguments]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["settings"][0] == {"name": "border_width", "value": value, "origin": origin}
    assert main(["config", "show", "--label", "pink"]) == 1


def test_reload_where_nothing_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "reload"]) == 0
    assert "nothing runs" in capsys.readouterr().out
