"""`guid run`: an AppVM with a command in it, shown until it ends."""

import argparse
import contextlib
import dataclasses
import json
import re
import signal
import sys
from collections.abc import Iterator
from typing import Any, Final

from guid.cli import lasting, options
from guid.cli.names import free_domid, refuse_taken_name
from guid.config.labels import label
from guid.control import Client, HungUp, Message
from guid.runtime import runtime_dir
from guid.supervisor import daemon
from guiproto.errors import MachineCannot
from guiproto.limits import BYTES_PER_PIXEL
from qubesdb.keys import GUEST_COPIES, VIDEORAM_MIN

_ATTEMPTS: Final = 10

_DESCRIPTION = """\
Starts an AppVM with COMMAND in it and shows its windows until it ends. The AppVM is a sandbox: it has its own home,
processes, display server and network namespace, and sees nothing of yours. Ctrl-C ends it.

If NAME is an AppVM that `guid vm create` made, COMMAND is started in it, and guid returns then; the AppVM is started
first, if it does not run. Of the options, only those of the view count."""


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "run",
        help="start an AppVM and show its windows",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="guid run NAME [--label COLOUR] [options] -- COMMAND ...",
    )
    parser.add_argument("name", metavar="NAME", help="the AppVM's name")
    options.add_label(parser)
    vm = parser.add_argument_group("AppVM")
    vm.add_argument("--domid", type=int, metavar="N", help="its domain id (default: the lowest free one)")
    vm.add_argument(
        "--screen",
        type=screen_size,
        default=None,
        metavar="WxH",
        help="size of its screen (default: the desktop's, also when that changes)",
    )
    vm.add_argument(
        "--source",
        default="auto",
        choices=("auto", *GUEST_COPIES),
        help="where its windows come from: xwayland copies nothing, x11 each frame once (default: what copies least)",
    )
    vm.add_argument("--network", action="store_true", help="let it reach the network, but nothing on this machine")
    vm.add_argument(
        "--no-sandbox",
        action="store_true",
        help="run it as ordinary processes of yours, with NO isolation: only where namespaces are not to be had",
    )
    vm.add_argument(
        "--pass-io",
        action="store_true",
        help="pass on standard input and output, and wait for COMMAND's end (only for AppVMs of `guid vm create`)",
    )
    vm.add_argument("--detach", action="store_true", help="return when it has started; `guid stop NAME` ends it")
    options.add_view(parser)
    options.add_json(parser)
    parser.set_defaults(main=main, takes_command=True)


def screen_size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or not (64 <= int(match[1]) <= 16384 and 64 <= int(match[2]) <= 6144):
        raise argparse.ArgumentTypeError(f"{text!r} is no screen size; write WIDTHxHEIGHT, 64x64 to 16384x6144")
    return int(match[1]), int(match[2])


def main(args: argparse.Namespace) -> int:
    """Start it and wait. Returns the command's exit status, or 1 if the AppVM failed."""
    command = args.command
    if command and (backend := lasting.backend_of(args.name)) is not None:
        return lasting.run(args, backend)
    if args.pass_io:
        raise MachineCannot(f"{args.name} is no AppVM of `guid vm create`", "only those take --pass-io")
    if not command:
        raise MachineCannot("no command to run", f"write: guid run {args.name} --label {args.label} -- xterm")
    label(args.label)
    runtime = runtime_dir()
    refuse_taken_name(runtime, args.name)
    domid = args.domid if args.domid is not None else free_domid(runtime)
    view = options.view_of(args)
    screen = args.screen or screen_of_desktop(view.host, view.display)
    entries = {VIDEORAM_MIN.path: str(screen[0] * screen[1] * BYTES_PER_PIXEL // 1024)}
    spec = options.vm_of(args, name=args.name, domid=domid, entries=entries)
    if args.no_sandbox:
        print(f"guid: {args.name} runs WITHOUT a sandbox: it can read and change everything you can", file=sys.stderr)
    domain = {
        "name": args.name,
        "domid": domid,
        "gui_domid": spec.gui_domid,
        "command": command,
        "screen": screen,
        "network": args.network,
        "sandbox": not args.no_sandbox,
        "outlive_parent": True,
        "source": args.source,
    }
    client = daemon.connect(runtime)
    started = client.request("run", vm=dataclasses.asdict(spec), domain=domain, kept=args.detach)
    options.tell_stale(started)
    if args.json:
        print(json.dumps({key: value for key, value in started.items() if key != "ok"}), flush=True)
    if args.detach:
        client.close()
        return 0
    with _signals_end_the_wait():
        return _follow(client, args.name)


def _follow(client: Client, name: str) -> int:
    try:
        while True:
            client.follow()
            message = client.next()
            if message is None:
                client = _find_again(client, name)
            elif message.get("event") == "ended":
                return _status(message)
            elif message.get("event") == "log":
                print(f"guid: {message['text']}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"guid: stopping {name}", file=sys.stderr)
        return _stop(name)
    finally:
        client.close()


def _find_again(client: Client, name: str) -> Client:
    """The supervisor is gone but our AppVM runs on: start another one, which takes it over."""
    client.close()
    print("guid: the supervisor is gone; starting another", file=sys.stderr)
    for _ in range(_ATTEMPTS):
        client = daemon.connect(runtime_dir())
        with contextlib.suppress(HungUp):
            client.request("follow", name=name)
            return client
        client.close()
    raise MachineCannot("supervisors end as soon as they have started", "see supervisor.log")


def _stop(name: str) -> int:
    with contextlib.suppress(MachineCannot), daemon.connect(runtime_dir()) as client:
        client.request("stop", names=[name])
    return 130


def _status(message: Message) -> int:
    status = message.get("status")
    if status != 0:
        print(f"guid: {message.get('vm')}: {message.get('reason')}", file=sys.stderr)
    return 1 if status is None and message.get("state") == "failed" else int(status or 0)


def screen_of_desktop(host: str, display: str | None) -> tuple[int, int]:
    """Its size in pixels. Raises MachineCannot if it cannot be reached."""
    if host != "x11":
        return 1920, 1080
    from shm.xconn import XConnection

    connection = XConnection(display)
    screen: Any = connection.display.screen()
    size = int(screen.width_in_pixels), int(screen.height_in_pixels)
    connection.close()
    return size


@contextlib.contextmanager
def _signals_end_the_wait() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
