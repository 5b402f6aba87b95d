"""`guid db`: look at and change the entries of a VM's Qubes DB."""

import argparse
import os
import select
from typing import Final

from guid.cli.names import served
from guid.runtime import qubesdb_dir, runtime_dir
from guiproto.errors import MachineCannot
from qubesdb.client import Database, NoEntry
from qubesdb.keys import KNOWN
from qubesdb.sockets import socket_path

_DESCRIPTION = """\
Every VM that is shown has a few entries of text, its Qubes DB, which it and this side see and change alike: which
domain shows its windows, the layout of its keyboard (/keyboard-layout, for example de+nodeadkeys), what it wants to
tell. They are there from the VM's start to its end. What a VM wrote is printed with everything unprintable escaped."""

_OPERATIONS: Final = {
    "read": "print the value of PATH",
    "write": "set PATH to VALUE",
    "list": "print all entries whose paths begin with PATH (default: /) as PATH = VALUE",
    "rm": "remove PATH, or all entries below if it ends with a slash",
    "watch": "print what changes at PATH, or below if it ends with a slash, until Ctrl-C",
}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommands."""
    parser = commands.add_parser(
        "db", help="a VM's Qubes DB: entries that it and this side share", description=_DESCRIPTION
    )
    kinds = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    mains = {"read": _read, "write": _write, "list": _list, "rm": _remove, "watch": _watch}
    for name, text in _OPERATIONS.items():
        kind = kinds.add_parser(name, help=text, description=text.capitalize() + ".")
        kind.add_argument("vm", metavar="VM", help="the VM's name, as in `guid ps`")
        if name in ("list", "watch"):
            kind.add_argument("path", metavar="PATH", nargs="?", default="/", help="default: %(default)s")
        else:
            kind.add_argument("path", metavar="PATH", help="for example /keyboard-layout")
        if name == "write":
            kind.add_argument("value", metavar="VALUE", help="any text, up to 3071 bytes")
        if name == "watch":
            kind.add_argument("--count", type=int, metavar="N", help="end after N changes")
        kind.set_defaults(main=mains[name])


def escaped(data: bytes) -> str:
    r"""Bytes of a VM's as printable ASCII; a backslash is doubled, everything else that is not becomes \xNN."""
    return "".join("\\\\" if byte == 0x5C else chr(byte) if 0x20 <= byte <= 0x7E else f"\\x{byte:02x}" for byte in data)


def _database(vm: str) -> Database:
    runtime = runtime_dir()
    remedy = "`guid ps` shows which VMs are served"
    if any(row["name"] == vm for row in served(runtime)):
        remedy = "it is served without one: `guid attach` starts one with --qubesdb"
    return Database(socket_path(qubesdb_dir(runtime), vm), remedy)


def _missing(vm: str, path: str) -> MachineCannot:
    return MachineCannot(f"{vm} has no entry {path}", f"`guid db list {vm}` shows all")


def _read(args: argparse.Namespace) -> int:
    with _database(args.vm) as database:
        try:
            print(escaped(database.read(args.path)))
        except NoEntry:
            raise _missing(args.vm, args.path) from None
    return 0


def _write(args: argparse.Namespace) -> int:
    value = os.fsencode(args.value)
    if (key := KNOWN.get(args.path)) is not None:
        try:
            key.parse(value)
        except ValueError as error:
            raise MachineCannot(f"{args.path} cannot be {escaped(value)!r}", f"{error}; see docs/qubesdb.md") from None
    with _database(args.vm) as database:
        database.write(args.path, value)
    return 0


def _list(args: argparse.Namespace) -> int:
    with _database(args.vm) as database:
        for path, value in database.multiread(args.path).items():
            print(f"{path} = {escaped(value)}")
    return 0


def _remove(args: argparse.Namespace) -> int:
    with _database(args.vm) as database:
        try:
            database.remove(args.path)
        except NoEntry:
            raise _missing(args.vm, args.path) from None
    return 0


def _watch(args: argparse.Namespace) -> int:
    left = args.count
    with _database(args.vm) as database:
        database.watch(args.path)
        changed = list(database.changes())
        while True:
            for path in changed:
                try:
                    print(f"{path} = {escaped(database.read(path))}", flush=True)
                except NoEntry:
                    print(f"{path} removed", flush=True)
                left = None if left is None else left - 1
                if left == 0:
                    return 0
            changed = list(database.changes())
            if not changed:
                select.select([database], [], [])
                changed = list(database.changes())
