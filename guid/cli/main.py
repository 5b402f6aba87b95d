"""The `guid` command."""

import argparse
import os
import sys
from collections.abc import Sequence

# Before numpy is imported: its linear algebra library would start threads, which a process that forks must not have.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from guid.cli import (
    attach,
    bench,
    clipboard,
    config,
    db,
    demo,
    doctor,
    domains,
    log,
    ps,
    run,
    service,
    soak,
    stop,
    swap,
    vm,
    windows,
)  # fmt: skip
from guiproto.errors import MachineCannot

_DESCRIPTION = """\
Shows the windows of isolated AppVMs on your desktop, each inside a border of its VM's colour."""

_EPILOG = """\
examples:
  guid run work --label blue -- xterm        an AppVM with an xterm, shown until it ends
  guid vm create work --label blue           an AppVM that stays, a virtual machine; then: guid run work -- xterm
  guid ps                                    which VMs are served, by whom
  guid windows --json                        every window, as data
  guid swap work --to wall                   move its windows to another GUI domain, while it runs
  guid log work -f                           what guid logs about that VM
  guid config check                          the configuration; also: show, reload, init
  guid clipboard status                      what is copied, and from which VM
  guid db write work /keyboard-layout de     another keyboard layout in that VM, at once
  guid attach --domid 5 --name old --label red
                                             the daemon half alone, for an agent that already runs
  guid demo                                  two AppVMs with applications, to look at

environment:
  DISPLAY            the desktop (or --display)
  VCHAN_SOCKET_DIR   where `attach` on the local backend looks for the agent's socket (default /var/run/vchan)
  GUID_CONFIG        the configuration (default: guid.toml in odyssey-gui in XDG_CONFIG_HOME or ~/.config)
  GUID_RUNTIME_DIR   where instances keep their control sockets (default: odyssey-gui in XDG_RUNTIME_DIR) and the logs
                     of VMs (default: odyssey-gui/log in XDG_STATE_HOME or ~/.local/state)
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line, for use and for tests of its help."""
    top = argparse.ArgumentParser(
        prog="guid", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (
        run, vm, attach, ps, windows, domains, swap, clipboard, config, db, log, stop, service, demo, doctor, bench,
        soak,
    ):  # fmt: skip
        command.add_to(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0 done, 1 could not (the reason is printed), 2 wrong usage."""
    args = _parse(list(sys.argv[1:] if argv is None else argv))
    try:
        status: int = args.main(args)
    except MachineCannot as error:
        print(f"guid: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130
    return status


def _parse(argv: list[str]) -> argparse.Namespace:
    """What stands behind `--` is a command of the user's, and none of its words are options of ours."""
    at = argv.index("--") if "--" in argv else len(argv)
    top = parser()
    args = top.parse_args(argv[:at])
    args.command = argv[at + 1 :]
    if args.command and not getattr(args, "takes_command", False):
        top.error("only `guid run` takes a command after --")
    return args


if __name__ == "__main__":
    sys.exit(main())
