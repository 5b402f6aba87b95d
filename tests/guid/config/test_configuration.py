"""Which of several wishes about a VM counts, and that a file with a mistake counts for nothing."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.config.clipboard_rules import ClipboardRule
from guid.config.configuration import Configuration
from guid.config.settings import ABOUT, VmSettings
from guid.spec import ViewSpec, VmSpec
from guiproto.errors import MachineCannot

SOME = """\
[global]
border_width = 4
allow_fullscreen = true

[label.red]
border_width = 5
border = "override-redirect"

[label."0x123456"]
title_prefix = false

[vm.work]
border_width = 6

[[clipboard]]
from = "label:black"
to = "*"
action = "deny"

[[clipboard]]
from = "work"
to = "mail"
action = "ask"

[gui-domain.wall]
id = 32
host = "headless"
"""


def _read(directory: Path, text: str) -> Configuration:
    path = directory / "guid.toml"
    path.write_text(text)
    return Configuration.read(path)


@pytest.mark.parametrize(
    ("name", "colour", "chosen", "expected"),
    [
        ("mail", "green", {}, {"border_width": 4, "allow_fullscreen": True}),
        ("mail", "red", {}, {"border_width": 5, "allow_fullscreen": True, "border": "override-redirect"}),
        ("mail", "#CC0000", {}, {"border_width": 5, "allow_fullscreen": True, "border": "override-redirect"}),
        ("mail", "#123456", {}, {"border_width": 4, "allow_fullscreen": True, "title_prefix": False}),
        ("work", "red", {}, {"border_width": 6, "allow_fullscreen": True, "border": "override-redirect"}),
        (
            "work", "red", {"border_width": 7, "border": "all", "allow_fullscreen": False},
            {"border_width": 7},
        ),
    ],
)  # fmt: skip
def test_a_vm_counts_more_than_its_label_and_that_more_than_global(
    tmp_path: Path, name: str, colour: str, chosen: dict[str, Any], expected: dict[str, Any]
) -> None:
    configuration = _read(tmp_path, SOME)
    assert configuration.settings(name, colour, chosen) == VmSettings(**expected)
    stale = VmSpec(name, 7, colour, view=ViewSpec(chosen=chosen), settings=VmSettings(border_width=60))
    assert configuration.resolve(stale) == dataclasses.replace(stale, settings=VmSettings(**expected))


def test_where_a_value_comes_from(tmp_path: Path) -> None:
    origins = _read(tmp_path, SOME).origins("work", "red", {"title_prefix": True})
    assert list(origins) == list(ABOUT)
    assert origins["border_width"] == (6, "vm work")
    assert origins["border"] == ("override-redirect", "label red")
    assert origins["allow_fullscreen"] == (True, "global")
    assert origins["title_prefix"] == (True, "chosen")
    assert origins["override_redirect"] == ("allow", "default")
    with pytest.raises(MachineCannot, match="unknown label"):
        _read(tmp_path, SOME).origins("work", "pink", {})


VALUES = {
    "border_width": st.integers(1, 64), "border": st.sampled_from(["all", "override-redirect"]),
    "title_prefix": st.booleans(), "override_redirect": st.sampled_from(["allow", "disabled"]),
}  # fmt: skip
NAMES = ["red", "work", "border_width", "from", "to", "action", "id", "vm", "host", "", "two\nlines"]
KEYS = st.sampled_from(NAMES) | st.text(max_size=2)
LAYER = st.fixed_dictionaries({}, optional=VALUES)


@given(LAYER, LAYER, LAYER, LAYER)
def test_layers_lie_above_each_other(
    everywhere: dict[str, Any], by_label: dict[str, Any], by_vm: dict[str, Any], chosen: dict[str, Any]
) -> None:
    configuration = Configuration(Path("x"), everywhere, {0xCC0000: ("red", by_label)}, {"work": by_vm})
    assert configuration.settings("work", "red", chosen) == VmSettings(**{**everywhere, **by_label, **by_vm, **chosen})
    assert configuration.settings("other", "blue", {}) == VmSettings(**everywhere)


def test_a_file_that_was_written_again_is_another(tmp_path: Path) -> None:
    missing = Configuration.read(tmp_path / "guid.toml")
    assert missing.is_current()
    configuration = _read(tmp_path, SOME)
    assert configuration.is_current()
    assert not missing.is_current()
    (tmp_path / "guid.toml").write_text(SOME + "\n")
    assert not configuration.is_current()


def test_rules_for_the_clipboard_and_gui_domains(tmp_path: Path) -> None:
    configuration = _read(tmp_path, SOME)
    assert configuration.clipboard == (
        ClipboardRule("label:black", "*", "deny"),
        ClipboardRule("work", "mail", "ask"),
    )
    assert configuration.gui_domain("wall", None).id == 32
    with pytest.raises(MachineCannot, match=r"no GUI domain 'wal' \(did you mean 'wall'\?; see `guid domains`\)"):
        configuration.gui_domain("wal", None)


def test_without_a_file_everything_is_as_it_is_by_default(tmp_path: Path) -> None:
    configuration = Configuration.read(tmp_path / "none.toml")
    assert configuration.settings("work", "red", {}) == VmSettings()
    assert configuration.clipboard == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[globl]\n", r"guid.toml:1: unknown table 'globl' \(did you mean 'global'\?\)"),
        ("[global]\nborder_widht = 3\n", r":2: there is no setting 'border_widht' in global \(did you mean 'border_w"),
        ("[label.red]\nborder_width = 65\n", r":2: border_width is 65 in label.red \(choose 1 to 64\)"),
        ('[vm.work]\nborder_width = "3"\n', r":2: border_width is '3' in vm.work \(it must be a number\)"),
        ("[label.pink]\n", r":1: unknown label 'pink' \(use one of red,"),
        ('[label.red]\n[label."0xcc0000"]\n', r":2: 0xcc0000 and red are the same label \(remove one"),
        ('[vm.""]\n', r":1: '' is no name for a VM \(use 1 to 31"),
        ("[vm]\nwork = 3\n", r":2: vm.work is not a table \(write \[vm.work\]\)"),
        ("global = 3\n", r":1: 'global' is not a table"),
        ("[clipboard]\n", r":1: 'clipboard' is not an array of tables \(write \[\[clipboard\]\]\)"),
        ('[[clipboard]]\nfrom = "a"\naction = "deny"\n', r":1: this rule has no to \(write all three\)"),
        ('[[clipboard]]\nform = "a"\nto = "b"\naction = "deny"\n', r":1: .* no from .*\n.*:2: .*did you mean 'from'"),
        ('[[clipboard]]\nfrom = 3\nto = "b"\naction = "deny"\n', r":2: from is 3 \(it must be text in quotes\)"),
        (
            '[[clipboard]]\nfrom="a"\nto="b"\naction="ask"\n[[clipboard]]\nfrom="a"\nto="b"\naction="dny"\n',
            r":5: action is 'dny' \(choose allow, deny or ask\)",
        ),
        (
            "[global]\nborder_width = 0\n\n[vm.work]\ntitle_prefix = 3\n[gui-domain.a]\nidd = 1\n",
            r"(?s):2: border_width.*:5: title_prefix.*:7: unknown key 'idd'",
        ),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(MachineCannot, match=said):
        _read(tmp_path, text)


ANYTHING = st.recursive(
    st.booleans() | st.integers(-1, 10**6) | st.text(max_size=3) | st.sampled_from(["*", "deny", "label:red", "all"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list) else json.dumps(value)


@given(st.dictionaries(st.sampled_from(["global", "label", "vm", "clipboard", "gui-domain", "x"]), ANYTHING))
def test_whatever_is_in_the_file_it_is_read_or_every_mistake_has_its_line(
    tmp_path_factory: pytest.TempPathFactory, tables: dict[str, Any]
) -> None:
    text = "".join(f"{name} = {_toml(value)}\n" for name, value in tables.items())
    try:
        configuration = _read(tmp_path_factory.getbasetemp(), text)
    except MachineCannot as error:
        for line in str(error).splitlines():
            assert re.search(r"guid\.toml(:[1-6]: | is not TOML)", line), line
    else:
        configuration.settings("work", "red", {})
