"""guid.toml's GUI domains: what is configured, and what a mistake is answered with."""

from pathlib import Path

import pytest

from guid.config.configuration import Configuration, config_path
from guid.config.gui_domains import GuiDomain
from guid.spec import VmSpec
from guid.supervisor.assigned import Assigned
from guiproto.errors import MachineCannot


def _read(tmp_path: Path, text: str) -> dict[str, GuiDomain]:
    path = tmp_path / "guid.toml"
    path.write_text(text)
    return Configuration.read(path).gui_domains(":0")


def test_without_a_file_there_is_dom0(tmp_path: Path) -> None:
    assert Configuration.read(tmp_path / "none.toml").gui_domains(":5") == {"dom0": GuiDomain("dom0", 0, "x11", ":5")}


def test_all_kinds(tmp_path: Path) -> None:
    found = _read(
        tmp_path,
        '[gui-domain.wall]\nid = 32\nhost = "headless"\n[gui-domain.left]\nid = 0\ndisplay = ":1"\n'
        '[gui-domain.sys-gui]\nvm = "sys-gui"\n',
    )
    assert found == {
        "wall": GuiDomain("wall", 32, "headless"),
        "left": GuiDomain("left", 0, "x11", ":1"),
        "sys-gui": GuiDomain("sys-gui", None, vm="sys-gui"),
        "dom0": GuiDomain("dom0", 0, "x11", ":0"),
    }


def test_dom0_can_be_told_where_it_is(tmp_path: Path) -> None:
    assert _read(tmp_path, '[gui-domain.dom0]\nid = 0\ndisplay = ":9"\n')["dom0"].display == ":9"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gui-domain.wall]\nidd = 1\n", r"guid.toml:2: unknown key 'idd' in gui-domain.wall \(did you mean 'id'"),
        ("\n[gui-domian.wall]\nid = 1\n", r"guid.toml:2: unknown table 'gui-domian' \(did you mean 'gui-domain'"),
        ("[gui-domain.wall]\nid = 70000\n", r"guid.toml:1: gui-domain.wall has no id from 0 to 65535"),
        ('[gui-domain.wall]\nid = "1"\n', r"guid.toml:2: id in gui-domain.wall is '1' \(it must be a number"),
        ("[gui-domain.wall]\nid = true\n", r"it must be a number"),
        ("[gui-domain.wall]\nid = 1\ndisplay = 3\n", r"guid.toml:3: display in .* \(it must be text"),
        ('[gui-domain.wall]\nid = 1\nhost = "x12"\n', r"guid.toml:3: host .* \(choose x11 or headless"),
        ('[gui-domain."a b"]\nid = 1\n', r"'a b' is no name"),
        ("[gui-domain.a]\nid = 1\n[gui-domain.b]\nid = 1\n", r"guid.toml:3: b and a are the same"),
        ('[gui-domain.a]\nvm = "a"\nid = 1\n', r"guid.toml:3: .* a vm and its own id"),
        ("gui-domain = 3\n", r"not a table"),
        ("[gui-domain]\nwall = 3\n", r"not a table"),
        ("[gui-domain.wall\n", r"is not TOML"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(MachineCannot, match=said):
        _read(tmp_path, text)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "guid.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(MachineCannot, match="cannot read"):
        Configuration.read(tmp_path / "guid.toml")


def test_where_the_file_is() -> None:
    assert config_path({"GUID_CONFIG": "/a/b.toml"}) == Path("/a/b.toml")
    assert config_path({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}) == Path("/c/odyssey-gui/guid.toml")
    assert config_path({"HOME": "/h"}) == Path("/h/.config/odyssey-gui/guid.toml")


def test_a_vm_as_a_domain_shows_it() -> None:
    spec = VmSpec("work", 7, "red")
    shown = GuiDomain("wall", 32, "headless").shows(spec, {})
    assert (shown.gui_domid, shown.gui_domain, shown.view.host, shown.gui_vm) == (32, "wall", "headless", "")
    inside = GuiDomain("sys", None, vm="sys-gui")
    assert inside.shows(spec, {"sys-gui": 5}).gui_domid == 5
    with pytest.raises(MachineCannot, match="does not run"):
        inside.shows(spec, {})
    with pytest.raises(MachineCannot, match="cannot show itself"):
        GuiDomain("self", None, vm="work").shows(spec, {"work": 7})


def test_what_a_vm_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "guid.toml"
    config.write_text("[gui-domain.wall]\nid = 32\n")
    monkeypatch.setenv("GUID_CONFIG", str(config))
    assigned = Assigned(tmp_path / "state")
    assert assigned.domain("work", Configuration.read()) is None
    assigned.set("work", "wall")
    assert Assigned(tmp_path / "state").domain("work", Configuration.read()) == GuiDomain("wall", 32)
    config.write_text("")
    with pytest.raises(MachineCannot, match=r"work was given to GUI domain 'wall'.*guid swap work --to dom0"):
        assigned.domain("work", Configuration.read())
    with pytest.raises(MachineCannot, match="no name"):
        assigned.set("../x", "wall")
