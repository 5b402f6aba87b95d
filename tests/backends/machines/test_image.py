"""Making an image: what is wrong is said with a remedy, nothing half-made stays, and nothing is made twice."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from backends.machines import debian, disks
from backends.machines.disks import agent_disk
from backends.machines.image import Guest, image
from backends.machines.places import which
from guiproto.errors import MachineCannot

pytestmark = pytest.mark.usefixtures("tools")

BOOTSTRAP = """\
for last; do :; done
echo "I: downloading packages"
echo made >> "$HOME/log"
: > "$last"
"""
MKE2FS = ": > /dev/null\n"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs that stand for the real ones; the last two steps, which need root, are one of them."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(debian, "_FILE_SYSTEM", 'touch "$1/root.img" "$1/vmlinuz" "$1/initrd.img"')
    monkeypatch.setattr(debian, "_as_root", list)
    program(programs / "mmdebstrap", BOOTSTRAP)
    program(programs / "mke2fs", MKE2FS)
    return programs


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def left(tmp_path: Path) -> set[str]:
    """What lies in the cache besides its furniture."""
    return {path.name for path in (tmp_path / "cache/odyssey-gui/images").iterdir()} - {
        "lock", "archives", "mmdebstrap.log",
    }  # fmt: skip


def test_the_same_packages_are_the_same_image(tmp_path: Path) -> None:
    told: list[str] = []
    first = image(Guest(), ["mutt", "xterm"], told.append)
    assert "downloading packages" in told
    assert first.disk.exists()
    assert first.kernel.exists()
    assert image(Guest(), ["xterm", "mutt", "mutt"], told.append) == first
    assert image(Guest(), ["mpv"], told.append) != first
    assert (tmp_path / "log").read_text() == "made\nmade\n"
    assert len(left(tmp_path)) == 2


@pytest.mark.parametrize("name", ["", "a", "Firefox", "x;rm", "a b", "../x", "--x"])
def test_what_is_no_package_name(name: str) -> None:
    with pytest.raises(MachineCannot, match="no name of a Debian package"):
        image(Guest(), [name], print)


@pytest.mark.parametrize("name", ["mmdebstrap", "mke2fs"])
def test_a_missing_program(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in (debian, disks):
        monkeypatch.setattr(module, "which", lambda program: None if program == name else f"/usr/bin/{program}")
    with pytest.raises(MachineCannot, match=rf"{name} is not installed.*apt install"):
        image(Guest(), [], print)


def test_no_space_is_known_before_anything_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1 << 40, 1 << 40, 100 << 20))
    with pytest.raises(MachineCannot, match=r"needs 4 GiB.*100 MiB free.*XDG_CACHE_HOME"):
        image(Guest(), [], print)
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("said", "reason", "remedy"),
    [
        ("E: Unable to locate package nonsense", "Unable to locate package nonsense", "is every package in Debian"),
        ("E: Failed to fetch http://x  Temporary failure resolving 'x'", "Temporary failure", "is the network there"),
        ("E: write failed: No space left on device", "No space left", "make room"),
        ("E: newuidmap: not found", "newuidmap", "apt install uidmap"),
        ("E: something new", "something new", "try again"),
        ("", "it said nothing", "try again"),
    ],
)
def test_a_failure_is_told_with_a_remedy_and_leaves_nothing(
    tools: Path, tmp_path: Path, said: str, reason: str, remedy: str
) -> None:
    program(tools / "mmdebstrap", f'echo "I: going on"\necho "{said}" >&2\necho "I: cleaning up"\nexit 25\n')
    with pytest.raises(MachineCannot) as caught:
        image(Guest(), [], print)
    assert reason in str(caught.value)
    assert remedy in str(caught.value)
    assert "mmdebstrap.log" in str(caught.value)
    assert left(tmp_path) == set()
    program(tools / "mmdebstrap", BOOTSTRAP)
    assert image(Guest(), [], print).disk.exists(), "the next try works"


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image(Guest(), [], interrupt)
    assert left(tmp_path) == set()


def test_what_a_killed_run_left_goes_away(tmp_path: Path) -> None:
    stale = tmp_path / "cache/odyssey-gui/images/0123.part"
    stale.mkdir(parents=True)
    (stale / "root.tar").write_text("half")
    made = image(Guest(), [], print)
    assert left(tmp_path) == {made.disk.parent.name}


@pytest.mark.skipif(which("mke2fs") is None, reason="mke2fs is not installed")
def test_the_agents_disk_has_this_very_agent(tools: Path, tmp_path: Path) -> None:
    (tools / "mke2fs").unlink()
    path = tmp_path / "agent.img"
    agent_disk(path, Path(__file__).parents[3], '{"name": "work"}')
    content = path.read_bytes()
    assert b'{"name": "work"}' in content
    assert (Path(__file__).parents[3] / "guiagent/session.py").read_bytes()[:2000] in content
    assert not list(tmp_path.glob("tmp*"))
