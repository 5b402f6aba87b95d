"""`guid domains`: where windows can be shown."""

import argparse
import dataclasses
import json
import os

from guid.cli import options
from guid.cli.names import served
from guid.cli.table import print_table
from guid.config.configuration import Configuration
from guid.runtime import runtime_dir

_DESCRIPTION = """\
Lists the GUI domains: where the windows of VMs can be shown, and whose are. dom0 is always there; others are configured
in guid.toml ($GUID_CONFIG, or ~/.config/odyssey-gui/guid.toml):

  [gui-domain.wall]
  id = 32               the domain id under which VMs share their windows with it
  host = "headless"     or "x11", the default
  display = ":1"        for x11

  [gui-domain.sys-gui]
  vm = "sys-gui"        a local AppVM: the windows appear on its own display, as part of its own windows

`guid swap` moves VMs from one to another."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "domains", help="list the GUI domains", description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    options.add_json(parser)
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Print the list."""
    shown: dict[str, list[str]] = {}
    for row in served(runtime_dir()):
        shown.setdefault(row["gui_domain"], []).append(row["name"])
    found = Configuration.read().gui_domains(os.environ.get("DISPLAY"))
    if args.json:
        print(json.dumps([dataclasses.asdict(d) | {"shows": shown.get(d.name, [])} for d in found.values()], indent=2))
    else:
        print_table(
            ("NAME", "ID", "HOST", "DISPLAY", "VM", "SHOWS"),
            [
                (d.name, d.id, d.host, d.display, d.vm or None, " ".join(shown.get(d.name, [])) or None)
                for d in found.values()
            ],
            empty="",
        )
    return 0
