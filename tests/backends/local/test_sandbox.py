"""What a sandbox needs from this machine, and what it says when it does not get it."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.local import sandbox
from guiproto.errors import MachineCannot


@pytest.mark.parametrize(
    ("switch", "value", "remedy"),
    [
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=10000"),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ],
)
def test_the_remedy_names_the_switch_that_is_closed(tmp_path: Path, switch: str, value: str, remedy: str) -> None:
    for name in ("user", "kernel"):
        (tmp_path / name).mkdir()
    (tmp_path / "user" / "max_user_namespaces").write_text("96365\n")
    (tmp_path / switch).write_text(f"{value}\n")
    assert sandbox.namespace_remedy(tmp_path) == f"as root: sysctl -w {remedy}"


def test_the_remedy_where_no_switch_is_closed(tmp_path: Path) -> None:
    assert "--no-sandbox" in sandbox.namespace_remedy(tmp_path)


def test_only_real_root_hands_out_other_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    everything, one = "         0          0 4294967295\n", "         0       1000          1\n"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    first, second = sandbox.host_ids(0, everything), sandbox.host_ids(0xFFFF, everything)
    assert first != second
    assert all(1879048192 <= number < 2147483648 for number in (*first, *second))
    assert sandbox.host_ids(7, one) == (0, os.getegid())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert sandbox.host_ids(7, everything) == (1000, os.getegid())


def test_says_what_only_root_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "guiagent"
    package.mkdir(mode=0o700)
    monkeypatch.setattr(sandbox, "PROJECT", tmp_path)
    with pytest.raises(MachineCannot, match=r"guiagent can be read by root alone.*chmod -R o\+rX"):
        sandbox.require_readable((os.geteuid() + 1, 1))
    sandbox.require_readable((os.geteuid(), os.getegid()))


@given(st.lists(st.binary(max_size=300).map(lambda line: line.replace(b"\n", b"")), max_size=40))
def test_the_last_line_is_printable_and_short(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    log = tmp_path_factory.getbasetemp() / "log"
    log.write_bytes(b"\n".join(lines))
    shown = sandbox.last_line(log)
    assert len(shown) <= 200
    assert shown.isascii()
    assert shown.isprintable()
    if lines and lines[-1].isalnum():
        assert shown == lines[-1].decode()[:200]


def test_no_log_has_no_last_line(tmp_path: Path) -> None:
    assert sandbox.last_line(tmp_path / "log") == ""


def test_its_user_has_a_name_and_nobody_else_is_there() -> None:
    files = sandbox.made_up_etc("work", network=False)
    assert [line.split(":")[0] for line in files["passwd"].splitlines()] == ["root", "user", "nobody"]
    assert "work" in files["hosts"]
    assert "resolv.conf" not in files
    assert files["machine-id"] != sandbox.made_up_etc("work", network=False)["machine-id"]
