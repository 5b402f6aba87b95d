"""`guid db`: what a VM wrote is printed harmlessly, and errors name what is wrong and what to do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.cli.db import escaped
from guid.cli.main import main


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUID_RUNTIME_DIR", str(tmp_path / "run"))


@given(st.binary())
def test_nothing_that_a_terminal_would_obey_is_printed_and_nothing_is_lost(data: bytes) -> None:
    shown = escaped(data)
    assert shown.isascii()
    assert shown == "" or shown.isprintable()
    assert shown.encode().decode("unicode_escape").encode("latin-1") == data


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "nobody"], "there is no Qubes DB daemon at"),
        (["read", "nobody", "/name"], "`guid ps` shows which VMs are served"),
        (["read", "a/../b", "/name"], "no Qubes DB for a VM called 'a/../b'"),
        (["write", "work", "/keyboard-layout", "de -print"], "/keyboard-layout cannot be 'de -print'"),
        (["write", "work", "/qubes-gui-domain-xid", "-1"], "it is no number from 0 to 65535"),
    ],
)
def test_errors_name_what_is_wrong(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("guid: ")
    assert said in error
