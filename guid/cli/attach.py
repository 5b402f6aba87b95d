"""`guid attach`: the daemon half alone, in the foreground, for an agent that already runs or will."""

import argparse
import logging
import os

from guid.cli import lasting, options
from guid.cli.names import refuse_taken_name
from guid.config.configuration import Configuration
from guid.control import Listener
from guid.logs import VmLogs, log_dir
from guid.runtime import runtime_dir
from guid.supervisor.domains import Shown
from guid.supervisor.drivers import driver_maker
from guid.supervisor.supervisor import Supervisor
from guiproto.errors import MachineCannot

_DESCRIPTION = """\
Shows the windows of a VM whose agent somebody else runs. Agent and daemon find each other by their domain ids, in any
start order and again after either was killed. Runs until Ctrl-C or SIGTERM.

`guid attach NAME` is for a virtual machine whose definition says that it is an AppVM: its windows are shown whenever it
runs, whoever starts and stops it."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "attach", help="show the windows of a VM whose agent already runs", description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="guid attach NAME [options] | guid attach --domid N --name NAME [options]",
    )  # fmt: skip
    parser.add_argument("machine", nargs="?", metavar="NAME", help="a virtual machine that is an AppVM")
    parser.add_argument("--domid", type=int, metavar="N", help="the VM's domain id")
    parser.add_argument("--name", help="the VM's name, shown in titles")
    options.add_label(parser)
    parser.add_argument(
        "--gui-domid",
        type=int,
        default=int(os.environ.get("VCHAN_DOMAIN", "0")),
        metavar="M",
        help="the domain id we act as (default: $VCHAN_DOMAIN, or 0)",
    )
    parser.add_argument(
        "--backend",
        metavar="B",
        help="a backend's name, or MODULE:FACTORY for one of your own (default: local, or the one that has NAME)",
    )
    parser.add_argument(
        "--qubesdb",
        action="store_true",
        help="be the admin side of the VM's Qubes DB too; without it, whoever made the VM is (NAME: always)",
    )
    options.add_view(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    parser.set_defaults(main=main)


def main(args: argparse.Namespace) -> int:
    """Serve until told to stop. Returns 1 if the VM could not be served at all."""
    options.log_to_stderr(args.verbose)
    logging.getLogger().addHandler(VmLogs(log_dir()))
    if args.machine is not None:
        return _show_machine(args)
    if args.domid is None or args.name is None:
        raise MachineCannot("which VM?", "write NAME, or --domid N and --name NAME")
    backend = args.backend or "local"
    spec = options.vm_of(
        args, name=args.name, domid=args.domid, gui_domid=args.gui_domid, backend=backend, qubesdb=args.qubesdb
    )
    runtime = runtime_dir()
    refuse_taken_name(runtime, args.name)
    configuration = Configuration.read()
    supervisor = Supervisor(Listener(runtime / f"attach-{args.name}.sock"), None, runtime, configuration)
    failed = False

    def watch(_name: str, state: str) -> None:
        nonlocal failed
        if state in ("failed", "stopped"):
            failed = state == "failed"
            supervisor.shut_down()

    supervisor.on_state = watch
    supervisor.attach(spec)
    supervisor.run()
    return 1 if failed else 0


def _show_machine(args: argparse.Namespace) -> int:
    name = args.machine
    backend = args.backend or lasting.find(name)
    runtime = runtime_dir()
    refuse_taken_name(runtime, name)
    spec = options.vm_of(args, name=name, domid=0, gui_domid=args.gui_domid, backend=backend)
    configuration = Configuration.read()
    listener = Listener(runtime / f"attach-{name}.sock")
    supervisor = Supervisor(listener, driver_maker(runtime / "vms"), runtime, configuration)
    try:
        supervisor.show(backend, Shown(spec, only=name))
    except BaseException:
        supervisor.close()
        raise
    supervisor.run()
    return 0
