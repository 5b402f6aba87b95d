"""protocol.md and the code say the same: each row is in the code, and each entry of the code has its row."""

import re
from enum import IntFlag
from pathlib import Path
from struct import Struct

import pytest

from guiproto import icons, limits, ports
from guiproto.messages import SPECS, Direction, Hint, MessageType, Spec, WindowFlag

TEXT = (Path(__file__).parents[2] / "protocol.md").read_text()


def table(*columns: str) -> list[tuple[str, ...]]:
    """The rows of the one table with this heading."""
    tables = re.findall(r"^(\|[^\n]*\|)\n\|(?: --- \|)+\n((?:\|[^\n]*\|\n)+)", TEXT, re.MULTILINE)
    found = [rows for heading, rows in tables if cells(heading) == columns]
    assert len(found) == 1, f"{len(found)} tables have the columns {columns}"
    return [cells(row) for row in found[0].splitlines()]


def cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])


def code(cell: str) -> str:
    assert cell.startswith("`")
    assert cell.endswith("`")
    return cell[1:-1]


def types(layout: Struct) -> list[str]:
    """`<IiI64s` as u32, i32, u32, u8[64]."""
    names = {"I": ["u32"], "i": ["i32"]}
    out: list[str] = []
    for count, kind in re.findall(r"(\d*)(\w)", layout.format.removeprefix("<")):
        out += [f"u8[{count}]"] if kind == "s" else names[kind] * int(count or 1)
    return out


def fields(spec: Spec) -> str:
    kinds = types(spec.head)
    names = spec.message._fields[1:]
    if spec.body is None:
        kinds.append("u8[n]" if names == ("data",) else "u32[n]")
    return ", ".join(f"{kind} {name}" for kind, name in zip(kinds, names, strict=True))


ARROWS = {Direction.TO_DAEMON: "A→D", Direction.TO_AGENT: "D→A", Direction.BOTH: "both"}


def test_messages() -> None:
    expected = []
    for number in MessageType:
        spec = SPECS.get(number)
        if spec is None:
            expected.append((str(int(number)), number.name, "none", "obsolete", "", ""))
            continue
        size = str(spec.shortest) if spec.body is not None else f"{spec.shortest} to {spec.longest}"
        row = (str(int(number)), number.name, ARROWS[spec.direction], f"1.{spec.since}", size, fields(spec))
        expected.append(row)
    assert table("No.", "Name", "Direction", "Since", "Body bytes", "Fields") == expected


def test_header_and_xconf() -> None:
    header = [(name, kind) for name, kind, _ in table("Field", "Type", "Meaning")]
    assert header == [("type", "u32"), ("window", "u32"), ("length", "u32")]
    xconf = table("Step", "Direction", "Bytes", "Content")[2]
    assert xconf[1:] == ("D→A", "16", "xconf: u32 width, u32 height, u32 depth, u32 mem")


def test_constants_and_versions() -> None:
    constants = {code(name): int(value, 0) for name, value, _ in table("Name", "Value", "Meaning")}
    versions = {code(name): int(version.removeprefix("1.")) for version, name, _ in versions_table()}
    assert not constants.keys() & versions.keys()
    in_code = {name: value for name, value in vars(limits).items() if name.isupper()}
    assert in_code == constants | versions


def test_constants_of_icons() -> None:
    constants = {code(name): int(value, 0) for name, value, _ in table("Constant of icons", "Value", "Meaning")}
    in_code = {name: value for name, value in vars(icons).items() if name.isupper() and not name.startswith("_")}
    assert constants == in_code | {"ICON_PORT": ports.ICON_PORT}


def versions_table() -> list[tuple[str, ...]]:
    return table("Version", "Constant", "From this version on")


def test_versions_are_in_order_and_say_what_the_messages_say() -> None:
    rows = versions_table()
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    for number, spec in SPECS.items():
        if spec.since:
            assert any(row[0] == f"1.{spec.since}" and number.name in row[2] for row in rows), number.name


@pytest.mark.parametrize(("field", "flags"), [("WINDOW_FLAGS", WindowFlag), ("WINDOW_HINTS.flags", Hint)])
def test_bits(field: str, flags: type[IntFlag]) -> None:
    rows = [(int(bit), code(name)) for where, bit, name in table("Field of", "Bit", "Name") if where == field]
    assert rows == [(flag.value, flag.name) for flag in flags]


def test_every_message_has_its_rule() -> None:
    agent_rules = " ".join(row[0] for row in table("Message", "Rule", "Otherwise"))
    daemon_rules = " ".join(row[0] for row in table("Message", "What the agent does"))
    for rules, flow in ((agent_rules, Direction.TO_DAEMON), (daemon_rules, Direction.TO_AGENT)):
        named = set(re.findall(r"[A-Z_]{3,}", rules))
        sent = {number.name for number, spec in SPECS.items() if flow in spec.direction}
        # Nothing but the window's existence is asked of a DESTROY.
        assert named == sent - ({"DESTROY"} if flow is Direction.TO_DAEMON else set())


def test_links_have_a_heading() -> None:
    headings = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", TEXT, re.M)}
    links = set(re.findall(r"\]\(#([^)]*)\)", TEXT))
    assert links
    assert links <= headings


def test_numbers_in_the_running_text_are_those_of_the_code() -> None:
    rules = [row for row in table("Message", "Rule", "Otherwise") if "<=" in row[1] and "width" in row[1]]
    assert rules
    for _, rule, _ in rules:
        assert f"width <= {limits.MAX_WINDOW_WIDTH}" in rule
        assert f"height <= {limits.MAX_WINDOW_HEIGHT}" in rule
    assert f"0, or {limits.CURSOR_X11:#x} to {limits.CURSOR_X11_MAX:#x}" in TEXT
