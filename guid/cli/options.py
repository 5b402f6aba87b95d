"""Options that several commands share, and what they mean for a VM description."""

import argparse
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from guid.cli.names import served
from guid.config.configuration import Configuration
from guid.config.gui_domains import GuiDomain
from guid.runtime import runtime_dir
from guid.spec import ViewSpec, VmSpec
from guid.supervisor.assigned import Assigned
from guiproto.errors import MachineCannot

_ENVIRONMENT: Final = ("VCHAN_SOCKET_DIR", "XAUTHORITY", "XDG_RUNTIME_DIR", "HOME")
"""What a display and the backends may need of the caller's environment."""


def add_view(parser: argparse.ArgumentParser) -> None:
    """Options on how windows look and where they appear."""
    group = parser.add_argument_group("view")
    group.add_argument(
        "--gui-domain",
        metavar="DOMAIN",
        help="where to show windows, see `guid domains` (default: where `guid swap` moved the VM last, or dom0)",
    )
    group.add_argument("--display", metavar=":N", help="the X display of dom0 to show windows on (default: $DISPLAY)")
    group.add_argument("--host", choices=("x11", "headless"), help="what shows the windows in dom0 (default: x11)")
    group.add_argument(
        "--border-width", type=int, metavar="PX", help="width of the coloured border (default: configured, or 3)"
    )
    group.add_argument(
        "--border",
        choices=("all", "override-redirect"),
        help="which windows get our border; with override-redirect the window manager frames the others, "
        "as it does in Qubes (default: configured, or all)",
    )
    group.add_argument(
        "--max-clipboard-size", type=int, metavar="BYTES", help="most that is copied from it at once (default: 64000)"
    )
    group.add_argument(
        "--scale", type=int, metavar="N", help="show windows N times as large, 1 to 4 (default: configured, or 1)"
    )
    group.add_argument("--no-title-prefix", action="store_true", help="do not put [NAME] in front of titles")


def add_label(parser: argparse.ArgumentParser) -> None:
    """--label."""
    parser.add_argument(
        "--label",
        default="red",
        metavar="COLOUR",
        help="red, orange, yellow, green, gray, blue, purple, black, or 0xRRGGBB (default: %(default)s)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def view_of(args: argparse.Namespace) -> ViewSpec:
    """The view that the options of `add_view` describe."""
    host = args.host or "x11"
    return ViewSpec(
        host=host,
        display=args.display or (os.environ.get("DISPLAY") if host == "x11" else None),
        chosen={
            name: value
            for name, value in (
                ("border_width", args.border_width),
                ("border", args.border),
                ("scale", args.scale),
                ("follow_screen", False if getattr(args, "screen", None) else None),
                ("title_prefix", False if args.no_title_prefix else None),
                ("max_clipboard_size", args.max_clipboard_size),
            )
            if value is not None
        },
    )


def vm_of(args: argparse.Namespace, **fields: Any) -> VmSpec:
    """The VM description of a command with `add_label` and `add_view`, with the caller's environment in it."""
    return placed(args, vm_with(view_of(args), label=args.label, **fields))


def placed(args: argparse.Namespace, spec: VmSpec) -> VmSpec:
    """The same in the GUI domain that was asked for, or else in the VM's own. Raises MachineCannot.

    Whoever names a display or a host means that one of dom0.
    """
    if args.gui_domain is not None:
        if args.display is not None or args.host is not None:
            raise MachineCannot("a GUI domain has its own display and host", "leave out --display and --host")
        domain: GuiDomain | None = Configuration.read().gui_domain(args.gui_domain, os.environ.get("DISPLAY"))
    elif args.display is not None or args.host is not None:
        domain = None
    else:
        domain = Assigned().domain(spec.name, Configuration.read())
    if domain is None:
        return spec
    return domain.shows(spec, {row["name"]: row["domid"] for row in served(runtime_dir())} if domain.vm else {})


def vm_with(view: ViewSpec, **fields: Any) -> VmSpec:
    """The same for a view that is known."""
    return VmSpec(
        view=view,
        environ={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        python_path=tuple(entry or os.getcwd() for entry in sys.path),
        **fields,
    )


def tell_stale(answer: Mapping[str, Any]) -> None:
    """Tell the user if a VM has been started by a supervisor that does not know the newest configuration."""
    if answer.get("stale"):
        print("guid: guid.toml has changed since it was read; `guid config reload` makes it count", file=sys.stderr)


def log_to_stderr(verbose: bool) -> None:
    """Log lines as `guid: TEXT`."""
    logging.basicConfig(
        stream=sys.stderr, format="guid: %(message)s", level=logging.DEBUG if verbose else logging.INFO, force=True
    )
