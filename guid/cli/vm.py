"""`guid vm`: AppVMs that stay, machines of their own with their disks."""

import argparse
import json
import os
import sys
from collections.abc import Iterator

from backends.base import AppVmSpec, Domain
from guid.cli import lasting, options
from guid.cli.run import screen_of_desktop, screen_size
from guid.cli.table import print_table
from guid.config.configuration import Configuration
from guid.config.labels import label
from guiproto.errors import MachineCannot

_DESCRIPTION = """\
AppVMs that stay: each is a virtual machine with a disk and a home of its own. `guid run NAME -- COMMAND` starts a
command in one. They can also be started and stopped by whatever else manages virtual machines here."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommands."""
    parser = commands.add_parser("vm", help="AppVMs that stay: virtual machines", description=_DESCRIPTION)
    kinds = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = kinds.add_parser("create", help="make one", description="Makes an AppVM and leaves it stopped.")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--backend", metavar="B", help="what runs it (default: what this machine can)")
    options.add_label(create)
    create.add_argument("--packages", type=_words, default=(), metavar="P,P", help="Debian packages to have in it")
    create.add_argument("--memory", type=_size, default="1G", metavar="SIZE", help="memory (default: %(default)s)")
    create.add_argument(
        "--videoram", type=_video_size, default="256M", metavar="SIZE",
        help="memory for the pixels of its windows, a power of 2 (default: %(default)s)",
    )  # fmt: skip
    create.add_argument(
        "--map-ram", action="store_true",
        help="let its GUI domain map all of its memory: for old agents that send frame numbers (MFNDUMP)",
    )  # fmt: skip
    create.add_argument(
        "--drawing", type=_size, default=0, metavar="SIZE",
        help="memory that its programs draw into and the desktop reads in place, so that nothing is copied in the VM",
    )  # fmt: skip
    create.add_argument("--network", action="store_true", help="let it reach the network")
    create.add_argument(
        "--domid", type=int, default=0, metavar="N", help="its domain id (default: the lowest free one)"
    )
    create.add_argument("--screen", type=screen_size, default=None, metavar="WxH", help="size of its screen")
    create.set_defaults(main=_create)
    start = kinds.add_parser("start", help="start one and show its windows")
    start.add_argument("name", metavar="NAME")
    options.add_view(start)
    start.set_defaults(main=_start)
    for name, main, text in (
        ("stop", _stop, "shut one down"),
        ("remove", _remove, "delete one with its disk and everything on it"),
    ):
        other = kinds.add_parser(name, help=text)
        other.add_argument("name", metavar="NAME")
        other.set_defaults(main=main)
    listing = kinds.add_parser("list", help="all of them, running or not")
    options.add_json(listing)
    listing.set_defaults(main=_list)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def _size(text: str) -> int:
    """MiB."""
    units = {"M": 1, "G": 1024}
    try:
        size = int(text[:-1]) * units[text[-1:].upper()]
    except (ValueError, KeyError):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 512M or 2G") from None
    if not 64 <= size <= 1 << 20:
        raise argparse.ArgumentTypeError(f"{text} is not from 64M to 1024G")
    return size


def _video_size(text: str) -> int:
    size = _size(text)
    if size > 4096 or size & (size - 1):
        raise argparse.ArgumentTypeError(f"{text} is no power of 2 from 64M to 4G")
    return size


def _create(args: argparse.Namespace) -> int:
    label(args.label)
    spec = AppVmSpec(
        name=_checked_name(args.name), label=args.label, domid=args.domid, packages=args.packages,
        screen=args.screen or _desktop(), memory_mib=args.memory, videoram_mib=args.videoram, network=args.network,
        map_ram=args.map_ram, drawing_mib=args.drawing, other_gui_domids=_gui_domids(),
    )  # fmt: skip
    driver = lasting.driver_of(args.backend or lasting.default_backend())
    try:
        made = driver.create(spec, _tell)
    finally:
        driver.close()
    which = f", domain {made.domid}" if made.domid else ""  # some have an id only while they run
    _tell(f"{made.name} is there{which}: guid vm start {made.name}, or guid run {made.name} -- xterm")
    return 0


def _gui_domids() -> list[int]:
    """Those of the GUI domains that are configured: VMs can move only to those that they were made for."""
    domains = Configuration.read().gui_domains(None).values()
    return sorted({domain.id for domain in domains if domain.id is not None})


def _desktop() -> tuple[int, int]:
    try:
        return screen_of_desktop("x11", os.environ.get("DISPLAY"))
    except MachineCannot:
        return 1920, 1080


def _checked_name(name: str) -> str:
    if not name or len(name) > 31 or not name[0].isalpha() or not all(c.isalnum() or c in "_-" for c in name):
        raise MachineCannot(
            f"{name!r} is no name for an AppVM", "use a letter, then up to 30 letters, digits, dashes and underscores"
        )
    return name


def _start(args: argparse.Namespace) -> int:
    row = lasting.resume(args.name, lasting.view_of(args))
    _tell(f"{row['name']} runs, domain {row['domid']}; its windows appear on {row['display']}")
    return 0


def _stop(args: argparse.Namespace) -> int:
    driver = lasting.driver_of(lasting.need_backend_of(args.name))
    try:
        driver.stop(args.name, 90.0)
    finally:
        driver.close()
    return 0


def _remove(args: argparse.Namespace) -> int:
    driver = lasting.driver_of(lasting.need_backend_of(args.name))
    try:
        driver.remove(args.name)
    finally:
        driver.close()
    return 0


def _all() -> Iterator[tuple[str, Domain]]:
    for backend in lasting.backends():
        try:
            driver = lasting.driver_of(backend)
        except MachineCannot as error:
            _tell(f"{backend}: {error}")
            continue
        yield from ((backend, domain) for domain in driver.list() if domain.lasting)
        driver.close()


def _list(args: argparse.Namespace) -> int:
    rows = [
        {"name": d.name, "domid": d.domid, "backend": backend, "label": d.label, "state": d.state.value}
        for backend, d in _all()
    ]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    print_table(
        ("NAME", "DOMID", "BACKEND", "LABEL", "STATE"), [tuple(row.values()) for row in rows], empty="no AppVMs"
    )
    return 0


def _tell(text: str) -> None:
    print(f"guid: {text}", file=sys.stderr, flush=True)
