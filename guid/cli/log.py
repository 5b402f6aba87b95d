"""`guid log`: what guid has logged about a VM."""

import argparse
import os
import sys
import urllib.parse
from collections import deque

from guid.logs import files, log_dir, log_path
from guiproto.errors import MachineCannot

_DESCRIPTION = """\
Prints what guid has logged about a VM: who came and went, what was refused, why a session ended. It is kept when the
VM has ended; of much, the newest megabyte."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser("log", help="what was logged about a VM", description=_DESCRIPTION)
    parser.add_argument("vm", metavar="VM", help="the VM's name, whether it is served or not")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until Ctrl-C")
    parser.add_argument("-n", "--lines", type=_count, metavar="N", help="only the last N lines (default: all)")
    parser.set_defaults(main=main)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines")
    return int(text)


def main(args: argparse.Namespace) -> int:
    """Print it."""
    directory = log_dir()
    found = files(directory, args.vm)
    if not found and not args.follow:
        logged = sorted(urllib.parse.unquote(path.name.removesuffix(".log")) for path in directory.glob("*.log"))
        known = f"there are logs of: {', '.join(logged)}" if logged else "nothing was logged about any VM yet"
        raise MachineCannot(f"nothing was logged about {args.vm!r}", known)
    if args.follow:
        before = 10 if args.lines is None else args.lines
        # It watches the file by its name, so that it goes on with the next one when that is begun.
        tail = ["tail", f"--lines={before}", "--follow=name", "--retry", "--", str(log_path(directory, args.vm))]
        os.execvp(tail[0], tail)  # noqa: S606 - no shell is the purpose
    lines = deque[str](maxlen=args.lines)
    for path in found:
        with path.open(errors="replace") as file:
            lines += file
    sys.stdout.writelines(lines)
    return 0
