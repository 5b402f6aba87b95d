"""A VM's log is kept, is bounded, and can be read on a terminal without harm."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.cli.main import main
from guid.logs import Allowance, VmLogs, about, cleaned, files, is_general, log_dir, log_path
from guid.spec import VmSpec
from guid.supervisor.vm import Vm


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GUID_RUNTIME_DIR", str(tmp_path))
    return log_dir()


@pytest.fixture
def log(directory: Path) -> Iterator[logging.Logger]:
    logger = logging.getLogger("guid")
    handler = VmLogs(directory)
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield logger
    logger.setLevel(level)
    logger.removeHandler(handler)


def test_where_logs_are() -> None:
    assert log_dir({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/odyssey-gui/log")
    assert log_dir({"HOME": "/h"}) == Path("/h/.local/state/odyssey-gui/log")
    assert log_dir({"HOME": "/h", "GUID_RUNTIME_DIR": "/r"}) == Path("/r/log")


def text_of(directory: Path, vm: str) -> str:
    return "".join(path.read_text() for path in files(directory, vm))


def test_each_vm_has_a_file_of_its_own(log: logging.Logger, directory: Path) -> None:
    log.info("one", extra=about("work"))
    log.warning("two", extra=about("../work"))
    log.info("about none")
    assert sorted(path.name for path in directory.iterdir()) == ["..%2Fwork.log", "work.log"]
    assert text_of(directory, "work").endswith(" one\n")
    assert text_of(directory, "../work").endswith(" two\n")
    assert stat.S_IMODE(log_path(directory, "work").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_log_keeps_the_newest_and_stays_small(log: logging.Logger, directory: Path) -> None:
    for number in range(2000):
        log.info("%d %s", number, "x" * 990, extra=about("work"))
    found = files(directory, "work")
    assert [path.name for path in found] == ["work.log.3", "work.log.2", "work.log.1", "work.log"]
    assert all(path.stat().st_size <= 256 * 1024 for path in found)
    numbers = [int(line.split()[2]) for line in text_of(directory, "work").splitlines()]
    assert numbers == list(range(numbers[0], 2000))
    assert len(numbers) > 800


def test_nobody_stops_for_a_log_that_cannot_be_written(log: logging.Logger, directory: Path) -> None:
    directory.parent.mkdir(exist_ok=True)
    directory.write_text("in the way")
    log.info("one", extra=about("work"))
    directory.unlink()
    directory.mkdir()
    elsewhere = directory.parent / "elsewhere"
    log_path(directory, "work").symlink_to(elsewhere)
    log.info("one", extra=about("work"))
    assert not elsewhere.exists()


def test_what_is_about_a_vm_is_not_in_the_general_log() -> None:
    record = logging.makeLogRecord({"msg": "x"})
    assert is_general(record)
    assert not is_general(logging.makeLogRecord({"msg": "x", **about("work")}))


def test_a_message_of_several_lines_cannot_look_like_several_messages(log: logging.Logger, directory: Path) -> None:
    log.info("Traceback\n2026-01-01 00:00:00,000 work: all is well", extra=about("work"))
    assert text_of(directory, "work").endswith(" Traceback\n    2026-01-01 00:00:00,000 work: all is well\n")


@given(st.text())
def test_cleaned_text_harms_no_terminal(text: str) -> None:
    made = cleaned(text)
    assert all(c.isprintable() or c == "\n" for c in made)
    made.encode()


def test_long_messages_are_cut_in_the_middle() -> None:
    made = cleaned("a" * 100_000 + "the end")
    assert len(made) < 4100
    assert made.startswith("aaa")
    assert made.endswith("the end")
    assert cleaned("caf\u00e9 \u2013 \x1b[0m\u202e\ud800") == "caf\u00e9 \u2013 \\x1b[0m\\u202e\\ud800"


def test_a_flood_is_left_out_and_counted() -> None:
    allowance = Allowance()
    assert [allowance.ask(5.0) for _ in range(300)] == [0] * 200 + [None] * 100
    assert allowance.ask(5.4) is None
    assert allowance.ask(6.0) == 101
    assert allowance.ask(6.5) == 0


@pytest.mark.usefixtures("log")
def test_a_worker_that_is_made_to_say_much_fills_no_disk(directory: Path) -> None:
    vm = Vm(VmSpec("work", 7, "red"))
    for number in range(10_000):
        vm.say(f"refused number {number}")
    lines = text_of(directory, "work").splitlines()
    assert 200 <= len(lines) < 300
    assert lines[0].endswith("work: refused number 0")


def test_guid_log(log: logging.Logger, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "work"]) == 1
    assert "nothing was logged about any VM yet" in capsys.readouterr().err
    for number in range(3):
        log.info("line %d", number, extra=about("work"))
    os.rename(log_path(directory, "work"), directory / "work.log.1")
    log.info("line 3", extra=about("work"))
    assert main(["log", "work"]) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["0", "1", "2", "3"]
    assert main(["log", "work", "-n", "2"]) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["2", "3"]
    assert main(["log", "wrok"]) == 1
    assert "there are logs of: work" in capsys.readouterr().err
