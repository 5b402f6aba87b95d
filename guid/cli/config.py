"""`guid config`: the user's guid.toml, looked at, checked, begun, and read again by what runs."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any, Final

from guid.cli import options
from guid.cli.names import served
from guid.cli.table import print_table
from guid.config.configuration import Configuration, config_path
from guid.config.settings import ABOUT, VmSettings
from guid.control import instances
from guid.runtime import runtime_dir
from guiproto.errors import MachineCannot

_DESCRIPTION = """\
guid.toml ($GUID_CONFIG, or ~/.config/odyssey-gui/guid.toml) says how windows of VMs look and what VMs may do. Settings
of a [vm.NAME] count more than those of its [label.COLOUR], these more than [global]; what a command line chose counts
most. docs/configuration.md has them all. A change counts from `guid config reload` on, for VMs that run too."""

_HEAD: Final = """\
# The settings of VMs. Each is shown with its default; take away the # to change it.

"""
_TAIL: Final = """
# The same for VMs of one label, and for one VM:
#
# [label.red]
# border_width = 6
#
# [vm.work]
# title_prefix = false

# Whose clipboard may go where; the first rule that matches counts: allow, deny or ask.
#
# [[clipboard]]
# from = "label:black"
# to = "*"
# action = "deny"
"""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommands."""
    parser = commands.add_parser("config", help="the configuration: check, show, reload", description=_DESCRIPTION)
    kinds = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    check = kinds.add_parser(
        "check", help="say everything that is wrong in it", description="Exit status 1 if anything is wrong."
    )
    check.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: the one that is used")
    check.set_defaults(main=_check)
    show = kinds.add_parser(
        "show",
        help="the settings that count, and where each comes from",
        description="Shows what counts: for VM, or for one about which nothing else is said.",
    )
    show.add_argument("vm", nargs="?", metavar="VM", help="a VM's name, whether it is served or not")
    show.add_argument("--label", metavar="COLOUR", help="the label of a VM that is not served")
    options.add_json(show)
    show.set_defaults(main=_show)
    reload = kinds.add_parser(
        "reload",
        help="have what runs read it again",
        description="What runs reads the file again and goes by it. If anything in it is wrong, all stays as it was.",
    )
    options.add_json(reload)
    reload.set_defaults(main=_reload)
    init = kinds.add_parser(
        "init", help="write one to begin with", description="Writes one with every setting in a comment."
    )
    init.add_argument("file", nargs="?", type=Path, metavar="FILE", help="default: the one that is used")
    init.set_defaults(main=_init)


def _check(args: argparse.Namespace) -> int:
    path = args.file or config_path()
    if args.file is not None and not path.exists():
        raise MachineCannot(f"there is no {path}", "`guid config init FILE` writes one")
    Configuration.read(path)
    print(f"{path} is right" if path.exists() else f"there is no {path}: everything is as it is by default")
    return 0


def _show(args: argparse.Namespace) -> int:
    row = next((row for row in served(runtime_dir()) if row["name"] == args.vm), None) if args.vm else None
    if row is None:
        configuration = Configuration.read()
        origins = configuration.origins(args.vm or "", args.label or "", {})
        path = str(configuration.path)
        rows: list[dict[str, Any]] = [
            {"name": name, "value": value, "origin": origin} for name, (value, origin) in origins.items()
        ]
    else:
        path, rows = _ask_settings(args.vm)
    if args.json:
        print(json.dumps({"path": path, "vm": args.vm, "settings": rows}, indent=2))
        return 0
    print_table(
        ("SETTING", "VALUE", "FROM"), [(row["name"], _toml(row["value"]), _origin(row)) for row in rows], empty=""
    )
    return 0


def _ask_settings(vm: str) -> tuple[str, list[dict[str, Any]]]:
    for client in instances(runtime_dir()):
        with client:
            if any(row["name"] == vm for row in client.request("ps")["vms"]):
                answer = client.request("settings", name=vm)
                return answer["path"], answer["settings"]
    raise MachineCannot(f"{vm} has just ended", "see `guid ps`")


def _origin(row: dict[str, Any]) -> str:
    if row.get("running", row["value"]) == row["value"]:
        return str(row["origin"])
    return f"{row['origin']} (counts when its worker is next started; until then {_toml(row['running'])})"


def _reload(args: argparse.Namespace) -> int:
    Configuration.read()  # told here, it is told once
    answers = []
    for client in instances(runtime_dir()):
        with client:
            answers.append(client.request("reload"))
    rows = [row for answer in answers for row in answer["vms"]]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    if not answers:
        print("nothing runs that could read it; what starts next will")
    for row in rows:
        for when, text in (("now", "now"), ("later", "when its worker is next started")):
            if row[when]:
                print(f"{row['name']}: {', '.join(row[when])} changed {text}")
    if answers and not any(row["now"] or row["later"] for row in rows):
        print("nothing changes for the VMs that are served")
    return 0


def _init(args: argparse.Namespace) -> int:
    path = args.file or config_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(example())
    except FileExistsError:
        raise MachineCannot(f"{path} is there already", "edit it; `guid config check` looks for mistakes") from None
    except OSError as error:
        raise MachineCannot(f"cannot write {path}: {error.strerror}", "name another FILE") from None
    print(f"wrote {path}")
    return 0


def example() -> str:
    """A guid.toml that changes nothing, with every setting in a comment."""
    defaults = dataclasses.asdict(VmSettings())
    lines = [f"# {ABOUT[name]}\n# {name} = {_toml(value)}\n" for name, value in defaults.items()]
    return _HEAD + "[global]\n" + "".join(lines) + _TAIL


def _toml(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
