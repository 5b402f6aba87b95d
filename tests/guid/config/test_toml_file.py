"""Each mistake is told with the line where it is, all of them at once."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guid.config.toml_file import TomlFile, nearest
from guiproto.errors import MachineCannot

TEXT = '''\
# border_width = 1
[global]
border_width = 3
list = [
  1,
  2,
]
text = """
[vm.not]
border_width = 4
"""

[vm.work]
border_width = 5
[[clipboard]]
from = "a"
[[clipboard]]
from = "b"
to = "c"
'''


def _file(directory: Path, text: str) -> TomlFile:
    path = directory / "guid.toml"
    path.write_text(text)
    return TomlFile(path)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("global",), 2),
        (("global", "border_width"), 3),
        (("global", "list"), 7),
        (("global", "text"), 11),
        (("vm",), 13),
        (("vm", "work"), 13),
        (("vm", "work", "border_width"), 14),
        (("clipboard", 0), 15),
        (("clipboard", 0, "from"), 16),
        (("clipboard", 1), 17),
        (("clipboard", 1, "from"), 18),
        (("clipboard", 1, "to"), 19),
        (("vm", "not"), 0),
        (("clipboard", 2), 0),
        (("global", "border_width", "x"), 0),
    ],
)
def test_the_line_of_a_key(tmp_path: Path, key: tuple[str | int, ...], line: int) -> None:
    assert _file(tmp_path, TEXT).line(key) == line


@given(st.lists(st.sampled_from(["", "# x", "multi"]), max_size=30), st.data())
def test_the_line_of_a_key_whatever_is_around_it(
    tmp_path_factory: pytest.TempPathFactory, filling: list[str], data: st.DataObject
) -> None:
    lines: list[str] = []
    places: dict[tuple[str, str], int] = {}
    for number, what in enumerate(filling):
        lines += ["m" + str(number) + ' = """', "[b]", "k = 1", '"""'] if what == "multi" else [what]
        if data.draw(st.booleans()):
            lines += [f"[t{number}]", f"k = {number}"]
            places[f"t{number}", "k"] = len(lines)
    file = _file(tmp_path_factory.mktemp("toml"), "\n".join(lines))
    assert {key: file.line(key) for key in places} == places


def test_mistakes_are_told_together_in_the_order_of_the_file(tmp_path: Path) -> None:
    file = _file(tmp_path, TEXT)
    file.check()
    file.wrong(("vm", "work"), "that is bad", "mend it")
    file.wrong(("global",), "this is bad", "mend it")
    with pytest.raises(MachineCannot) as raised:
        file.check()
    assert str(raised.value) == (
        f"{tmp_path}/guid.toml:2: this is bad (mend it)\n{tmp_path}/guid.toml:13: that is bad (mend it)"
    )


def test_nobody_reads_a_thousand_mistakes(tmp_path: Path) -> None:
    file = _file(tmp_path, "a = 1\n")
    for number in range(1000):
        file.wrong(("a",), f"mistake {number:04}")
    with pytest.raises(MachineCannot) as raised:
        file.check()
    assert len(str(raised.value).splitlines()) == 21
    assert str(raised.value).endswith("and 980 more")


def test_what_is_no_table(tmp_path: Path) -> None:
    file = _file(tmp_path, "a = 1\n[b]\nc = 2\n[d.e]\nf = 3\n[[g]]\nh = 4\n")
    assert file.table("d") == {"e": {"f": 3}}
    assert file.table("nothing") == {}
    assert file.sections("d") == {"e": {"f": 3}}
    assert file.array("g") == [{"h": 4}]
    file.check()
    assert (file.table("a"), file.sections("b"), file.array("d")) == ({}, {}, [])
    with pytest.raises(MachineCannot, match=r"1: 'a' is not a table.*\n.*3: b.c is not a table .*\n.*4: 'd' is not an"):
        file.check()


def test_suggestions() -> None:
    assert nearest("globl", ["global", "vm"]) == "did you mean 'global'?"
    assert nearest("xyz", ["global", "vm"]) == "known are: global, vm"


def _refuse(path: Path) -> None:
    file = TomlFile(path)
    file.wrong(("b",), "'b' is not known", "remove it")
    file.check()


def test_tables_in_tables_without_end_are_a_mistake_like_others(tmp_path: Path) -> None:
    path = tmp_path / "guid.toml"
    for depth in (*range(100, 340, 3), 5000):
        path.write_text("a = 1\nb = " + "{a = " * depth + "1" + "}" * depth + "\n")
        with pytest.raises(MachineCannot, match=r"is not TOML|'b' is not"):
            _refuse(path)
